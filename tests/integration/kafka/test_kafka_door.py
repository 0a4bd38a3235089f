"""Commands by Kafka: the same events as by the other door, answers, and what cannot be handled."""

from __future__ import annotations

import time
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest

from runfold_events.contract import commands as c
from runfold_events.contract import limits
from runfold_events.contract.cloudevents import Record, command_record
from runfold_events.contract.codec import decode_event
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.errors import Invalid, LimitExceeded, Unavailable
from runfold_events.contract.events import CommandUnreadable
from runfold_events.contract.submission import Accepted, Outcome, Refused, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import KEPT_OF_CUT_BYTES
from tests.integration.kafka.poison import forged, poison
from tests.integration.kafka.scene import EXPERIMENT, Scene, until, with_scene
from tests.support.stack import create_topic, run_apart

REPLIES: Final = "runfold.replies"


def story() -> list[tuple[Command, int]]:
    """Commands of eight runs, some of which are refused."""
    runs = [f"r{number}" for number in range(8)]
    return [
        (c.EnsureExperiment(experiment=EXPERIMENT), 1),
        *((c.CreateRun(run_id=run, experiment=EXPERIMENT), 1) for run in runs),
        *((c.AddProperties(run_id=run, properties={"a": "1"}), 2) for run in runs),
        *((c.AddProperties(run_id=run, properties={"a": "2"}), 3) for run in runs),
        *((c.CompleteRun(run_id=run), 4) for run in runs),
        *((c.FailRun(run_id=run), 5) for run in runs),
    ]


def told(events: list[RecordedEvent]) -> dict[str, list[Any]]:
    """What events say, by stream, without what is drawn by chance or clock."""
    by_stream: dict[str, list[Any]] = {}
    for event in events:
        body = msgspec.json.decode(event.body or b"null")
        for fact in ("first_event", "event", "number"):
            body.get("facts", body).pop(fact, None)
        body.pop("message", None)  # names an event's id
        told = (event.type, event.stream_seq, event.writer_id, event.writer_seq, event.actor, body)
        by_stream.setdefault(event.stream, []).append(told)
    return by_stream


@with_scene()
async def test_commands_by_kafka_give_the_same_events_as_by_the_ledger(scene: Scene) -> None:
    writer = uuid4()
    submissions = [scene.submission(command, writer, number) for command, number in story()]
    producer = scene.producer()
    async with scene.deciding():
        await producer.send(submissions[:1])
        await scene.all_handled()  # an experiment is awaited before it is named
        await producer.send(submissions[1:])
        await scene.all_handled()
    by_kafka = await scene.all_events()
    assert {event.door for event in by_kafka} == {"kafka"}
    assert {(event.actor, event.actor_source) for event in by_kafka} == {("kafka", "kafka")}
    assert [event.traceparent for event in by_kafka] == [None] * len(by_kafka)

    other = Scene(scene.stack, scene.partitions, scene.exit_stack)
    other.store = await other.open_store()
    await Ledger(other.store, SystemIds()).handle(submissions)
    assert told(by_kafka) == told(await other.all_events())
    assert len(by_kafka) == 1 + 8 * 6


# Answers


async def replies(scene: Scene, topic: str, count: int) -> dict[bytes, tuple[Outcome, dict[str, bytes]]]:
    """Answers by correlation."""

    async def are_there() -> bool:
        return len(await scene.read_topic(topic, 0)) >= count

    await until(are_there, f"{count} replies")
    found = await scene.read_topic(topic, 0)
    assert len(found) == count
    return {
        dict(record.headers)["ce_correlationid"]: (
            msgspec.json.decode(record.value or b"", type=Accepted | Refused),
            dict(record.headers),
        )
        for record in found
    }


@with_scene(partitions=2)
async def test_answers_go_to_the_reply_topic_and_to_no_other(scene: Scene) -> None:
    topic = f"{REPLIES}.{scene.settings.prefix}"
    run_apart(lambda: create_topic(scene.kafka, topic, 1, {}))
    writer, producer = uuid4(), scene.producer()
    commands: list[tuple[Command, int]] = [
        (c.AddProperties(run_id="r", properties={"a": "1"}), 2),
        (c.AddProperties(run_id="r", properties={"a": "2"}), 3),
        (c.AddProperties(run_id="r", properties={"a": "1"}), 2),  # sent again: the first answer again
        (c.CompleteRun(run_id="nobody"), 1),
    ]
    correlations = [UUID(int=number) for number in range(len(commands))]
    await scene.create_runs(writer, "r")
    async with scene.deciding():
        for (command, number), correlation in zip(commands, correlations, strict=True):
            sent = scene.submission(command, writer, number, correlation=correlation)
            await producer.send([sent], reply_to=topic)
        found = await replies(scene, topic, len(commands))
    first, refused, again, unknown = (found[str(correlation).encode()][0] for correlation in correlations)
    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert isinstance(refused, Refused)
    assert isinstance(unknown, Refused)
    assert first.token.startswith(str(scene.store.epoch))
    assert (again.events, again.repeated) == (first.events, True)
    assert (refused.code, unknown.code) == ("property_immutable", "not_found")
    headers = found[str(correlations[0]).encode()][1]
    assert (headers["ce_writerid"], headers["ce_writerseq"]) == (str(writer).encode(), b"2")
    with pytest.raises(Invalid):
        await producer.send([scene.submission(c.CompleteRun(run_id="r"), writer, 4)], reply_to="elsewhere")


