"""The AsyncAPI 3 document of the Kafka contract, made from the Structs, the headers and the topics as code.

``python -m tests.support.reference`` writes it to ``docs/contract``; a test compares. Its schemas keep to what JSON
Schema draft 7 and 2020-12 share, since tools for AsyncAPI 3.0 know only the former.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from runfold_events.contract import limits, schemas
from runfold_events.contract.cloudevents import ce_type
from runfold_events.contract.commands import LogMetrics
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.events import METRICS_LOGGED
from runfold_events.contract.metrics import MetricBatch
from runfold_events.contract.schemas import Schema, tag_of
from runfold_events.contract.submission import Accepted, Refused
from runfold_services.kafka_settings import KafkaSettings
from runfold_services.topics import Topic, commands_topic, events_topic

ASYNCAPI: Final = "3.0.0"
KAFKA_BINDING: Final = "0.5.0"
REPLY: Final = "Reply"
ERASED: Final = "ErasedEvent"
MSGPACK_SUFFIX: Final = "Msgpack"
DEFAULTS: Final = KafkaSettings(bootstrap_servers="localhost:9092")
_REF: Final = "#/components/schemas/{name}"
# Definitions that a command and an event share are closed in the one and open in the other.
_TAKEN: Final = "#/components/schemas/Taken{name}"
_PARTITIONER: Final = "murmur2 of the key (librdkafka: partitioner=murmur2_random)"
_DESCRIPTION: Final = """\
Commands go in on one topic, what became of them comes out on another, both as CloudEvents 1.0 in Kafka's binary mode.
docs/integration.md says what to rely on: order, duplicates, holes, retries, compatibility."""


class Example(Struct, frozen=True):
    """A record as an example: headers as text, the value as JSON."""

    name: str
    headers: Mapping[str, str]
    payload: Any


class Message(Struct, frozen=True, kw_only=True):
    """A kind of record."""

    name: str  # in the document
    title: str
    summary: str
    content_type: str | None  # None: any
    headers: str  # name of their schema
    header_values: Mapping[str, str]  # those that are always the same for this kind
    payload: Schema


def messages() -> list[Message]:
    """Every kind of record, commands first, then events, then replies."""
    return [*_commands(), *_events(), _reply()]


def asyncapi(examples: Mapping[str, Sequence[Example]]) -> Schema:
    """The document. ``examples`` are records by the name of their message."""
    told = messages()
    by_channel = {
        "commands": [message for message in told if message.headers == "CommandHeaders"],
        "events": [message for message in told if message.headers == "EventHeaders"],
        "replies": [message for message in told if message.headers == "ReplyHeaders"],
    }
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "runfold",
            "version": version("runfold"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "channels": {
            "commands": _topic_channel(
                commands_topic(DEFAULTS, limits.PARTITIONS_SERVER_DEFAULT),
                "{prefix}.commands",
                f"Requests to change runs and experiments; a record may have {limits.COMMAND_BYTES_MAX} bytes.",
                by_channel["commands"],
            ),
            "events": _topic_channel(
                events_topic(DEFAULTS, limits.PARTITIONS_SERVER_DEFAULT),
                "{prefix}.events",
                "Everything that was accepted, in order within a partition; a record may have "
                f"{limits.EVENT_BYTES_MAX} bytes.",
                by_channel["events"],
            ),
            "replies": {
                "address": None,
                "title": "Replies",
                "description": "A topic of the sender's own, named runfold.replies. and whatever follows; the sender "
                "makes it.",
                "messages": _listed(by_channel["replies"]),
                "bindings": {"kafka": {"bindingVersion": KAFKA_BINDING}},
            },
        },
        "operations": _operations(by_channel),
        "components": {
            "messages": {message.name: _message(message, examples.get(message.name, ())) for message in told},
            "schemas": _shared(_components()),
        },
    }


def _commands() -> list[Message]:
    found: list[Message] = []
    for kind in schemas.PUBLIC_COMMANDS:
        if kind is LogMetrics:
            for suffix, content_type in (("", JSON), (MSGPACK_SUFFIX, MSGPACK)):
                found.append(
                    _command(kind, suffix, content_type, {"$ref": _TAKEN.format(name="MetricBatch")})
                )
        else:
            found.append(_command(kind, "", JSON, {"$ref": _TAKEN.format(name=kind.__name__)}))
    return found


def _command(kind: type[Struct], suffix: str, content_type: str, payload: Schema) -> Message:
    return Message(
        name=kind.__name__ + suffix,
        title=tag_of(kind),
        summary=schemas.plain_text((kind.__doc__ or "").partition("\n")[0]),
        content_type=content_type,
        headers="CommandHeaders",
        header_values={"ce_type": ce_type(tag_of(kind))},
        payload=payload,
    )


def _events() -> list[Message]:
    found = [
        _event(kind.__name__, tag_of(kind), (kind.__doc__ or "").partition("\n")[0], JSON, kind.__name__)
        for kind in schemas.EVENTS
    ]
    for suffix, content_type in (("", JSON), (MSGPACK_SUFFIX, MSGPACK)):
        summary = "Points of metrics, byte for byte as the sender of run.log_metrics sent them"
        found.append(_event("MetricsLogged" + suffix, METRICS_LOGGED, summary, content_type, "MetricBatch"))
    erased = Message(
        name=ERASED,
        title="any event of a run that was erased",
        summary="Every event of a run whose body was erased before it was published: the value is empty",
        content_type=None,
        headers="EventHeaders",
        header_values={"ce_erased": "true"},
        payload={"type": "string", "maxLength": 0},
    )
    return [*found, erased]


def _event(name: str, event_type: str, summary: str, content_type: str, schema: str) -> Message:
    return Message(
        name=name,
        title=event_type,
        summary=schemas.plain_text(summary),
        content_type=content_type,
        headers="EventHeaders",
        header_values={"ce_type": ce_type(event_type)},
        payload={"$ref": _REF.format(name=schema)},
    )


def _reply() -> Message:
    return Message(
        name=REPLY,
        title="reply",
        summary="The outcome of a command, best effort",
        content_type=JSON,
        headers="ReplyHeaders",
        header_values={},
        payload={"$ref": _REF.format(name=REPLY)},
    )


def _components() -> dict[str, Schema]:
    """Schemas of bodies and headers; those of commands have names of their own."""
    taken = [MetricBatch if kind is LogMetrics else kind for kind in schemas.PUBLIC_COMMANDS]
    _, closed = msgspec.json.schema_components(taken, ref_template=_TAKEN)
    _, given = msgspec.json.schema_components([*schemas.EVENTS, MetricBatch], ref_template=_REF)
    (reply,), outcomes = msgspec.json.schema_components([Accepted | Refused], ref_template=_REF)
    del reply["discriminator"]
    return {
        **{f"Taken{name}": schema for name, schema in schemas.without_marks(closed).items()},
        **schemas.opened(schemas.without_marks(given)),
        **schemas.opened(schemas.without_marks(outcomes)),
        REPLY: reply,
        "CommandHeaders": schemas.headers_schema(schemas.COMMAND_HEADERS),
        "EventHeaders": schemas.headers_schema(schemas.EVENT_HEADERS),
        "ReplyHeaders": schemas.headers_schema(schemas.REPLY_HEADERS),
    }


def _shared(schema: Schema) -> Schema:
    """``schema`` in the words that draft 7 has too, which knows no schema for each place of an array."""
    told = {key: _shared_value(value) for key, value in schema.items() if key != "prefixItems"}
    if "prefixItems" in schema:
        told["items"] = {"anyOf": _shared_value(schema["prefixItems"])}
    return told


def _shared_value(value: Any) -> Any:
    if isinstance(value, list):
        items: list[Any] = cast("Any", value)
        return [_shared_value(item) for item in items]
    return _shared(cast("Schema", value)) if isinstance(value, dict) else value


def _message(message: Message, examples: Sequence[Example]) -> Schema:
    values = dict(message.header_values)
    if message.content_type is not None:
        values["content-type"] = message.content_type
    always = {"type": "object", "properties": {name: {"const": value} for name, value in values.items()}}
    told: Schema = {
        "name": message.name,
        "title": message.title,
        "summary": message.summary,
        "headers": {"allOf": [{"$ref": _REF.format(name=message.headers)}, always]},
        "payload": message.payload,
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "the stream id"},
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }
    if message.content_type is not None:
        told["contentType"] = message.content_type
    if examples:
        told["examples"] = [
            {"name": example.name, "headers": dict(example.headers), "payload": example.payload}
            for example in examples
        ]
    return told


def _topic_channel(topic: Topic, address: str, description: str, told: Sequence[Message]) -> Schema:
    settings: dict[str, Any] = dict(topic.settings)
    settings["cleanup.policy"] = settings["cleanup.policy"].split(",")
    for name in ("retention.ms", "max.message.bytes"):
        settings[name] = int(settings[name])
    return {
        "address": address,
        "description": description,
        "parameters": {"prefix": {"default": DEFAULTS.prefix, "description": "RUNFOLD_KAFKA_PREFIX"}},
        "messages": _listed(told),
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "replicas": topic.replicas,
                "topicConfiguration": settings,
                "bindingVersion": KAFKA_BINDING,
                "x-partitioner": _PARTITIONER,
            }
        },
    }


def _listed(told: Sequence[Message]) -> Schema:
    return {message.name: {"$ref": f"#/components/messages/{message.name}"} for message in told}


def _operations(by_channel: Mapping[str, Sequence[Message]]) -> Schema:
    """As runfold sees them: it receives what a team sends."""
    return {
        "receiveCommand": {
            "action": "receive",
            "channel": {"$ref": "#/channels/commands"},
            "summary": "Take a command, once, and decide it",
            "messages": _references("commands", by_channel["commands"]),
            "reply": {
                "address": {
                    "location": "$message.header#/reply_to",
                    "description": "where the sender wants the outcome; without it there is no reply",
                },
                "channel": {"$ref": "#/channels/replies"},
                "messages": _references("replies", by_channel["replies"]),
            },
            "bindings": {
                "kafka": {
                    "groupId": {"type": "string", "enum": [DEFAULTS.group]},
                    "bindingVersion": KAFKA_BINDING,
                }
            },
        },
        "sendEvent": {
            "action": "send",
            "channel": {"$ref": "#/channels/events"},
            "summary": "Publish what the store has recorded, at least once, in order within a partition",
            "messages": _references("events", by_channel["events"]),
        },
    }


def _references(channel: str, told: Sequence[Message]) -> list[Schema]:
    return [{"$ref": f"#/channels/{channel}/messages/{message.name}"} for message in told]
