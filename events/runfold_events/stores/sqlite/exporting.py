"""A snapshot of the file for its export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from runfold_events.check import End
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.ports import WriterMark
from runfold_events.stores.sqlite.rows import event_of, json_array, mark_of
from runfold_events.stores.sqlite.snapshot import OpenSnapshot, SqliteSnapshot
from runfold_events.transfer.ports import StreamEnd

_BEHIND_SLASH: Final = "0"  # the character after "/": where names that begin with a workspace's prefix end
_BEHIND_ALL: Final = "\U0010ffff"


class SqliteExport(SqliteSnapshot):
    """``Snapshot`` of the file."""

    def __init__(
        self, open_snapshot: OpenSnapshot, place: str, partitions: int, workspace: str | None
    ) -> None:
        super().__init__(open_snapshot, place, partitions)
        self._range = ("", _BEHIND_ALL) if workspace is None else (f"{workspace}/", workspace + _BEHIND_SLASH)

    async def ends(self) -> tuple[End, ...]:
        """See ``Snapshot``."""
        return tuple(End(row[0], row[1]) for row in self._rows("export_ends"))

    async def totals(self) -> tuple[int, int]:
        """See ``Snapshot``."""
        ((mine, everything),) = self._rows("export_totals", self._range)
        return mine, everything

    async def streams(self) -> AsyncIterator[StreamEnd]:
        """See ``Snapshot``."""
        for stream, events in self._each_row("export_streams", self._range * 3):
            yield StreamEnd(stream, events)

    async def events(self, streams: Sequence[str]) -> AsyncIterator[RecordedEvent]:
        """See ``Snapshot``."""
        for stream in streams:
            for row in self._each_row("export_events", (stream,)):
                yield event_of(row)

    async def marks(self, streams: Sequence[str]) -> list[WriterMark]:
        """See ``Snapshot``."""
        return [mark_of(row) for row in self._rows("export_marks", (json_array(streams),))]

    async def run_numbers(self, streams: Sequence[str]) -> dict[str, int]:
        """See ``Snapshot``."""
        return dict(self._rows("export_run_numbers", (json_array(streams),)))