@with_scene(partitions=2)
async def test_a_reply_topic_that_is_missing_keeps_nobody_waiting(scene: Scene) -> None:
    writer, producer = uuid4(), scene.producer()
    await scene.create_runs(writer, "r")
    async with scene.deciding() as decider:
        began = time.monotonic()
        for number in range(2, 12):
            tags = c.SetTags(run_id="r", tags={"n": str(number)})
            await producer.send(
                [scene.submission(tags, writer, number)], reply_to=f"{REPLIES}.nobody-made-this.{number}"
            )
        await scene.all_handled()
        assert time.monotonic() - began < 5
        assert decider.status.alarms == {}


# What cannot be handled


@with_scene(partitions=2)
async def test_whatever_cannot_be_handled_is_kept_and_its_neighbours_commit(scene: Scene) -> None:
    writer = uuid4()
    run_id = scene.run_id_in(0)
    await scene.create_runs(writer, run_id)
    bad = poison(scene, writer)
    records: list[Record] = []
    for number, (record, _) in enumerate(bad.values()):
        tags = c.SetTags(run_id=run_id, tags={"n": str(number)})
        records += [record, command_record(scene.submission(tags, writer, number + 2))]
    async with scene.deciding() as decider:
        offsets = await scene.send_raw(scene.settings.commands_topic, 0, records)
        await scene.all_handled()
        assert decider.status.alarms == {}
    events = await scene.events(0)
    assert sum(event.type == "run.tags_set" for event in events) == len(bad), "every neighbour took effect"
    kept = {b.offset: b for e in events if isinstance(b := decode_event(e), CommandUnreadable)}
    assert sorted(kept) == offsets[::2]
    for (what, (record, code)), offset in zip(bad.items(), offsets[::2], strict=True):
        body = kept[offset]
        assert body.code == code, what
        assert (body.key or b"", body.value or b"") == (record.key, record.value), what
        assert body.headers == record.headers, what
    assert {event.actor for event in events if event.stream.startswith("_system")} == {"runfold"}


@with_scene(partitions=1)
async def test_a_forged_header_names_no_actor_and_no_position(scene: Scene) -> None:
    writer = uuid4()
    await scene.create_runs(writer, "r")
    good = command_record(scene.submission(c.SetTags(run_id="r", tags={"a": "b"}), writer, 2))
    extra = {
        "ce_actor": b"root",
        "ce_actorsource": b"token",
        "ce_sequence": b"0" * 20,
        "ce_epoch": b"x",
        "ce_id": b"0",
    }
    async with scene.deciding():
        await scene.send_raw(scene.settings.commands_topic, 0, [forged(good, **extra)])
        await scene.all_handled()
    last = (await scene.events(0))[-1]
    assert (last.type, last.actor, last.actor_source) == ("run.tags_set", "kafka", "kafka")


@with_scene(partitions=1)
async def test_a_header_whose_name_is_no_text_stops_nobody(scene: Scene) -> None:
    """aiokafka cannot read a batch with such a record at all."""
    writer, name = uuid4(), b"\xff\xfe\x00\x80"
    await scene.create_runs(writer, "r")
    records = [
        command_record(scene.submission(c.SetTags(run_id="r", tags={"n": str(number)}), writer, number))
        for number in range(2, 12)
    ]
    bad = forged(records[4], ce_writerseq=b"12", **{"?" * len(name): b"value"})
    topic = scene.settings.commands_topic
    async with scene.deciding() as decider:
        await scene.send_raw(topic, 0, records[:3])
        await scene.send_named_in_bytes(topic, 0, [*records[3:5], bad, *records[5:8]], name=name)
        await scene.all_handled()
        assert decider.status.alarms == {}
    async with scene.deciding():  # looks at the last handled record
        await scene.send_raw(topic, 0, records[8:])
        await scene.all_handled()
    events = await scene.events(0)
    tags = [msgspec.json.decode(e.body or b"")["tags"]["n"] for e in events if e.type == "run.tags_set"]
    assert tags == [str(number) for number in range(2, 12)]
    (mark,) = [mark for mark in await scene.store.writers("w/run/r") if mark.writer_id == writer]
    assert (mark.highest, mark.gaps) == (12, ()), "the record itself is a command like any other"


