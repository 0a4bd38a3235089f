"""Ids and salts in service: UUIDv7, so that they sort by time, and the system's random bytes."""

from __future__ import annotations

import os
from uuid import UUID

from uuid_utils.compat import uuid7

from runfold_events.contract.envelope import SALT_BYTES


class SystemIds:
    """``IdSource`` of the running system. Safe with threads and after a fork."""

    def event_id(self) -> UUID:
        """See the port."""
        return uuid7()

    def salt(self) -> bytes:
        """See the port."""
        return os.urandom(SALT_BYTES)
