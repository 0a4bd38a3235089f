"""What a publisher remembers of earlier events never shows in the record of another."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from runfold_events.contract import cloudevents
from runfold_events.contract.cloudevents import Record, event_record
from runfold_events.contract.envelope import PublicEvent

CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "stream": ("w/run/a", "w/run/b", "_system/3"),
    "writer_id": (UUID(int=1), UUID(int=2)),
    "type": ("run.metrics_logged", "run.completed"),
    "epoch": (UUID(int=3), UUID(int=4)),
    "actor": ("ada", "grace"),
    "actor_source": ("os", "kafka"),
    "data_version": (1, 2),
    "content_type": ("application/json", "application/msgpack"),
    "causation_id": (None, UUID(int=5)),
    "correlation_id": (None, UUID(int=6)),
    "traceparent": (None, "00-1-2-01"),
    "body": (b"{}", None),
    "recorded_at": (1_764_349_358_000_000, 1_764_349_358_000_001),
    "occurred_at": (1_764_349_357_000_000, 1_764_349_357_000_007),
    "pos": (0, 17),
    "stream_seq": (1, 2),
    "writer_seq": (1, 30),
    "id": (UUID(int=7), UUID(int=8)),
    "digest": (bytes(32), bytes([255]) * 32),
}


def some_event(choose: random.Random) -> PublicEvent:
    said: dict[str, Any] = {name: choose.choice(values) for name, values in CHOICES.items()}
    return PublicEvent(partition=3, door="http", **said)


def by_a_newcomer(event: PublicEvent) -> Record:
    """The record as a publisher makes it that has seen no other event."""
    cloudevents._shared.clear()  # pyright: ignore[reportPrivateUsage]
    return event_record(event)


def test_the_record_of_an_event_is_the_same_whatever_came_before() -> None:
    choose = random.Random(1)
    events = [some_event(choose) for _ in range(3_000)]
    cloudevents._shared.clear()  # pyright: ignore[reportPrivateUsage]
    records = [event_record(event) for event in events]
    assert records == [by_a_newcomer(event) for event in events]


def test_whatever_an_event_says_shows_in_its_record() -> None:
    event = some_event(random.Random(2))
    for name, values in CHOICES.items():
        one, other = (replace(event, **{name: value}) for value in values[:2])
        assert event_record(one) != event_record(other), name


def test_memory_that_is_not_compared_is_found_out() -> None:
    event = replace(some_event(random.Random(3)), actor="ada")
    other = replace(event, actor="grace")
    wanted = by_a_newcomer(other)
    known = cloudevents._remembered(event, ())  # pyright: ignore[reportPrivateUsage]
    said = other.type, other.epoch, other.actor, other.actor_source, other.data_version, other.content_type
    key = other.stream, other.writer_id
    cloudevents._shared[key] = replace(known, said=said)  # pyright: ignore[reportPrivateUsage]
    assert event_record(other) != wanted
    cloudevents._shared.clear()  # pyright: ignore[reportPrivateUsage]
