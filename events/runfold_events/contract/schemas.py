"""The contract as JSON Schemas (2020-12), made from its Structs, and what its Kafka headers mean.

Two rules differ from what msgspec says of a Struct:

* What runfold sends (events, replies) may get more fields: its schemas permit unknown ones at every depth.
* What runfold takes (commands) is refused with a field that this version does not know: its schemas say so. Otherwise
  half of a request could take effect.
"""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any, Final, cast, get_args

import msgspec
from msgspec import Struct, field

from runfold_events.contract.cloudevents import REPLY_TOPIC, SEQUENCE_DIGITS, SPEC_VERSION
from runfold_events.contract.commands import INTERNAL_COMMANDS, Command, EraseRun, LogMetrics
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.events import METRICS_LOGGED, Event
from runfold_events.contract.metrics import MetricBatch
from runfold_events.contract.submission import Accepted, Refused

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
LOCAL: Final = "#/$defs/{name}"
_UUID: Final[Schema] = {"type": "string", "format": "uuid"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_NUMBER: Final[Schema] = {"type": "string", "pattern": "^[0-9]{1,20}$"}
_TEXT: Final[Schema] = {"type": "string"}
_TRUE: Final[Schema] = {"const": "true"}


class Header(Struct, frozen=True):
    """One header of a record: UTF-8 text in Kafka's header value."""

    name: str
    meaning: str
    schema: Schema = field(default_factory=lambda: _TEXT)
    required: bool = True


_COMMON: Final = (
    Header("ce_specversion", "the version of CloudEvents", {"const": SPEC_VERSION}),
    Header(
        "ce_type", "`dev.runfold.` + type + `.v1`", {"type": "string", "pattern": r"^dev\.runfold\..+\.v1$"}
    ),
)
_TRACE: Final = Header("traceparent", "W3C trace context", required=False)

COMMAND_HEADERS: Final = (
    *_COMMON,
    Header(
        "ce_source",
        "`/workspaces/` + workspace",
        {"type": "string", "pattern": "^/workspaces/[A-Za-z0-9_-]+$"},
    ),
    Header("ce_subject", "run id or experiment id; a metric batch is for the run named here"),
    Header("ce_id", "any id of the record; runfold's own client writes `{writer id}:{number}`"),
    Header(
        "ce_time", "when the sender made it, RFC 3339 with an offset; becomes the events' `ce_time`", _TIME
    ),
    Header("ce_partitionkey", "the stream id again", required=False),
    Header("ce_writerid", "who numbers its commands", _UUID),
    Header(
        "ce_writerseq", "the command's number on its stream, from 1", {**_NUMBER, "pattern": "^[0-9]{1,19}$"}
    ),
    Header("ce_correlationid", "kept with the events; echoed in the reply", _UUID, required=False),
    Header(
        "ce_causationid", "the event that made you send this; kept with the events", _UUID, required=False
    ),
    Header(
        "ce_hold", "the writer's process sends heartbeats and holds what this starts", _TRUE, required=False
    ),
    Header(
        "reply_to",
        "the topic that the outcome goes to",
        {"type": "string", "pattern": "^" + REPLY_TOPIC.pattern.replace(r"\Z", "$")},
        required=False,
    ),
    _TRACE,
    Header(
        "content-type",
        f"`{JSON}` unless given; a metric batch may be `{MSGPACK}`",
        {"enum": [JSON, MSGPACK]},
        required=False,
    ),
)

EVENT_HEADERS: Final = (
    *_COMMON,
    Header("ce_source", "`/workspaces/` + workspace, or `/system`"),
    Header("ce_subject", "run id or experiment id; of `/system` the partition"),
    Header("ce_id", "the event's id, a UUIDv7", _UUID),
    Header("ce_time", "when it happened, by the sender's clock; never use it for order", _TIME),
    Header("ce_recordedtime", "when it was recorded, by the store's clock", _TIME),
    Header("ce_partitionkey", "the stream id again"),
    Header(
        "ce_sequence",
        f"the position in the partition, {SEQUENCE_DIGITS} digits, so that text sorts as numbers do",
        {"type": "string", "pattern": f"^[0-9]{{{SEQUENCE_DIGITS}}}$"},
    ),
    Header("ce_streamseq", "the number of the event in its stream, from 1", _NUMBER),
    Header("ce_epoch", "the store's epoch", _UUID),
    Header(
        "ce_digest",
        "SHA-256 of salt and body, 64 hex digits",
        {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    ),
    Header("ce_actor", "who asked"),
    Header("ce_actorsource", "how we know: `os`, `token`, `anonymous`, `kafka`, `system`; more may come"),
    Header("ce_writerid", "the writer of the command", _UUID),
    Header("ce_writerseq", "its number; events of one command have equal writer and number", _NUMBER),
    Header("ce_dataversion", "the version of the body's form; 1 so far", _NUMBER),
    Header("ce_causationid", "as the command said", _UUID, required=False),
    Header("ce_correlationid", "as the command said", _UUID, required=False),
    Header("ce_erased", "the body was erased: the value is empty", _TRUE, required=False),
    _TRACE,
    Header("content-type", f"`{JSON}`; of a metric batch what its sender used, `{JSON}` or `{MSGPACK}`"),
)

REPLY_HEADERS: Final = (
    Header("ce_correlationid", "as the command's header said, byte for byte", required=False),
    Header("ce_writerid", "the command's writer", _UUID),
    Header("ce_writerseq", "the command's number", _NUMBER),
    Header("content-type", f"`{JSON}`", {"const": JSON}),
)

# What services may send by Kafka: nobody there is known to be an admin.
PUBLIC_COMMANDS: Final = tuple(
    kind for kind in get_args(Command) if kind not in INTERNAL_COMMANDS and kind is not EraseRun
)
EVENTS: Final = get_args(Event)


def tag_of(kind: Any) -> str:
    """The stable name of a command or event Struct."""
    return str(kind.__struct_config__.tag)


def command_schemas() -> dict[str, Schema]:
    """A schema for the value of each command's record, by type."""
    kinds: dict[str, Any] = {
        tag_of(kind): MetricBatch if kind is LogMetrics else kind for kind in PUBLIC_COMMANDS
    }
    return {name: standalone(kind, f"command {name}") for name, kind in kinds.items()}


def event_schemas() -> dict[str, Schema]:
    """A schema for the value of each event's record, by type. Of an erased event the value is empty."""
    kinds: dict[str, Any] = {tag_of(kind): kind for kind in EVENTS} | {METRICS_LOGGED: MetricBatch}
    return {name: opened(standalone(kind, f"event {name}")) for name, kind in kinds.items()}


def reply_schema() -> Schema:
    """A schema for the value of a reply's record."""
    return opened(standalone(Accepted | Refused, "reply"))


def headers_schema(headers: tuple[Header, ...]) -> Schema:
    """A schema for the headers of a record as one object. Unknown headers are permitted, and ignored."""
    return {
        "type": "object",
        "properties": {header.name: header.schema | {"description": header.meaning} for header in headers},
        "required": [header.name for header in headers if header.required],
    }


def standalone(kind: Any, title: str) -> Schema:
    """The schema of ``kind`` as a document of its own."""
    (schema,), definitions = msgspec.json.schema_components([kind], ref_template=LOCAL)
    # A discriminator is OpenAPI's, and says nothing that the schemas of the options do not.
    schema.pop("discriminator", None)
    return {"$schema": DIALECT, "title": title} | schema | {"$defs": without_marks(definitions)}


def opened(schema: Schema) -> Schema:
    """``schema`` with unknown fields permitted at every depth."""
    return {
        key: _opened(value)
        for key, value in schema.items()
        if not (key == "additionalProperties" and value is False)
    }


def _opened(value: Any) -> Any:
    if isinstance(value, list):
        items: list[Any] = cast("Any", value)
        return [_opened(item) for item in items]
    return opened(cast("Schema", value)) if isinstance(value, dict) else value


def without_marks(definitions: dict[str, Schema]) -> dict[str, Schema]:
    """Definitions whose descriptions are docstrings, readable by those who do not read Python."""
    return {
        name: schema | ({"description": plain_text(schema["description"])} if "description" in schema else {})
        for name, schema in definitions.items()
    }


def plain_text(text: str) -> str:
    """A docstring without cross-reference marks and, as Python 3.13 has it anyway, without its lines' indentation."""
    marked = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    return cleandoc(marked)
