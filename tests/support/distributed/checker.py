"""The checker: reads Kafka, Postgres and the workers' own journals, and nothing of the product's code.

It holds what acknowledged commands, stored events, both topics and all views say against one another, and reports what
does not fit, with figures: ``python -m tests.support.distributed.checker --postgres DSN --kafka SERVERS --prefix P
--journals FOLDER``. Whatever it compares must stand still: no worker sends, everything is published and folded.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from tests.support.distributed.effects import EffectsCheck
from tests.support.distributed.findings import LOST, PLACE, Findings
from tests.support.distributed.journal import ANSWERED, KEPT, Journal, read_journals
from tests.support.distributed.replay import Replay
from tests.support.distributed.stored import PartitionCheck, Rhythm, Stored, read_partition
from tests.support.distributed.topics import Topics, check_commands, check_events
from tests.support.distributed.view_tables import ViewsCheck


class Place(NamedTuple):
    """Where everything is."""

    postgres: str  # as the owner, who may read all
    kafka: str
    commands: str  # topic
    events: str  # topic
    journals: Path
    may_begin_late: frozenset[int] = (
        frozenset()
    )  # partitions of the events topic that records were removed from


class _Check:
    """One run over one store."""

    def __init__(self, place: Place, journals: list[Journal]) -> None:
        self.findings = Findings()
        self._place = place
        self._effects = EffectsCheck(journals, self.findings)
        self._replay = Replay()
        self._rhythm = Rhythm()
        self._published = self._repeats = self._log_records = 0

    async def run(self, connection: Any) -> None:
        meta = await connection.fetchrow("SELECT epoch, partitions FROM runfold.meta")
        rows = await connection.fetch(
            "SELECT partition, next_offset, next_pos, chain_head FROM runfold.partitions ORDER BY partition"
        )
        if [row["partition"] for row in rows] != list(range(meta["partitions"])):
            self.findings.add(PLACE, f"the store of {meta['partitions']} partitions has {len(rows)} rows")
        topics = Topics(self._place.kafka, commands=self._place.commands, events=self._place.events)
        try:
            for row in rows:
                check = PartitionCheck(row["partition"], len(rows), meta["epoch"], self.findings)
                events = [event async for event in self._read(connection, check, row["partition"])]
                check.end(row["next_pos"], row["chain_head"])
                await asyncio.to_thread(self._check_topics, topics, row, events)
        finally:
            topics.close()
        self._effects.end()
        await ViewsCheck(connection, self._replay, self.findings).run(
            {row["partition"]: row["next_pos"] for row in rows}
        )
        self._report([row["next_pos"] for row in rows])

    async def _read(self, connection: Any, check: PartitionCheck, partition: int) -> AsyncGenerator[Stored]:
        async for event in read_partition(connection, partition):
            check.take(event)
            self._effects.take(event)
            self._rhythm.take(event)
            try:
                self._replay.take(event)
            except KeyError as error:  # an event of a run that was never created here
                self.findings.add(LOST, f"{partition}:{event.pos} {event.type}: {error} is not there")
            yield event

    def _check_topics(self, topics: Topics, row: Any, events: Sequence[Stored]) -> None:
        partition = row["partition"]
        may_begin_late = partition in self._place.may_begin_late
        records, repeats = check_events(
            topics, partition, events, self.findings, may_begin_late=may_begin_late
        )
        self._published += records
        self._repeats += repeats
        self._log_records += check_commands(
            topics, partition, row["next_offset"], events, self._effects, self.findings
        )

    def _report(self, ends: list[int]) -> None:
        figures = self.findings.figures
        figures["events stored"] = sum(ends)
        figures["events by partition"] = ends
        figures["records in the command log"] = self._log_records
        figures["records kept as unreadable"] = self._effects.unreadable
        figures["records retained in the events topic"] = self._published
        figures["of these repeats"] = self._repeats
        self._rhythm.report(self.findings)


async def check(place: Place) -> Findings:
    """Check everything."""
    begun = time.monotonic()
    journals = await asyncio.to_thread(read_journals, place.journals)
    checking = _Check(place, journals)
    _report_journals(journals, checking.findings)
    connection: Any = await asyncpg.connect(place.postgres)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await checking.run(connection)
    finally:
        await connection.close()
    checking.findings.figures["seconds of checking"] = time.monotonic() - begun
    return checking.findings


def _report_journals(journals: list[Journal], findings: Findings) -> None:
    figures = findings.figures
    for door in ("kafka", "http"):
        mine = [journal for journal in journals if journal.door == door]
        figures[f"writers by {door}"] = len(mine)
        figures[f"commands sent by {door}"] = sum(journal.commands for journal in mine)
        if door == "kafka":
            figures["of these kept by the broker"] = sum(journal.count(KEPT) for journal in mine)
        figures[f"answered by the ledger to {door}"] = sum(journal.count(ANSWERED) for journal in mine)
        times = sorted(ms for journal in mine for ms in journal.answer_ms)
        for share in (0.5, 0.99, 1.0):
            if times:
                ms = times[min(len(times) - 1, int(share * len(times)))]
                figures[f"{door}: {100 * share:g}% answered within, ms"] = ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--journals", type=Path, required=True)
    parser.add_argument("--late", type=int, nargs="*", default=[], help="partitions whose head was removed")
    options = parser.parse_args()
    place = Place(
        options.postgres,
        options.kafka,
        f"{options.prefix}.commands",
        f"{options.prefix}.events",
        options.journals,
        frozenset(options.late),
    )
    findings = asyncio.run(check(place))
    print(findings.render())
    raise SystemExit(not findings.is_clean)


if __name__ == "__main__":
    main()
