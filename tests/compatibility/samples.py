"""One of everything that outlives a process, as bytes: what ``write_goldens`` stores for each release.

Samples only grow: a new event or command adds its own, one that stands here stays as it is.
"""

from __future__ import annotations

import struct
from array import array
from typing import Any, Final, get_args
from uuid import UUID

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract.codec import command_digest, decode_command_batch, encode_event
from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.envelope import (
    CHAIN_START,
    JSON,
    MSGPACK,
    RecordedEvent,
    body_digest,
    chain_value,
)
from runfold_events.contract.ids import experiment_id, run_stream, slice_of
from runfold_events.contract.metrics import DecodedSeries, MetricBatch, decode_batch
from runfold_events.contract.statuses import Status
from tests.support.columns import Plain, json_batch, msgpack_batch, packed, plain, series

Files = dict[str, bytes]

EXPERIMENT_ID: Final = experiment_id("w", "diabetes")
ERROR: Final = c.ErrorInfo(
    message="boom",
    code="SystemError",
    details_uri="https://example.org/x",
    error_type="ValueError",
    traceback="Traceback (most recent call last): …",
)
TREE: Final[dict[str, Any]] = {
    "run_id": "child-1",
    "experiment": "diabetes",
    "experiment_id": EXPERIMENT_ID,
    "number": 12,
    "root_run_id": "sweep",
    "path": ("sweep", "child-1"),
    "parent_run_id": "sweep",
}
ARTIFACT: Final[dict[str, Any]] = {
    "path": "outputs/model.pkl",
    "sha256": "0123456789abcdef" * 4,
    "size_bytes": 2**40,
    "content_type": "application/x-pickle",
}
PARAMS: Final[c.Params] = {"big": -(2**63), "epochs": 10, "loss": "mse", "lr": 0.1, "none": None, "on": True}
TAGS: Final[c.Tags] = {"flag": None, "quality": "fantastic run", "ü": "é\n"}
PROPERTIES: Final[c.Properties] = {"author": "azureml-user", "none": None}

EVENTS: Final[tuple[e.Event, ...]] = (
    e.ExperimentCreated(experiment="diabetes", experiment_id=EXPERIMENT_ID, description="d", tags=TAGS),
    e.ExperimentUpdated(set_tags=TAGS, removed_tags=("old",), description=None, archived=True),
    e.RunCreated(
        **TREE,
        name="child",
        display_name="Child",
        description="one of many",
        tags=TAGS,
        properties=PROPERTIES,
        target="gpu-cluster",
        run_type="sweep",
        start=True,
    ),
    e.RunStarted(),
    e.RunAdvanced(status=Status.PREPARING, details="pulling the image"),
    e.RunCancelRequested(reason="no longer needed"),
    e.RunCompleted(),
    e.RunFailed(error=ERROR),
    e.RunCanceled(reason="asked"),
    e.RunLost(),
    e.RunFound(status=Status.RUNNING),
    e.ParamsLogged(params=PARAMS, late=True),
    e.PropertiesAdded(properties=PROPERTIES, late=True),
    e.TagsSet(tags=TAGS, late=True),
    e.TagsRemoved(keys=("old", "ü"), late=True),
    e.RunUpdated(display_name=None, description="new"),
    e.RunArchived(),
    e.RunRestored(),
    e.ArtifactRecorded(**ARTIFACT, late=True),
    e.CommandsLost(first=3, last=7, reason="the buffer was full", values=512),
    e.CommandRejected(
        command="run.add_properties",
        code="property_immutable",
        message="property 'author' is 'azureml-user' since event 1; it cannot become 'else'",
        facts={"key": "author", "current": "azureml-user", "attempted": None, "keys": ["author"]},
    ),
    e.RunErased(**TREE, status=Status.COMPLETED, reason="asked"),
    e.CommandUnreadable(
        code="invalid",
        message="not JSON",
        offset=2**40,
        timestamp_ms=1_700_000_000_000,
        facts={"field": "body"},
        key=b"w/run/r",
        value=b"\x00\xff{",
        headers=(("ce_type", b"dev.runfold.run.start.v1"), ("ce_type", b"")),
    ),
    e.LogLost(first=3, last=7, reason="the log starts at 8"),
    e.StoreRestored(previous_epoch=UUID("0190a1b2-c3d4-7e5f-8a6b-00000000000e")),
    e.CommandRedriven(offset=2**40, handled=True),
    e.ImportStarted(
        sha256="5e" * 32, source_epoch=UUID("0190a1b2-c3d4-7e5f-8a6b-00000000000e"), workspace="research"
    ),
    e.ImportEnded(sha256="5e" * 32, events=2**40),
)

