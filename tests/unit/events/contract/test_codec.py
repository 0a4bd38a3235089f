"""Commands and events survive their encodings; what is not of the schema is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from runfold_events.contract import codec
from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract.envelope import JSON, MSGPACK, RecordedEvent
from runfold_events.contract.errors import Invalid, LimitExceeded
from tests.support.strategies import JSON_VALUES, damaged, structs

COMMANDS: Final = get_args(c.Command)
EVENTS: Final = get_args(e.Event)
ENCODE: Final[dict[str, Callable[[Any], bytes]]] = {
    JSON: msgspec.json.encode,
    MSGPACK: msgspec.msgpack.encode,
}
RAW: Final = {
    JSON: JSON_VALUES.map(msgspec.json.encode).map(Raw),
    MSGPACK: JSON_VALUES.map(msgspec.msgpack.encode).map(Raw),
}
STORED: Final = RecordedEvent(
    id=UUID(int=1),
    type="",
    stream="w/run/r",
    stream_seq=1,
    partition=0,
    pos=0,
    slice=0,
    epoch=UUID(int=2),
    occurred_at=1,
    recorded_at=1,
    actor="a",
    actor_source="os",
    door="embedded",
    writer_id=UUID(int=3),
    writer_seq=1,
    salt=b"",
    digest=b"",
    chain=b"",
    body=b"",
)


def stored(event: e.AnyEvent) -> RecordedEvent:
    content_type, body = codec.encode_event(event)
    return replace(STORED, type=e.event_type(event), content_type=content_type, body=body)


def batch(*commands: c.Command) -> c.CommandBatch:
    return c.CommandBatch(workspace="w", commands=tuple(c.CommandItem(command=one) for one in commands))


# ── round trips ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_a_command_is_read_as_it_was_sent(kind: type[Any], content_type: str) -> None:
    @settings(max_examples=15)
    @given(structs(kind, RAW[content_type]))
    def check(command: Any) -> None:
        item = c.CommandItem(command=command, writer_seq=3, occurred_at=4, correlation_id=UUID(int=5))
        sent = c.CommandBatch(workspace="w", commands=(item,), hold=True)
        body = ENCODE[content_type](sent)
        received = codec.decode_command_batch(content_type, body)
        # repr tells 1 from True and 1.0, and 0.0 from -0.0, which == does not
        assert readable(received) == readable(sent)
        assert ENCODE[content_type](received) == body

    check()


def readable(sent: c.CommandBatch) -> str:
    """All of a batch in one text, metric batches by their bytes."""
    raws = [bytes(item.command.batch) for item in sent.commands if isinstance(item.command, c.LogMetrics)]
    return re.sub(r"<msgspec.*?>", "", repr(sent)) + repr(raws)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_event_is_read_as_it_was_stored(kind: type[Any]) -> None:
    @settings(max_examples=15)
    @given(structs(kind))
    def check(event: Any) -> None:
        record = stored(event)
        assert record.content_type == JSON
        assert repr(codec.decode_event(record)) == repr(event)

    check()


def test_a_metric_batch_is_stored_byte_for_byte() -> None:
    event = e.MetricsLogged(b' {"series" : [] }\n', JSON)
    assert codec.encode_event(event) == (JSON, b' {"series" : [] }\n')
    assert codec.decode_event(stored(event)) == event


def test_an_erased_event_has_no_body_to_read() -> None:
    assert codec.decode_event(replace(stored(e.RunStarted()), body=None, salt=None)) is None


# ── names that outlive the program ────────────────────────────────────────────────────────────────────────


def test_the_names_of_commands_are_fixed() -> None:
    assert {kind.__struct_config__.tag for kind in COMMANDS} == {
        "experiment.ensure",
        "experiment.update",
        "run.create",
        "run.start",
        "run.advance",
        "run.request_cancel",
        "run.complete",
        "run.fail",
        "run.cancel",
        "run.mark_lost",
        "run.mark_found",
        "run.log_metrics",
        "run.log_params",
        "run.add_properties",
        "run.set_tags",
        "run.remove_tags",
        "run.update",
        "run.archive",
        "run.restore",
        "run.record_artifact",
        "run.declare_lost",
        "run.erase",
    }


def test_a_command_and_an_event_say_their_name() -> None:
    assert c.command_type(c.AddProperties(run_id="r", properties={})) == "run.add_properties"
    assert e.event_type(e.PropertiesAdded(properties={})) == "run.properties_added"
    assert e.event_type(e.MetricsLogged(b"", JSON)) == "run.metrics_logged"


def test_the_names_of_events_are_fixed() -> None:
    assert {kind.__struct_config__.tag for kind in EVENTS} == {
        "experiment.created",
        "experiment.updated",
        "run.created",
        "run.started",
        "run.advanced",
        "run.cancel_requested",
        "run.completed",
        "run.failed",
        "run.canceled",
        "run.lost",
        "run.found",
        "run.params_logged",
        "run.properties_added",
        "run.tags_set",
        "run.tags_removed",
        "run.updated",
        "run.archived",
        "run.restored",
        "run.artifact_recorded",
        "run.commands_lost",
        "run.command_rejected",
        "run.erased",
        "command.unreadable",
        "commands.lost",
        "store.restored",
        "command.redriven",
        "store.import_started",
        "store.import_ended",
    }


@pytest.mark.parametrize("kind", [*COMMANDS, *EVENTS], ids=lambda kind: kind.__name__)
def test_every_message_is_frozen(kind: type[Any]) -> None:
    assert kind.__struct_config__.frozen


# ── unknown fields ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content_type", [JSON, MSGPACK])
@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_an_unknown_field_of_a_command_is_refused_by_name(kind: type[Any], content_type: str) -> None:
    @settings(max_examples=3)
    @given(structs(kind, RAW[content_type]))
    def check(command: Any) -> None:
        decode = msgspec.json.decode if content_type == JSON else msgspec.msgpack.decode
        plain = decode(ENCODE[content_type](batch(command)))
        plain["commands"][0]["command"]["surprise"] = 1
        with pytest.raises(Invalid, match="surprise") as caught:
            codec.decode_command_batch(content_type, ENCODE[content_type](plain))
        assert caught.value.field == "commands[0].command"

    check()


@pytest.mark.parametrize("where", ["batch", "item", "error"])
def test_an_unknown_field_around_a_command_is_refused(where: str) -> None:
    plain = msgspec.json.decode(
        msgspec.json.encode(batch(c.FailRun(run_id="r", error=c.ErrorInfo(message="m"))))
    )
    places = {
        "batch": plain,
        "item": plain["commands"][0],
        "error": plain["commands"][0]["command"]["error"],
    }
    places[where]["surprise"] = 1
    with pytest.raises(Invalid, match="surprise"):
        codec.decode_command_batch(JSON, msgspec.json.encode(plain))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_unknown_field_of_an_event_is_ignored(kind: type[Any]) -> None:
    @settings(max_examples=3)
    @given(structs(kind))
    def check(event: Any) -> None:
        plain = msgspec.json.decode(codec.encode_event(event)[1])
        record = replace(stored(event), body=msgspec.json.encode(plain | {"surprise": {"from": "tomorrow"}}))
        assert repr(codec.decode_event(record)) == repr(event)

    check()


# ── events that cannot be read ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"type":"run.invented"}', {"type": "run.invented"}),
        (b'{"type":"run.found"}', {"type": "run.found"}),
        (b'{"type":"run.found","status":"Sleeping"}', {"type": "run.found"}),
        (b'{"type":"run.started"}', {"data_version": 2}),
        (b'{"type":"run.started"}', {"data_version": 0}),
        (b"{", {}),
        (b"{", {"data_version": 2}),
        (b"", {}),
        (b"[]", {}),
        (b'{"type":"run.canceled","reason":"\xff"}', {"type": "run.canceled"}),
    ],
)
def test_an_event_that_cannot_be_read_is_invalid(body: bytes, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        codec.decode_event(replace(STORED, **({"type": "run.started", "body": body} | fields)))


def test_a_body_of_another_type_than_its_envelope_is_invalid() -> None:
    with pytest.raises(Invalid):
        codec.decode_event(replace(stored(e.RunCompleted()), type="run.started"))


def test_an_event_of_a_newer_program_says_to_upgrade() -> None:
    with pytest.raises(Invalid, match="upgrade") as caught:
        codec.decode_event(replace(stored(e.RunStarted()), data_version=7))
    assert caught.value.facts["size"] == 7


# ── requests ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/JSON ", "application/json; charset=utf-8"]
)
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(Invalid) as caught:
        codec.decode_command_batch(content_type, b"{}")
    assert caught.value.field == "Content-Type"


def test_a_request_takes_8_mib_and_no_more() -> None:
    body = msgspec.json.encode(batch(c.StartRun(run_id="r")))
    full = body + b" " * (8 * 1024 * 1024 - len(body))
    assert codec.decode_command_batch(JSON, full).workspace == "w"
    with pytest.raises(LimitExceeded) as caught:
        codec.decode_command_batch(JSON, full + b" ")
    error = caught.value
    assert (error.field, error.limit, error.size) == ("body", 8 * 1024 * 1024, 8 * 1024 * 1024 + 1)


def test_a_request_takes_10_000_commands_and_no_more() -> None:
    one = c.StartRun(run_id="r")
    for content_type, encode in ENCODE.items():
        full = encode(batch(*[one] * 10_000))
        assert len(codec.decode_command_batch(content_type, full).commands) == 10_000
        with pytest.raises(LimitExceeded) as caught:
            codec.decode_command_batch(content_type, encode(batch(*[one] * 10_001)))
        assert (caught.value.field, caught.value.limit, caught.value.size) == ("commands", 10_000, 10_001)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"null", "body"),
        (b'{"workspace":"w"}', "body"),
        (b'{"workspace":1,"commands":[]}', "workspace"),
        (b'{"workspace":"w","commands":{}}', "commands"),
        (b'{"workspace":"w","commands":[1]}', "commands[0]"),
        (b'{"workspace":"w","commands":[{"command":{}}]}', "commands[0].command"),
        (b'{"workspace":"w","commands":[{"command":{"type":"run.invented"}}]}', "commands[0].command.type"),
        (
            b'{"workspace":"w","commands":[{"command":{"type":"run.start","run_id":1}}]}',
            "commands[0].command.run_id",
        ),
        (
            b'{"workspace":"w","commands":[{"command":{"type":"run.advance","run_id":"r","status":"Sleeping"}}]}',
            "commands[0].command.status",
        ),
        (b'{"workspace":"w","commands":[],"hold":"yes"}', "hold"),
        (b'{"workspace":"\\ud800","commands":[]}', "body"),
        (b'{"workspace":"\xed\xa0\x80","commands":[]}', "body"),
        (b'{"workspace":"w","commands":[' + b"[" * 200_000, "commands[0]"),
        (b"[" * 200_000, "body"),
        (b'{"a":' * 100_000, "body"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_broken_json_request_names_the_field(body: bytes, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        codec.decode_command_batch(JSON, body)
    assert caught.value.code == "invalid"
    assert caught.value.field is not None
    assert caught.value.field == field
    assert len(str(caught.value)) < 1_000
    msgspec.json.encode(caught.value.facts)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xdf\xff\xff\xff\xff",
        b"\x82\xa9workspace\xa1w\xa8commands\xdd\xff\xff\xff\xff",
        b"\x82\xa9workspace\xa1\xff\xa8commands\x90",
        b"\x82\xa9workspace\xdb\xff\xff\xff\xff",
        b"\x91" * 200_000,
        b"\x81\xa1a" * 200_000,
    ],
    ids=lambda body: repr(body)[:60],
)
def test_a_broken_msgpack_request_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid):
        codec.decode_command_batch(MSGPACK, body)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_metric_batch_nested_without_end_is_invalid(opening: bytes) -> None:
    head = b'{"workspace":"w","commands":[{"command":{"type":"run.log_metrics","run_id":"r","batch":'
    with pytest.raises(Invalid):
        codec.decode_command_batch(JSON, head + opening * 500_000)


@given(st.sampled_from([JSON, MSGPACK]), st.binary(max_size=200))
def test_any_bytes_are_a_request_or_invalid(content_type: str, body: bytes) -> None:
    try:
        codec.decode_command_batch(content_type, body)
    except Invalid as error:
        msgspec.json.encode(error.facts)


MUTATED: Final = {
    content_type: encode(
        batch(
            c.CreateRun(run_id="r", experiment="e", tags={"a": None}, properties={"p": "1"}),
            c.LogMetrics(run_id="r", batch=Raw(encode({"series": []}))),
            c.LogParams(run_id="r", params={"lr": 0.1, "n": 3}),
            c.FailRun(run_id="r", error=c.ErrorInfo(message="boom")),
        )
    )
    for content_type, encode in ENCODE.items()
}


@settings(max_examples=150)
@given(st.sampled_from([JSON, MSGPACK]), st.data())
def test_a_request_with_bytes_changed_is_a_request_or_invalid(content_type: str, data: st.DataObject) -> None:
    body = data.draw(damaged(MUTATED[content_type], 4))
    cut = data.draw(st.integers(len(body) // 2, len(body)))
    try:
        codec.decode_command_batch(content_type, bytes(body[:cut]))
    except Invalid as error:
        msgspec.json.encode(error.facts)


# ── the digest that tells a retry from a conflict ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind", sorted({*COMMANDS} - {c.LogMetrics}, key=repr), ids=lambda kind: kind.__name__
)
def test_a_digest_does_not_depend_on_the_encoding(kind: type[Any]) -> None:
    @settings(max_examples=8)
    @given(structs(kind))
    def check(command: Any) -> None:
        seen: set[bytes] = set()
        for content_type, encode in ENCODE.items():
            received = codec.decode_command_batch(content_type, encode(batch(command))).commands[0].command
            seen.add(codec.command_digest(received, JSON))
        assert len(seen) == 1

    check()


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    there = c.SetTags(run_id="r", tags={"a": "1", "b": "2"})
    back = c.SetTags(run_id="r", tags={"b": "2", "a": "1"})
    assert codec.command_digest(there, JSON) == codec.command_digest(back, JSON)


def test_digests_tell_contents_apart() -> None:
    different: list[c.Command] = [
        c.StartRun(run_id="r"),
        c.StartRun(run_id="s"),
        c.CompleteRun(run_id="r"),
        c.LogParams(run_id="r", params={"a": 1}),
        c.LogParams(run_id="r", params={"a": 1.0}),
        c.LogParams(run_id="r", params={"a": True}),
        c.LogParams(run_id="r", params={"a": "1"}),
        c.LogParams(run_id="r", params={"a": None}),
        c.LogParams(run_id="r", params={}),
        c.UpdateRun(run_id="r"),
        c.UpdateRun(run_id="r", description=None),
        c.LogMetrics(run_id="r", batch=Raw(b"{}")),
        c.LogMetrics(run_id="r", batch=Raw(b"{ }")),
        c.LogMetrics(run_id="s", batch=Raw(b"{}")),
    ]
    digests = {codec.command_digest(command, JSON) for command in different}
    digests.add(codec.command_digest(c.LogMetrics(run_id="r", batch=Raw(b"{}")), MSGPACK))
    assert len(digests) == len(different) + 1
    assert {len(value) for value in digests} == {32}


def test_a_field_at_its_default_does_not_change_the_digest() -> None:
    """So a field that a later version adds leaves the digests of old senders alone."""
    plain = b'{"type":"run.create","run_id":"r","experiment":"e"}'
    full = plain[:-1] + b',"start":true,"resume":false,"parent_run_id":null,"tags":{},"target":"local"}'
    digests = [
        codec.command_digest(msgspec.json.decode(body, type=c.CreateRun), JSON) for body in (plain, full)
    ]
    assert digests[0] == digests[1]
