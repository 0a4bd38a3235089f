"""Ids and salts in service: UUIDv7, so that they sort by time, and the system's random bytes."""

from __future__ import annotations

import os
from typing import Final
from uuid import UUID

import uuid_utils

from runfold_events.contract.envelope import SALT_BYTES
from runfold_events.contract.ids import uuid_of

_SALTS_AT_ONCE: Final = 256  # asking the system takes longer than anything that is done with the answer


_forks = 0  # how often this process is the child of one that had this module; asking the system for its id costs more


def _count_fork() -> None:
    global _forks  # noqa: PLW0603
    _forks += 1


if hasattr(os, "register_at_fork"):  # elsewhere nobody forks
    os.register_at_fork(after_in_child=_count_fork)


class SystemIds:
    """``IdSource`` of the running system. Safe with threads and after a fork."""

    def __init__(self) -> None:
        self._salts: list[bytes] = []
        self._forks = _forks

    def event_id(self) -> UUID:
        """See the port."""
        return uuid_of(uuid_utils.uuid7().int)

    def salt(self) -> bytes:
        """See the port."""
        if self._forks != _forks:  # a child has the parent's salts, which the parent uses
            self._salts, self._forks = [], _forks
        try:
            return self._salts.pop()
        except IndexError:
            block = os.urandom(_SALTS_AT_ONCE * SALT_BYTES)
            salts = [block[at : at + SALT_BYTES] for at in range(0, len(block), SALT_BYTES)]
            salt = salts.pop()  # before another thread can take one
            self._salts = salts
            return salt