COMMANDS: Final[tuple[c.Command, ...]] = (
    c.EnsureExperiment(experiment="diabetes", description="d", tags=TAGS),
    c.UpdateExperiment(
        experiment="diabetes", set_tags=TAGS, remove_tags=("old",), description=None, archived=True
    ),
    c.CreateRun(
        run_id="child-1",
        experiment="diabetes",
        start=False,
        resume=True,
        parent_run_id="sweep",
        name="child",
        display_name="Child",
        description="one of many",
        tags=TAGS,
        properties=PROPERTIES,
        target="gpu-cluster",
        run_type="sweep",
    ),
    c.StartRun(run_id="r"),
    c.AdvanceRun(run_id="r", status=Status.PREPARING, details="pulling the image"),
    c.RequestCancel(run_id="r", reason="no longer needed"),
    c.CompleteRun(run_id="r"),
    c.FailRun(run_id="r", error=ERROR),
    c.CancelRun(run_id="r", reason="asked"),
    c.MarkLost(run_id="r"),
    c.MarkFound(run_id="r"),
    c.LogMetrics(run_id="r", batch=Raw(b"")),  # its batch depends on the encoding, see below
    c.LogParams(run_id="r", params=PARAMS),
    c.AddProperties(run_id="r", properties=PROPERTIES),
    c.SetTags(run_id="r", tags=TAGS),
    c.RemoveTags(run_id="r", keys=("old", "ü")),
    c.UpdateRun(run_id="r", display_name=None, description="new"),
    c.ArchiveRun(run_id="r"),
    c.RestoreRun(run_id="r"),
    c.RecordArtifact(run_id="r", **ARTIFACT),
    c.DeclareLost(run_id="r", first=3, last=7, reason="the buffer was full", values=512),
    c.EraseRun(run_id="r", reason="asked"),
)


def ledger_encoded() -> Files:
    """What the ledger or the SDK encodes: these bytes must come out the same for ever."""
    events = {f"events/{e.event_type(event)}.json": encode_event(event)[1] for event in EVENTS}
    return events | {"envelopes.json": _envelopes()} | _commands() | _digests()


def sender_encoded() -> Files:
    """Metric batches: kept as they came, so only their reading is fixed."""
    batches = _metric_batches()
    read = {
        name: [readable(one) for one in decode_batch(type_of(name), body)] for name, body in batches.items()
    }
    return batches | {"metrics/expected.json": msgspec.json.format(msgspec.json.encode(read))}


def type_of(name: str) -> str:
    """The content type of a golden file."""
    return JSON if name.endswith(".json") else MSGPACK


# Envelopes


def envelopes() -> list[RecordedEvent]:
    """Three events in a row: everything given, as little as possible, and an erased one."""
    stream = run_stream("w", "child-1")
    plain_event = RecordedEvent(
        id=UUID("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"),
        type="run.started",
        stream=stream,
        stream_seq=1,
        partition=3,
        pos=0,
        slice=slice_of(stream),
        epoch=UUID("0190a1b2-c3d4-7e5f-8a6b-00000000000e"),
        occurred_at=-1,
        recorded_at=1_700_000_000_000_001,
        actor="ann",
        actor_source="os",
        door="embedded",
        writer_id=UUID("0190a1b2-c3d4-7e5f-8a6b-00000000000a"),
        writer_seq=1,
        salt=bytes(16),
        digest=b"",
        chain=b"",
        body=b'{"type":"run.started"}',
    )
    full = replace(
        plain_event,
        id=UUID(int=2**128 - 1),
        stream_seq=300,
        pos=1,
        occurred_at=2**63 - 1,
        actor="é" * 200,
        writer_seq=2**63 - 1,
        causation_id=UUID(int=0),
        correlation_id=UUID(int=1),
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        data_version=2,
        content_type=MSGPACK,
        subject="subject",
        key_id="key",
        salt=bytes(range(16)),
        body=b"\x81\xa6series\x90",
    )
    erased = replace(plain_event, id=UUID(int=3), stream_seq=301, pos=2)
    return _chained([plain_event, full, erased])


def _chained(events: list[RecordedEvent]) -> list[RecordedEvent]:
    chain, result = CHAIN_START, list[RecordedEvent]()
    for event in events:
        sealed = replace(event, digest=body_digest(event.salt or b"", event.body or b""))
        chain = chain_value(chain, sealed)
        result.append(replace(sealed, chain=chain))
    result[-1] = replace(result[-1], salt=None, body=None)
    return result


