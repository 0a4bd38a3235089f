"""Fold events into what runs count as for the runs above them.

A parent may live on another partition than its child, so each partition keeps its own contribution.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from runfold_events.contract import events as e
from runfold_events.contract.ids import split_stream
from runfold_events.contract.statuses import Status
from runfold_projections.projection import FoldEvent, FoldEvents, Tables, ViewTransaction
from runfold_projections.status import STATUS_EVENTS, status_after, streams_to_load

_json = msgspec.json.Encoder().encode
CountKey = tuple[str, str, int, str]  # workspace, ancestor, partition, status


class ChildrenProjection:
    """The place and status of every run that has a parent, and the counts that follow."""

    name = "children"
    version = 1
    tables: Tables = (("child", "stream"), ("count", "workspace, ancestor_run_id, partition, status"))

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        batch = _Batch(tx)
        mine = [
            event
            for event in events.others
            if event.type in STATUS_EVENTS and event.is_of_run and event.recorded.body is not None
        ]
        await batch.load(mine)
        for event in mine:
            batch.fold(event)
        await batch.write()


class _Child(Struct):
    path: tuple[str, ...]
    status: Status
    partition: int


class _Batch:
    def __init__(self, tx: ViewTransaction) -> None:
        self._tx = tx
        self._children: dict[str, _Child] = {}  # by stream; a root, which nobody counts, is not in it
        self._counts: dict[CountKey, list[int]] = {}

    async def load(self, events: Sequence[FoldEvent]) -> None:
        """Read at once all children that the events concern."""
        streams = streams_to_load(events)
        partitions = {event.recorded.stream: event.recorded.partition for event in events}
        for stream, path, status in await self._tx.fetch_many("child_to_fold", [(s,) for s in streams]):
            path_decoded = msgspec.json.decode(path, type=tuple[str, ...])
            self._children[stream] = _Child(path_decoded, Status(status), partitions[stream])

    def fold(self, event: FoldEvent) -> None:
        body, stream = event.body, event.recorded.stream
        child = self._children.get(stream)
        if isinstance(body, e.RunCreated | e.RunErased) and child is None and body.parent_run_id is not None:
            child = _Child(body.path, status_after(body), event.recorded.partition)
            self._children[stream] = child
            self._count(stream, child, 1)
        elif child is not None and body is not None:
            self._count(stream, child, -1)
            child.status = status_after(body)
            self._count(stream, child, 1)

    def _count(self, stream: str, child: _Child, change: int) -> None:
        workspace = split_stream(stream)[0]
        parent = child.path[-2]
        for ancestor in child.path[:-1]:
            counts = self._counts.setdefault(
                (workspace, ancestor, child.partition, child.status.value), [0, 0]
            )
            counts[0] += change if ancestor == parent else 0
            counts[1] += change

    async def write(self) -> None:
        children = [
            (stream, _json(child.path).decode(), child.status.value)
            for stream, child in self._children.items()
        ]
        await self._tx.execute_many("write_child", children)
        changed = {key: counts for key, counts in self._counts.items() if counts != [0, 0]}
        await self._tx.execute_many("add_count", [(*key, *counts) for key, counts in changed.items()])
        await self._tx.execute_many("remove_zero", list(changed))
