"""Does the checker see damage? It is done to a store, journals and topics that it was content with, one at a time."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from confluent_kafka import Producer

from runfold_projections.projection import Generation
from runfold_projections.views import all_projections
from runfold_services.stack import Stack
from tests.support.distributed import checker, findings
from tests.support.distributed.checker import Place
from tests.support.distributed.findings import Findings
from tests.support.distributed.fleet import FleetSettings, fleet_on
from tests.support.distributed.topics import Topics
from tests.support.stack import StackForTest, run_apart, run_sql

EVENTS: Final = 900
RATE: Final = 250.0
PARTITIONS: Final = 2

# An event with others around it, the only one of its command; and how to change it whatever forbids that.
POS: Final = (
    "(SELECT min(pos) FROM runfold.events WHERE partition = 0 AND pos >= 20 AND type = 'run.metrics_logged')"
)
EVENT: Final = f"partition = 0 AND pos = {POS}"
UNLOCK: Final = "ALTER TABLE runfold.{} DISABLE TRIGGER ALL"
COPY: Final = """
WITH place AS (UPDATE runfold.partitions SET next_pos = next_pos + 1 WHERE partition = 0 RETURNING next_pos - 1 AS pos)
INSERT INTO runfold.events SELECT e.partition, place.pos,
    (SELECT max(stream_seq) + 1 FROM runfold.events WHERE stream = e.stream), occurred_at, recorded_at, {number}, slice,
    data_version, gen_random_uuid(), epoch, {writer}, causation_id, correlation_id, type, stream, actor, actor_source,
    door, traceparent, content_type, subject, key_id, salt, digest, chain, body
FROM runfold.events AS e, place WHERE e.partition = 0 AND e.pos = {pos}
"""


VERSIONS: Final = {projection.name: projection.version for projection in all_projections("base")}


def view(projection: str, table: str) -> str:
    """The full name of a table of a view's present version."""
    return f"runfold_views.{Generation(projection, VERSIONS[projection], 1).prefix}{table}"


class Tampering(NamedTuple):
    """SQL as the superuser, and what the checker must report."""

    sql: Sequence[str]
    kinds: frozenset[str]


def tampering(*sql: str, kinds: Sequence[str]) -> Tampering:
    return Tampering(sql, frozenset(kinds))


TAMPERINGS: Final = {
    "an event is gone": tampering(
        f"DELETE FROM runfold.events WHERE {EVENT}", kinds=[findings.HOLE, findings.LOST, findings.TOPIC]
    ),
    "the last event is gone, and its position": tampering(
        "UPDATE runfold.partitions SET next_pos = next_pos - 1 WHERE partition = 0",
        "DELETE FROM runfold.events USING runfold.partitions AS p "
        "WHERE events.partition = 0 AND p.partition = 0 AND pos = next_pos",
        kinds=[findings.LOST, findings.CHAIN, findings.TOPIC],
    ),
    "a body is another": tampering(
        f"UPDATE runfold.events SET body = body || ' ' WHERE {EVENT}", kinds=[findings.CHAIN, findings.TOPIC]
    ),
    "a time is another": tampering(
        f"UPDATE runfold.events SET recorded_at = recorded_at + 1 WHERE {EVENT}", kinds=[findings.CHAIN]
    ),
    "an event is there twice": tampering(
        COPY.format(pos=POS, number="writer_seq", writer="writer_id"), kinds=[findings.DUPLICATE]
    ),
    "an event was sent by nobody": tampering(
        COPY.format(pos=POS, number="writer_seq", writer="gen_random_uuid()"), kinds=[findings.UNSENT]
    ),
    "two commands of a writer are the wrong way round": tampering(
        "UPDATE runfold.events AS a SET writer_seq = b.writer_seq FROM runfold.events AS b "
        "WHERE a.stream = b.stream AND a.type = 'run.metrics_logged' AND b.type = a.type "
        "AND (a.writer_seq, b.writer_seq) IN ((5, 7), (7, 5))",
        kinds=[findings.ORDER, findings.CHAIN],
    ),
    "a cursor was set back": tampering(
        "UPDATE runfold.partitions SET next_offset = next_offset - 1 WHERE partition = 0",
        kinds=[findings.LOG],
    ),
    "a view counts a point twice": tampering(
        f"UPDATE {view('runs', 'metric')} SET count = count + 1, answer = NULL "
        f"WHERE run_key = (SELECT min(run_key) FROM {view('runs', 'metric')})",
        kinds=[findings.DOUBLED, findings.VIEW],
    ),
    "a run has another status in a view": tampering(
        f"UPDATE {view('experiments', 'run')} SET status = 'Failed'", kinds=[findings.VIEW]
    ),
    "a child is counted for another status": tampering(
        f"UPDATE {view('children', 'count')} SET descendants = descendants + 1",
        kinds=[findings.VIEW],
    ),
    "a line of the history is gone": tampering(
        f"DELETE FROM {view('history', 'entry')} WHERE stream_seq = 3", kinds=[findings.VIEW]
    ),
    "points are missing in a series": tampering(
        f"DELETE FROM {view('metrics', 'tail')} WHERE first = (SELECT max(first) FROM "
        f"{view('metrics', 'tail')})",
        kinds=[findings.VIEW],
    ),
    "a file is missing": tampering(
        f"DELETE FROM {view('artifacts', 'file')} WHERE size_bytes = 7", kinds=[findings.VIEW]
    ),
}


