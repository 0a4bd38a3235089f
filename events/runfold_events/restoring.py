"""After a restore from a backup a store is another one: it gets a new epoch, and says in every partition since when.

The position of ``store.restored`` is where the store ended when it was restored. What the epoch before said from there
on (on the event topic, in tokens, in views that were not restored along) is void.
"""

from __future__ import annotations

from uuid import UUID, uuid4

from msgspec import Struct

from runfold_events.contract.events import StoreRestored
from runfold_events.contract.ids import system_stream
from runfold_events.ports import IdSource, Loaded, PartitionRow, Write
from runfold_events.work import Work


class Restoration(Struct, frozen=True, kw_only=True):
    """What became of a store."""

    epoch: UUID
    previous_epoch: UUID
    ends: tuple[int, ...]  # where each partition ended: the positions of store.restored


class Restorer:
    """Writes ``store.restored`` of one restore into one partition after the other."""

    def __init__(self, previous_epoch: UUID, ids: IdSource) -> None:
        self.epoch = uuid4()
        self.previous_epoch = previous_epoch
        self._ids = ids
        self._writer_id = uuid4()

    def write(self, row: PartitionRow, loaded: Loaded) -> Write:
        """What one partition stores. ``loaded`` holds the head of its own stream."""
        work = Work(self.epoch, row, loaded, self._ids, {})
        work.append_system(
            str(system_stream(row.partition)),
            StoreRestored(previous_epoch=self.previous_epoch),
            self._writer_id,
        )
        return work.write()

    def restoration(self, ends: tuple[int, ...]) -> Restoration:
        """What was done."""
        return Restoration(epoch=self.epoch, previous_epoch=self.previous_epoch, ends=ends)
