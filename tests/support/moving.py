"""Ledgers to be moved, and exported files as tests look at them."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Coroutine, Sequence
from hashlib import sha256
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from msgspec import Raw
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.envelope import JSON, MSGPACK, RecordedEvent, body_digest, chain_value
from runfold_events.contract.metrics import encode_batch
from runfold_events.decision_state import Fold, encode_state
from runfold_events.ports import EventStore, Head, Write, WriterMark
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.testing.builders import CountingIds
from runfold_events.transfer.exporting import export_ledger
from runfold_events.transfer.importing import Imported, import_ledger
from runfold_events.transfer.ports import Movable
from runfold_events.transfer.reading import LedgerFile
from runfold_projections.testing.history import MemorySource, floats
from tests.support.ledgers import A, B, Desk, experiment, refused, run, taken

T = TypeVar("T")
Drive = Callable[[Coroutine[Any, Any, T]], T]

OF_THE_STORE: Final = ("partition", "pos", "epoch", "chain")  # what an import gives out anew
OTHER: Final = "another"
KEEPER: Final = UUID(int=0xEEE)
GHOST: Final = UUID(int=0x6057)  # announced numbers of a run that there is not
LEASE_US: Final = 1_000_000
_IMPORTS: Final = itertools.count(1)  # each makes ids of its own, away from those of the events that it moves


def fill(desk: Desk) -> None:
    """A ledger with all that has to arrive: refusals, an erased run, gaps, losses, a lost run, odd texts, bad JSON."""
    desk.ensure()
    desk.create("done", A)
    taken(desk.send(A, 2, c.AddProperties(run_id="done", properties={"author": "x", "ü": '✓ \u2028 "\\'})))
    refused(desk.send(A, 3, c.AddProperties(run_id="done", properties={"author": "y"})), "property_immutable")
    taken(desk.send(A, 4, metrics("done", 5), content_type=MSGPACK))
    taken(desk.send(A, 5, c.DeclareLost(run_id="done", first=5, last=9, reason="the spool was full")))
    taken(desk.send(A, 10, c.LogMetrics(run_id="done", batch=Raw(b'{ "series" : [] }\n')), content_type=JSON))
    taken(desk.send(A, 11, c.FailRun(run_id="done", error=ErrorInfo(message="nan"))))
    desk.clock.advance(1)
    desk.create("erased", A, tags={"secret": "gone"})
    taken(desk.send(A, 2, metrics("erased", 3), content_type=MSGPACK))
    taken(desk.send(B, 1, c.EraseRun(run_id="erased", reason="asked")))
    refused(desk.send(A, 3, c.SetTags(run_id="erased", tags={"too": "late"})), "conflict")
    desk.clock.advance(1)
    desk.create("running", B)
    desk.clock.advance(1)
    desk.create("child", B, parent_run_id="running")
    desk.clock.advance(1)
    run_sync(desk.store.renew_lease(B, LEASE_US))
    taken(desk.send(B, 1, c.CreateRun(run_id="lost", experiment="exp"), hold=True))
    desk.clock.advance(2)
    taken(desk.send(KEEPER, 1, c.MarkLost(run_id="lost"), door="keeper"))
    taken(desk.send(A, 1, c.EnsureExperiment(experiment="exp"), workspace=OTHER))
    taken(desk.send(A, 1, c.CreateRun(run_id="done", experiment="exp"), workspace=OTHER))
    run_sync(desk.store.announce({(run("running"), B): 7, (run("ghost"), GHOST): 3}))
    with_gaps = WriterMark(run("running"), A, 9, b"d" * 32, gaps=((2, 3), (5, 5)), lost=((7, 8),))
    blocked = WriterMark(run("running"), KEEPER, 1, b"r" * 32, refused_creation=True)
    keep(desk, [with_gaps, blocked])
    run_sync(desk.store.reserve_run_numbers(experiment(), 100))


def metrics(run_id: str, points: int) -> c.LogMetrics:
    """A batch of one series."""
    return c.LogMetrics(
        run_id=run_id, batch=Raw(encode_batch([floats("loss", [i / 7 for i in range(points)])]))
    )


def keep(desk: Desk, marks: Sequence[WriterMark]) -> None:
    """Store marks as a log's door would leave them."""

    async def write() -> None:
        async with desk.store.transaction(0) as transaction:
            await transaction.write(Write(marks=marks))

    run_sync(write())


def movable(store: EventStore) -> Movable:
    """A desk knows its store as what a ledger needs of it; every store can be moved."""
    return cast("Movable", store)


def exported(store: EventStore, workspace: str | None = None, drive: Drive[Any] = run_sync) -> bytes:
    """The file that a store gives."""
    file = io.BytesIO()
    drive(export_ledger(movable(store), file.write, workspace=workspace))
    return file.getvalue()


def imported(
    store: EventStore, data: bytes, *, resume: bool = False, drive: Drive[Any] = run_sync
) -> Imported:
    """What importing a file gave."""
    answer: Imported = drive(
        import_ledger(movable(store), opened(data), CountingIds(next(_IMPORTS) << 64), resume=resume)
    )
    return answer


def opened(data: bytes) -> LedgerFile:
    """The file of these bytes."""
    return LedgerFile(io.BytesIO(data), "ledger.ndjson")


def lines_of(data: bytes) -> list[dict[str, Any]]:
    """All lines, decoded."""
    return [json.loads(line) for line in data.splitlines()]


def kept(data: bytes) -> list[dict[str, Any]]:
    """What must be the same in every store: all lines between header and trailer, without what belongs to a store."""
    lines = lines_of(data)[1:-1]
    return [{name: value for name, value in line.items() if name not in OF_THE_STORE} for line in lines]


def with_trailer(lines: Sequence[bytes]) -> bytes:
    """A file of ``lines`` whose trailer fits, as somebody makes it who knows the format."""
    body = b"".join(lines)
    kinds = [json.loads(line)["kind"] for line in lines]
    trailer = {
        "kind": "trailer",
        "events": kinds.count("event"),
        "run_numbers": kinds.count("run_numbers"),
        "writer_marks": kinds.count("writer_mark"),
        "sha256": sha256(body).hexdigest(),
    }
    return body + json.dumps(trailer).encode() + b"\n"


def store_of(source: MemorySource, path: str = ":memory:") -> SqliteStore:
    """A store with the events of a history, signed and chained, and the heads that they give."""
    store = SqliteStore.open(path, partitions=source.partitions)

    async def append(partition: int) -> None:
        async with store.transaction(partition) as transaction:
            folds: dict[str, Fold] = {}
            placed: list[RecordedEvent] = []
            chain = transaction.row.chain_head
            for event in source.events[partition]:
                signed = event
                if event.body is not None and event.salt is not None:
                    signed = replace(event, digest=body_digest(event.salt, event.body))
                signed = replace(signed, epoch=store.epoch)
                chain = chain_value(chain, signed)
                placed.append(replace(signed, chain=chain))
                folds.setdefault(event.stream, Fold()).apply(signed)
            last = {event.stream: event.stream_seq for event in placed}
            heads = [
                Head(stream, last[stream], encode_state(fold.state))
                for stream, fold in folds.items()
                if fold.state is not None
            ]
            await transaction.write(Write(events=placed, heads=heads))

    for partition in range(store.partitions):
        run_sync(append(partition))
    return store
