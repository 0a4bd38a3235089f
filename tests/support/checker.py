"""What must be true of a store whatever happened to it. Reads stored events and marks; knows no rule and no fold.

Only :func:`check_heads` asks the package: heads must equal what it folds itself.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final
from uuid import UUID

import msgspec

from runfold_events.contract.envelope import RecordedEvent
from runfold_events.decision_state import encode_state, refold
from runfold_events.ports import EventStore, WriterMark
from runfold_events.sync import run_sync
from tests.support import independent

ENDS: Final = ("run.completed", "run.failed", "run.canceled")
EVENTS_MAX: Final = 1_000_000
Streams = dict[str, list[RecordedEvent]]


def check_store(store: EventStore) -> Streams:
    """Raise ``AssertionError`` at the first thing that is not as it must be; returns the events by stream."""
    ends = run_sync(store.ends())
    partitions = [run_sync(store.read(number, 0, EVENTS_MAX)) for number in range(store.partitions)]
    assert [len(events) for events in partitions] == list(ends)
    streams: Streams = defaultdict(list)
    for number, events in enumerate(partitions):
        check_partition(events, number, store.partitions, store.epoch)
        for event in events:
            streams[event.stream].append(event)
    for stream, events in streams.items():
        check_stream(events)
        check_marks(events, run_sync(store.writers(stream)))
    check_heads(store, streams)
    return streams


def check_partition(events: list[RecordedEvent], partition: int, partitions: int, epoch: UUID) -> None:
    """Positions dense from 0, every event where its stream belongs, digest and chain recomputed."""
    chain = bytes(32)
    for pos, event in enumerate(events):
        assert (event.partition, event.pos, event.epoch) == (partition, pos, epoch)
        assert event.slice == independent.slice_of(event.stream)
        assert event.slice % partitions == partition
        if event.body is not None and event.salt is not None:
            assert event.digest == independent.digest(event.salt, event.body)
        assert (event.body is None) == (event.salt is None)
        assert event.chain == independent.chain(chain, event), f"the chain breaks at {event.pos}"
        chain = event.chain
    assert len({event.id for event in events}) == len(events)


def check_stream(events: list[RecordedEvent]) -> None:
    """Numbers dense from 1; one creation, first; the first end stands; what is written once is; erasure is whole."""
    assert [event.stream_seq for event in events] == list(range(1, len(events) + 1))
    if "/experiment/" in events[0].stream:
        assert [event.type == "experiment.created" for event in events] == [True] + [False] * (
            len(events) - 1
        )
        return
    types = [event.type for event in events]
    assert [kind == "run.created" for kind in types] == [True] + [False] * (len(types) - 1)
    assert sum(kind in ENDS for kind in types) <= 1, "a second end"
    erased_at = types.index("run.erased") if "run.erased" in types else -1
    assert [event.body is None for event in events] == [pos < erased_at for pos in range(len(events))]
    assert set(types[erased_at + 1 :]) <= {"run.command_rejected"} or erased_at < 0
    check_written_once(events)
    check_late(events)


def check_written_once(events: list[RecordedEvent]) -> None:
    """No property and no parameter is written by two events."""
    seen: set[tuple[str, str]] = set()
    for event in events:
        body = body_of(event)
        for what in ("properties", "params"):
            if event.type in ("run.created", "run.properties_added", "run.params_logged"):
                keys = {(what, key) for key in body.get(what, {})}
                assert not keys & seen, f"{keys & seen} is written again"
                seen |= keys


def check_late(events: list[RecordedEvent]) -> None:
    """Data are marked late exactly when they came after the end."""
    ended = False
    marked = ("params_logged", "properties_added", "tags_set", "tags_removed", "artifact_recorded")
    for event in events:
        if event.type.removeprefix("run.") in marked and event.body is not None:
            assert body_of(event).get("late", False) == ended
        ended = ended or event.type in ENDS


def check_marks(events: list[RecordedEvent], marks: list[WriterMark]) -> None:
    """Every event's number is known to its writer's mark, and no number gave events twice."""
    by_writer = {mark.writer_id: mark for mark in marks}
    assert len(by_writer) == len(marks)
    runs: list[tuple[UUID, int]] = []
    for event in events:
        causes = (event.writer_id, event.writer_seq)
        mark = by_writer[event.writer_id]
        assert 1 <= event.writer_seq <= mark.highest
        assert not any(first <= event.writer_seq <= last for first, last in mark.gaps)
        if not runs or runs[-1] != causes:
            runs.append(causes)
    assert len(set(runs)) == len(runs), "one command gave events at two places"
    for mark in marks:
        numbers = [number for writer, number in runs if writer == mark.writer_id]
        assert numbers == sorted(numbers), "a writer's commands are out of order"
        assert all(1 <= first <= last <= mark.highest for first, last in mark.lost)


def check_heads(store: EventStore, streams: Streams) -> None:
    """Each head is at its stream's end and equals a refold of it."""
    heads = run_sync(store.heads(streams))
    assert set(heads) == set(streams)
    for stream, events in streams.items():
        state = refold(events)
        assert state is not None
        assert heads[stream].stream_seq == len(events)
        assert heads[stream].state == encode_state(state), f"the head of {stream} is not its fold"


def body_of(event: RecordedEvent) -> dict[str, Any]:
    """The body of an event that is no metric batch; empty once erased."""
    if event.body is None or event.type == "run.metrics_logged":
        return {}
    body: dict[str, Any] = msgspec.json.decode(event.body)
    return body
