"""Fold events into audit trails."""

from __future__ import annotations

from runfold_events.contract.events import ERASED
from runfold_projections.projection import FoldEvent, FoldEvents, Row, Tables, ViewTransaction


class HistoryProjection:
    """Keeps every event that is no metric batch, body as recorded. No body is decoded here, so none can stop it."""

    name = "history"
    version = 1
    tables: Tables = (("entry", "stream, stream_seq"),)

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        entries: dict[str, list[Row]] = {}
        erased: list[str] = []
        for event in events.others:
            if event.recorded.body is None:
                continue
            if event.type == ERASED:
                erased.append(event.recorded.stream)
                entries.pop(event.recorded.stream, None)
            entries.setdefault(event.recorded.stream, []).append(_entry(event))
        if erased:
            await tx.execute_many("remove_entries", [(stream,) for stream in erased])
        await tx.execute_many("write_entry", [row for rows in entries.values() for row in rows])


def _entry(event: FoldEvent) -> Row:
    recorded = event.recorded
    return (
        recorded.stream,
        recorded.stream_seq,
        recorded.id.bytes,
        recorded.type,
        recorded.recorded_at,
        recorded.occurred_at,
        recorded.actor,
        recorded.actor_source,
        recorded.door,
        recorded.data_version,
        recorded.content_type,
        recorded.body,
    )