class Settled:
    """What a small load left, and copies of it."""

    def __init__(self, stack: StackForTest, place: Place) -> None:
        self.stack = stack
        self.place = place

    def check(self, place: Place) -> Findings:
        return asyncio.run(checker.check(place))

    def with_store(self, *sql: str) -> Place:
        """A copy of the store that was tampered with."""
        dsn = self.stack.copy_of(self.place.postgres)
        unlock = [UNLOCK.format(table) for table in ("events", "partitions")]
        run_apart(lambda: run_sql(dsn, *unlock, *sql, "SELECT 1"))
        return self.place._replace(postgres=dsn)

    def with_events(self, change: Callable[[list[Any]], list[Any]]) -> Place:
        """A copy of the events topic in which partition 0 was changed."""
        name = self.stack.topic(PARTITIONS, hint="events")
        kafka, commands = self.place.kafka, self.place.commands
        topics = Topics(kafka, commands=commands, events=self.place.events)
        producer = Producer({"bootstrap.servers": kafka, "log_level": 2})
        try:
            for partition in range(PARTITIONS):
                records = [(r.key(), r.value(), r.headers()) for r in topics.read_events(partition)[1]]
                for key, value, headers in change(records) if partition == 0 else records:
                    producer.produce(name, value, key, partition, headers=headers)
            assert producer.flush(30) == 0
        finally:
            topics.close()
        return self.place._replace(events=name)


@pytest.fixture(scope="module")
def settled(run_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Generator[Settled]:
    stack = StackForTest(run_stack)
    folder = tmp_path_factory.mktemp("settled")

    async def load() -> Place:
        async with fleet_on(stack, folder, FleetSettings(partitions=PARTITIONS, lease_s=3.0)) as fleet:
            await fleet.start_all({"api": 1, "decider": 1, "relay": 1, "projector": 1})
            fleet.start_kafka_worker(RATE)
            fleet.start_http_worker(RATE)
            await fleet.stored(EVENTS)
            await fleet.end_load()
            await fleet.settled()
            for role in ("api", "decider", "relay", "projector"):
                assert await fleet.remove(role) == 0
            return fleet.place()

    yield Settled(stack, asyncio.run(load()))
    stack.close()


@pytest.mark.timeout(300)
def test_a_store_that_nobody_touched_is_as_it_should_be(settled: Settled) -> None:
    found = settled.check(settled.with_store("SELECT 1"))
    print(found.render())
    assert found.is_clean, found.render()
    assert found.figures["events stored"] >= EVENTS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", TAMPERINGS)
def test_damage_in_the_database_is_reported(settled: Settled, what: str) -> None:
    found = settled.check(settled.with_store(*TAMPERINGS[what].sql))
    assert TAMPERINGS[what].kinds <= set(found.counts), found.render()


@pytest.mark.timeout(300)
def test_an_acknowledgement_of_what_is_not_stored_is_reported(settled: Settled, tmp_path: Path) -> None:
    journals = tmp_path / "journals"
    shutil.copytree(settled.place.journals, journals)
    journal = next(journals.glob("kafka*.journal"))
    text = journal.read_text("utf-8")
    number = 1 + max(int(line.split(" ")[2]) for line in text.splitlines() if line.startswith("S 1 "))
    journal.write_text(
        f"{text}S 1 {number} run.log_metrics 0123456789abcdef\nB 1 {number} 0 7\nG 9999\nK 9999 0 8\n",
        "utf-8",
    )
    found = settled.check(settled.place._replace(journals=journals))
    assert found.counts == {findings.LOST: 2}, found.render()


@pytest.mark.timeout(300)
def test_a_batch_that_is_not_what_was_sent_is_reported(settled: Settled, tmp_path: Path) -> None:
    journals = tmp_path / "journals"
    shutil.copytree(settled.place.journals, journals)
    journal = next(journals.glob("kafka*.journal"))
    text = journal.read_text("utf-8")
    journal.write_text(
        re.sub("(run.log_metrics) [0-9a-f]{16}", r"\1 0123456789abcdef", text, count=1), "utf-8"
    )
    found = settled.check(settled.place._replace(journals=journals))
    assert found.counts == {findings.EFFECT: 1}, found.render()


RECORDS: Final[dict[str, Callable[[list[Any]], list[Any]]]] = {
    "a record is missing": lambda records: records[:10] + records[11:],
    "the first record is missing": lambda records: records[1:],
    "the last record is missing": lambda records: records[:-1],
    "two records are the wrong way round": lambda records: [records[1], records[0], *records[2:]],
    "a value is another": lambda records: [(records[0][0], b"{}", records[0][2]), *records[1:]],
    "a key is another": lambda records: [(b"soak/run/other", *records[0][1:]), *records[1:]],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", RECORDS)
def test_damage_in_the_events_topic_is_reported(settled: Settled, what: str) -> None:
    found = settled.check(settled.with_events(RECORDS[what]))
    assert found.counts[findings.TOPIC] > 0, found.render()
    assert set(found.counts) == {findings.TOPIC}


@pytest.mark.timeout(300)
def test_repeated_records_are_no_damage(settled: Settled) -> None:
    found = settled.check(settled.with_events(lambda records: [*records[:8], *records[3:]]))
    assert found.is_clean, found.render()
    assert found.figures["of these repeats"] == 5