def _envelopes() -> bytes:
    return msgspec.json.format(msgspec.json.encode(envelopes(), order="sorted"))  # fields may change places


# Commands


def command_batch(content_type: str) -> c.CommandBatch:
    """All commands in one request; the metric batch in the encoding of the request."""
    batch = json_batch(series(plain("f64", [0.5]))) if content_type == JSON else msgpack_batch()
    commands = [
        replace(command, batch=Raw(batch)) if isinstance(command, c.LogMetrics) else command
        for command in COMMANDS
    ]
    items = [
        c.CommandItem(
            command=command,
            writer_seq=number,
            occurred_at=1_700_000_000_000_000 + number,
            correlation_id=UUID(int=number),
            causation_id=UUID(int=number + 1),
        )
        for number, command in enumerate(commands, start=1)
    ]
    return c.CommandBatch(workspace="w", commands=tuple(items), hold=True)


def _commands() -> Files:
    return {
        "commands.json": msgspec.json.encode(command_batch(JSON)),
        "commands.bin": msgspec.msgpack.encode(command_batch(MSGPACK)),
    }


def digests(files: Files) -> dict[str, list[str]]:
    """What tells a retry from a conflict, for every command of the requests: it outlives an upgrade."""
    return {
        name: [
            command_digest(item.command, type_of(name)).hex()
            for item in decode_command_batch(type_of(name), files[name]).commands
        ]
        for name in ("commands.json", "commands.bin")
    }


def _digests() -> Files:
    return {"digests.json": msgspec.json.format(msgspec.json.encode(digests(_commands())))}


# Metric batches

DELICATE: Final = array(
    "d",
    (
        struct.unpack("<d", struct.pack("<Q", bits))[0]
        for bits in (0, 1 << 63, 0x7FF8DEADBEEF0001, 0x7FF0 << 48)
    ),
)
INTEGERS: Final = [-(2**62), 0, 1, 2**62]


def _metric_batches() -> Files:
    table = {
        "name": "table",
        "kind": "table",
        "description": "d",
        "times": plain("i64", [1_700_000_000_000, 1_700_000_000_000]),
        "steps": plain("i64", [None, 7]),
        "columns": {
            "text": plain("str", ["é", ""]),
            "any": plain("any", [None, 1]),
            "on": plain("bool", [True, False]),
        },
    }
    words: Plain = series(plain("f64", [0.5, "NaN", "Infinity", "-Infinity", -0.0, 3]))
    sdk = MetricBatch(series=[])
    files = {
        "metrics/plain.json": json_batch(words, table),
        "metrics/plain.bin": msgpack_batch(series(plain("f64", list(DELICATE))), table),
        "metrics/empty.bin": msgspec.msgpack.encode(sdk),
        "metrics/packed-by-the-sdk.bin": msgpack_batch(_packed_by_the_sdk()),
    }
    for codec in ("delta-zstd", "delta-shuffle-zstd"):
        files[f"metrics/{codec}.bin"] = msgpack_batch(series(packed("i64", codec, [5, 3, 2**40, -1])))
    for codec in ("raw", "zstd", "shuffle-zstd"):
        files[f"metrics/{codec}.bin"] = msgpack_batch(
            series(packed("f64", codec, list(DELICATE))),
            series(packed("i64", codec, INTEGERS)),
            series(packed("bool", codec, [True, False, True, True])),
        )
    return files


def _packed_by_the_sdk() -> Plain:
    values = array("d", [n / 7 for n in range(100)])
    steps = pack_integers(array("q", range(100)))
    times = pack_integers(array("q", range(1_700_000_000_000, 1_700_000_000_100)))
    named = {"times": times, "steps": steps, "columns": {"m": pack_floats(values)}}
    builtins: Plain = msgspec.to_builtins(named, builtin_types=(bytes,))
    return {"name": "m"} | builtins


def readable(one: DecodedSeries) -> dict[str, Any]:
    """A decoded series as JSON that loses nothing: floats by their bits."""
    return {
        "name": one.name,
        "kind": one.kind,
        "description": one.description,
        "count": one.count,
        "times": list(one.times),
        "steps": None if one.steps is None else list(one.steps),
        "columns": {
            name: [dtype, [_cell(value) for value in values]] for name, (dtype, values) in one.columns.items()
        },
    }


def _cell(value: Any) -> Any:
    return struct.pack(">d", value).hex() if isinstance(value, float) else value


def missing() -> list[str]:
    """Events and commands of the contract that have no sample."""
    there = {type(sample) for sample in (*EVENTS, *COMMANDS)}
    return sorted(kind.__name__ for kind in (*get_args(e.Event), *get_args(c.Command)) if kind not in there)
