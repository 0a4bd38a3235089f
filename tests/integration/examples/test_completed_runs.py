"""A team's service keeps its own view from events, whatever Kafka repeats, loses or never had."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest

from runfold_events.contract.cloudevents import Record
from tests.integration.examples.world import PARTITIONS, Runs, World, completed, until
from tests.support.http_server import Client

pytestmark = pytest.mark.timeout(300)  # whoever comes first pays for the start of four processes

HOLE: Final = "hole: "


@pytest.fixture
def runs(client: Client) -> Runs:
    return Runs(client)


def names(hint: str, count: int) -> list[str]:
    """Runs of a test, spread over the partitions by chance."""
    return [f"{hint}-{number}-{uuid4().hex[:6]}" for number in range(count)]


def is_equal(database: Path, runs: Runs) -> None:
    """Wait until the view says what the store says."""
    wanted = runs.completed()
    until(lambda: completed(database) == wanted, f"{len(wanted)} completed runs")


def published(world: World, runs: Runs) -> list[Any]:
    """The events topic's records, once it has all that the store has."""
    ends = {(number, len(runs.events(number)) - 1) for number in range(PARTITIONS)}

    def all_of_them() -> list[Any] | None:
        records = world.records(world.events_topic)
        last = {(record.partition(), int(dict(record.headers())["ce_sequence"])) for record in records}
        return records if {end for end in ends if end[1] >= 0} <= last else None

    found: list[Any] = until(all_of_them, "all is published")
    return found


def again(record: Any) -> Record:
    return Record(record.key(), record.value(), tuple(record.headers()))


def test_the_view_says_what_the_store_says_whatever_is_repeated_and_whoever_dies(
    world: World, runs: Runs, tmp_path: Path
) -> None:
    database = tmp_path / "completed.db"
    first, second = names("a", 6), names("b", 6)
    runs.complete(*first)
    with world.follow(database) as follower:
        is_equal(database, runs)
        follower.kill()
    runs.complete(*second)
    # A relay that does not know yet that it lost its lease: everything once more.
    for record in published(world, runs):
        world.put(world.events_topic, record.partition(), again(record))
    with world.follow(database) as follower:
        is_equal(database, runs)
        runs.complete(*names("c", 2))
        runs.erase(first[0])
        is_equal(database, runs)
        assert first[0] not in completed(database)
        assert set(second) <= completed(database).keys()
        follower.process.terminate()
        assert follower.end() == 0, follower.lines
    assert not any(HOLE in line for line in follower.lines)


def test_what_kafka_has_lost_is_fetched_over_http(world: World, runs: Runs, tmp_path: Path) -> None:
    database = tmp_path / "completed.db"
    runs.complete(*names("d", 4))
    records = published(world, runs)
    runs.complete(*names("e", 4))
    ends = {record.partition(): record.offset() + 1 for record in published(world, runs)}
    cut = {record.partition(): record.offset() + 1 for record in records}
    for partition, end in cut.items():
        world.delete_records(world.events_topic, partition, min(end, ends[partition] - 1))
    with world.follow(database) as follower:
        follower.wait_for(HOLE)  # its first record is not the first event
        is_equal(database, runs)
    # The end of the topic is lost, and nothing follows that would show it.
    runs.complete(*names("f", 4))
    for partition, offset in {
        record.partition(): record.offset() for record in published(world, runs)
    }.items():
        world.delete_records(world.events_topic, partition, offset + 1)
    with world.follow(database, "--quiet-s", "0.5"):
        is_equal(database, runs)
