"""Bytes in, bytes out: how commands and events are encoded, and the digest that tells a retry from a conflict."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import Any

import msgspec

from runfold_events.contract import limits
from runfold_events.contract.commands import Command, CommandBatch, LogMetrics, command_type
from runfold_events.contract.envelope import DATA_VERSION, JSON, MSGPACK, PublicEvent
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.events import METRICS_LOGGED, AnyEvent, Event, MetricsLogged, event_type
from runfold_events.contract.upcasts import upcast

_json_encoder = msgspec.json.Encoder()
_msgpack_encoder = msgspec.msgpack.Encoder()
_canonical_encoder = msgspec.msgpack.Encoder(order="deterministic")
_event_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Event)
_batch_decoders: dict[str, Any] = {
    JSON: msgspec.json.Decoder(CommandBatch),
    MSGPACK: msgspec.msgpack.Decoder(CommandBatch),
}


def encode_event(event: AnyEvent) -> tuple[str, bytes]:
    """``(content type, body)``: a metric batch as it came, anything else as JSON."""
    if isinstance(event, MetricsLogged):
        return event.content_type, event.batch
    return JSON, _json_encoder.encode(event)


def decode_event(recorded: PublicEvent) -> AnyEvent | None:
    """The body of a stored event, upcast to today's form; None when it was erased.

    Raises:
        Invalid: the type is unknown to this version, or the body is not of its type.
    """
    if recorded.body is None:
        return None
    if recorded.type == METRICS_LOGGED:
        return MetricsLogged(recorded.body, recorded.content_type)
    body = recorded.body
    try:
        if recorded.data_version != DATA_VERSION:
            body = _json_encoder.encode(
                upcast(recorded.type, recorded.data_version, msgspec.json.decode(body))
            )
        event: Event = _event_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(
            f"event {recorded.id} of type {recorded.type} cannot be read: {error}", facts={"field": "body"}
        ) from None
    if event_type(event) != recorded.type:
        raise Invalid(
            f"event {recorded.id} says type {recorded.type}, its body {event_type(event)}",
            facts={"field": "type", "limit": event_type(event), "size": recorded.type},
        )
    return event


def decode_command_batch(content_type: str, body: bytes) -> CommandBatch:
    """Read the body of ``POST /api/v1/commands``.

    Raises:
        LimitExceeded: the body or the number of commands is over its bound.
        Invalid: not JSON or msgpack, or not of the schema; ``field`` is the path of the first fault.
    """
    if len(body) > limits.REQUEST_BODY_BYTES_MAX:
        raise LimitExceeded(
            f"the request body may have {limits.REQUEST_BODY_BYTES_MAX} bytes; it has {len(body)}",
            facts={"field": "body", "limit": limits.REQUEST_BODY_BYTES_MAX, "size": len(body)},
        )
    decoder = _batch_decoders.get(content_type)
    if decoder is None:
        raise Invalid(
            f"Content-Type must be {JSON} or {MSGPACK}, not {content_type[:80]!r}",
            facts={"field": "Content-Type", "limit": [JSON, MSGPACK], "size": content_type[:80]},
        )
    try:
        batch: CommandBatch = decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise invalid_from(error) from None
    if len(batch.commands) > limits.COMMANDS_PER_REQUEST_MAX:
        raise LimitExceeded(
            f"one request may carry {limits.COMMANDS_PER_REQUEST_MAX} commands; it has {len(batch.commands)}",
            facts={
                "field": "commands",
                "limit": limits.COMMANDS_PER_REQUEST_MAX,
                "size": len(batch.commands),
            },
        )
    return batch


def encode_command_batch(batch: CommandBatch) -> bytes:
    """The msgpack form of a request, as our SDK sends it."""
    return _msgpack_encoder.encode(batch)


def invalid_from(error: Exception) -> Invalid:
    """A decoding error as :class:`Invalid`, with the path that msgspec names (``$.commands[0].command``) as field."""
    text = str(error)
    _, marker, path = text.rpartition(" - at `$")
    field = path.rstrip("`").lstrip(".") if marker else ""
    return Invalid(text, facts={"field": field or "body", "limit": "schema"})


def command_size_bytes(command: Command) -> int:
    """The size of a command in msgpack; of a metric batch, as the client sent it."""
    return len(command.batch) if isinstance(command, LogMetrics) else len(_msgpack_encoder.encode(command))


def command_digest(command: Command, content_type: str) -> bytes:
    """SHA-256 of a command's content: equal for a retry however it was formatted, different for other content.

    A metric batch counts byte for byte; everything else as decoded, defaults left out, so that a field added later
    does not change the digest of what was sent before.
    """
    if isinstance(command, LogMetrics):
        head = f"{command_type(command)}\0{command.run_id}\0{content_type}\0".encode()
        return sha256(head + bytes(command.batch)).digest()
    return sha256(_canonical_encoder.encode(_canonical(command))).digest()


def _canonical(value: msgspec.Struct) -> dict[str, Any]:
    """A struct as the dict of its fields that differ from their defaults, tag included."""
    tag, names, defaults = _shape(type(value))
    canonical: dict[str, Any] = {"type": tag}
    for name, default, given in zip(names, defaults, msgspec.structs.astuple(value), strict=True):
        if given != default:
            canonical[name] = _canonical(given) if isinstance(given, msgspec.Struct) else given
    return canonical


@cache
def _shape(kind: type[msgspec.Struct]) -> tuple[Any, tuple[str, ...], tuple[Any, ...]]:
    """A struct's tag, the names of its fields and their defaults."""
    defaults = tuple(_default_of(field) for field in msgspec.structs.fields(kind))
    return kind.__struct_config__.tag, kind.__struct_fields__, defaults


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default
