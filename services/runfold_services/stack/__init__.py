"""A real Kafka and a real Postgres on this machine, for users without either and for the tests.

``port``
    What a stack promises: `Stack`, its two `Part`\\ s, and what can be said about them.
``opening``
    Which engine provides it: containers where a Docker engine answers, otherwise packages.
``packages``, ``server``, ``kafka``, ``postgres``, ``jars``
    Both servers as processes of this machine, from packages.
``containers``
    Both servers as containers.
``shared``
    One stack for several processes, gone when the last of them is gone.
``commands``
    ``runfold stack up|status|down``.

Nothing here is for production: one broker, one replica, loopback, no encryption.
"""

from __future__ import annotations

from runfold_services.stack.opening import open_stack
from runfold_services.stack.port import Addresses, Part, PartStatus, Progress, Stack, StackError, StackStatus
from runfold_services.stack.settings import StackSettings, settings_from_environment
from runfold_services.stack.shared import borrow

__all__ = [
    "Addresses",
    "Part",
    "PartStatus",
    "Progress",
    "Stack",
    "StackError",
    "StackSettings",
    "StackStatus",
    "borrow",
    "open_stack",
    "settings_from_environment",
]