@with_scene(partitions=1)
async def test_a_record_larger_than_any_event_is_cut_and_can_be_published(scene: Scene) -> None:
    """The topic's limit is on compressed batches: what a sender compressed may be larger than all limits."""
    huge = Record(b"key", bytes(3 * limits.EVENT_BYTES_MAX), ())
    async with scene.deciding():
        await scene.send_raw(scene.settings.commands_topic, 0, [huge], compression_type="gzip")
        await scene.all_handled()
    (event,) = await scene.events(0)
    body = decode_event(event)
    assert isinstance(body, CommandUnreadable)
    assert body.value == bytes(KEPT_OF_CUT_BYTES)
    assert body.facts["record_bytes"] == len(huge.value) + 3
    async with scene.relaying():
        await scene.published()


@with_scene(partitions=1)
async def test_a_command_that_makes_the_database_fail_is_found_and_kept(scene: Scene) -> None:
    writer = uuid4()
    await scene.create_runs(writer, "r")
    await scene.sql(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'cannot take this'; END $$",
        "CREATE TRIGGER fails BEFORE INSERT ON runfold.events FOR EACH ROW "
        "WHEN (NEW.type = 'run.tags_set' AND convert_from(NEW.body, 'UTF8') LIKE '%\"13\"%') "
        "EXECUTE FUNCTION public.refuse()",
        "SELECT 1",
    )
    producer = scene.producer()
    sent = [
        scene.submission(c.SetTags(run_id="r", tags={"n": str(number)}), writer, number)
        for number in range(2, 40)
    ]
    await producer.send(sent)
    async with scene.deciding() as decider:
        await scene.all_handled()
    events = await scene.events(0)
    (kept,) = [b for e in events if isinstance(b := decode_event(e), CommandUnreadable)]
    assert (kept.code, kept.offset) == ("error", 11)
    assert "cannot take this" in kept.message
    assert sum(event.type == "run.tags_set" for event in events) == len(sent) - 1
    (mark,) = [m for m in await scene.store.writers("w/run/r") if m.writer_id == writer]
    assert mark.gaps == ((13, 13),)
    assert decider.status.alarms == {}


# Our own sender


@with_scene(partitions=2)
async def test_an_oversize_command_is_refused_before_it_is_sent(scene: Scene) -> None:
    writer, producer = uuid4(), scene.producer()
    small = scene.submission(c.SetTags(run_id="r", tags={"a": "b"}), writer, 2)
    large = scene.submission(c.SetTags(run_id="r", tags={"a": "x" * limits.COMMAND_BYTES_MAX}), writer, 3)
    with pytest.raises(LimitExceeded):
        await producer.send([small, large])
    assert set((await scene.topic_ends()).values()) == {0}, "nothing of the call was sent"
    await producer.send([small])
    assert sum((await scene.topic_ends()).values()) == 1, "the producer is still of use"


@with_scene(partitions=2)
async def test_sending_ends_at_its_deadline(scene: Scene) -> None:
    writer = uuid4()
    sent = scene.submission(c.SetTags(run_id="r", tags={"a": "b"}), writer, 2)
    nowhere = scene.producer(deadline_s=0.5, topic="nobody.made.this")
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await nowhere.send([sent])
    assert time.monotonic() - began < 3


def many(scene: Scene, count: int) -> list[Submission]:
    writer = uuid4()
    return [
        scene.submission(c.SetTags(run_id=f"r{n % 50}", tags={"n": "x" * 1_000}), writer, n + 1)
        for n in range(count)
    ]


@with_scene(partitions=4)
async def test_a_bounded_producer_sends_all_to_the_partitions_of_their_streams(scene: Scene) -> None:
    import asyncio

    producer = scene.producer(in_flight_bytes_max=20_000)
    sent = many(scene, 400)
    await asyncio.gather(*(producer.send([submission]) for submission in sent))
    ends = await scene.topic_ends()
    assert sum(ends.values()) == 400
    for partition in ends:
        for record in await scene.read_topic(scene.settings.commands_topic, partition):
            assert record.key is not None
            assert scene.partition_of(record.key.decode()) == partition
