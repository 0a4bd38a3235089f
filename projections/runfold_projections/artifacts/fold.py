"""Fold events into the files of runs."""

from __future__ import annotations

from typing import Final

from runfold_events.contract import events as e
from runfold_events.contract.events import ERASED
from runfold_events.contract.ids import split_stream
from runfold_projections.projection import FoldEvent, FoldEvents, Row, Tables, ViewTransaction

RECORDED: Final = "run.artifact_recorded"


class ArtifactsProjection:
    """One row for each file of a run. A path is recorded once, so rows come and, with their run, go; none changes."""

    name = "artifacts"
    version = 1
    tables: Tables = (("file", "stream, stream_seq"),)

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        files: dict[str, list[Row]] = {}
        erased: list[str] = []
        for event in events.others:
            stream = event.recorded.stream
            if event.type == ERASED and event.is_of_run:
                erased.append(stream)
                files.pop(stream, None)
            elif event.type == RECORDED and isinstance(body := event.body, e.ArtifactRecorded):
                files.setdefault(stream, []).append(_row(event, body))
        if erased:
            await tx.execute_many("remove_files", [(stream,) for stream in dict.fromkeys(erased)])
        await tx.execute_many("write_file", [row for rows in files.values() for row in rows])


def _row(event: FoldEvent, body: e.ArtifactRecorded) -> Row:
    return (
        event.recorded.stream,
        event.recorded.stream_seq,
        body.path,
        split_stream(event.recorded.stream)[0],
        body.sha256,
        body.size_bytes,
        body.content_type,
        event.recorded.recorded_at,
    )
