"""A ledger moved from store to store stays what it was; a file that is not as it was written changes nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings

from runfold_events import failpoints
from runfold_events.check import Auditable, check_ledger
from runfold_events.contract import commands as c
from runfold_events.contract.envelope import LedgerDamaged
from runfold_events.contract.errors import Conflict, Invalid
from runfold_events.ports import Head, Write
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.transfer import importing
from runfold_events.transfer.importing import ImportLog
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.views import EmbeddedViews, all_projections
from tests.projections.histories import Step, play, steps
from tests.support.answers import answers
from tests.support.ledgers import WORKSPACE, A, B, Desk, desk, experiment, refused, run, taken
from tests.support.moving import (
    OTHER,
    exported,
    fill,
    imported,
    kept,
    lines_of,
    movable,
    opened,
    store_of,
    with_trailer,
)


@pytest.fixture(scope="module")
def full() -> Iterator[bytes]:
    """The file of a full ledger in one partition."""
    with desk() as source:
        fill(source)
        yield exported(source.store)


@pytest.fixture(params=[1, 16], ids=["one partition", "16 partitions"])
def target(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """An empty store."""
    with desk(partitions=request.param, first_id=1 << 32) as opened_:
        yield opened_


def is_sound(target: Desk) -> bool:
    """True when the check finds nothing."""
    return run_sync(check_ledger(cast("Auditable", target.store))).is_sound


# ── what arrives ──────────────────────────────────────────────────────────────────────────────────────────


def test_everything_but_place_and_chain_is_the_same_in_another_store(full: bytes, target: Desk) -> None:
    before = [event for event in lines_of(full) if event["kind"] == "event"]
    answer = imported(target.store, full)

    assert (answer.events, answer.found) == (len(before), 0)
    again = exported(target.store)
    assert kept(again) == kept(full)
    assert lines_of(again)[0]["epoch"] != lines_of(full)[0]["epoch"]
    assert is_sound(target)


def test_the_file_holds_what_it_is_there_to_prove(full: bytes) -> None:
    """The control of all comparisons: what must arrive is in the file at all."""
    lines = lines_of(full)
    marks = [line for line in lines if line["kind"] == "writer_mark"]
    events = [line for line in lines if line["kind"] == "event"]

    assert {"gaps", "lost", "refused_creation", "announced", "digest"} <= {
        name for mark in marks for name in mark
    }
    assert {mark["stream"] for mark in marks if mark["highest"] == 0} == {run("ghost")}
    assert sum("salt" not in event for event in events) == 3, "the erased run's bodies"
    assert sum("body_base64" in event for event in events) == 1
    assert {"run.command_rejected", "run.commands_lost", "run.lost", "run.erased"} <= {
        e["type"] for e in events
    }
    assert len(kept(full)) == len(lines) - 2
    assert {json.dumps(line) for line in kept(full)} != {json.dumps(line) for line in lines[1:-1]}


def test_there_and_back_again_is_the_same_ledger(full: bytes, target: Desk) -> None:
    imported(target.store, full)
    with desk() as home:
        imported(home.store, exported(target.store))
        assert kept(exported(home.store)) == kept(full)


def test_the_same_store_gives_the_same_bytes(full: bytes) -> None:
    with desk() as source:
        fill(source)
        first = exported(source.store)
        assert exported(source.store) == first


def test_decisions_go_on_where_they_stood(full: bytes, target: Desk) -> None:
    imported(target.store, full)
    late = c.SetTags(run_id="done", tags={"k": "v"})

    assert refused(target.send(A, 13, late), "sequence_gap").facts["expected"] == 12
    refused(target.send(A, 7, late), "declared_lost")
    again = target.send(A, 2, c.AddProperties(run_id="done", properties={"author": "x", "ü": '✓ \u2028 "\\'}))
    assert taken(again).repeated
    refused(target.send(A, 12, c.CompleteRun(run_id="done")), "run_ended")
    new = target.send(B, 1, c.CreateRun(run_id="new", experiment="exp"))
    number = json.loads(target.stream_events(run("new"))[0].body or b"")["number"]
    assert taken(new).run_id == "new"
    assert number >= 105, "numbers that were given out are not given out again"


def test_a_lost_run_is_found_when_a_process_resumes_it(full: bytes, target: Desk) -> None:
    imported(target.store, full)
    assert run_sync(target.store.without_live_holder(10)) == []
    run_sync(target.store.renew_lease(A, 60_000_000))
    resumed = c.CreateRun(run_id="lost", experiment="exp", resume=True)
    taken(target.send(A, 1, resumed, hold=True))

    assert run_sync(target.store.held_by(A)) == [run("lost")]


def test_one_workspace_leaves_the_others_behind(full: bytes, target: Desk) -> None:
    with desk() as source:
        fill(source)
        file = exported(source.store, OTHER)
    imported(target.store, file)

    assert {line["stream"].partition("/")[0] for line in kept(file)} == {OTHER}
    assert kept(exported(target.store)) == [
        line for line in kept(full) if line["stream"].startswith(f"{OTHER}/")
    ]
    assert lines_of(file)[0]["workspace"] == OTHER
    imported(target.store, exported_rest(full))
    assert kept(exported(target.store)) == kept(full)


def exported_rest(full: bytes) -> bytes:
    """The file without the lines of the other workspace."""
    lines = full.splitlines(keepends=True)[:-1]
    return with_trailer(
        [line for line in lines if json.loads(line).get("stream", "").partition("/")[0] != OTHER]
    )


def test_the_store_says_what_was_imported(full: bytes, target: Desk) -> None:
    imported(target.store, full)
    started, ended = (json.loads(event.body or b"") for event in target.stream_events("_system/0"))

    assert started["type"] == "store.import_started"
    assert started["source_epoch"] == lines_of(full)[0]["epoch"]
    assert ended == {
        "type": "store.import_ended",
        "sha256": lines_of(full)[-1]["sha256"],
        "events": lines_of(full)[-1]["events"],
    }
    assert b"_system/" not in exported(target.store)


@settings(max_examples=10, deadline=None)
@given(steps())
def test_any_history_arrives_with_equal_views(happened: list[Step]) -> None:
    source = store_of(play(happened))
    data = exported(source)
    for partitions in (1, 4):
        target = SqliteStore.open(":memory:", partitions=partitions)
        imported(target, data)
        assert kept(exported(target)) == kept(data)
        assert run_sync(check_ledger(target)).is_sound
        assert heads(target, data) == heads(source, data)
        assert told(target) == told(source)
        run_sync(target.close())
    run_sync(source.close())


def heads(store: SqliteStore, data: bytes) -> dict[str, Head]:
    """The heads of all streams of a file."""
    return run_sync(store.heads({line["stream"] for line in kept(data)}))


def told(store: SqliteStore) -> dict[str, Any]:
    """What views, folded from the first event, answer."""
    views = EmbeddedViews(store, SqliteViewStore(":memory:"), all_projections())
    try:
        return run_sync(answers(views, "default"))
    finally:
        run_sync(views.close())


# ── what is refused, with nothing changed ─────────────────────────────────────────────────────────────────

Spoil = Callable[[list[bytes]], bytes]


def changed(number: int, **fields: Any) -> Spoil:
    """Change fields of one line, and let the trailer say the file is right."""

    def spoil(lines: list[bytes]) -> bytes:
        line = {**json.loads(lines[number]), **fields}
        kept_fields = {name: value for name, value in line.items() if value is not ...}
        return with_trailer(
            [*lines[:number], json.dumps(kept_fields).encode() + b"\n", *lines[number + 1 : -1]]
        )

    return spoil


LAST: Final = -1
SPOILT: Final[dict[str, tuple[Spoil, str]]] = {
    "nothing": (lambda lines: b"", "no exported ledger"),
    "not ours": (lambda lines: b'{"some": "json"}\n', "no exported ledger"),
    "a database": (lambda lines: b"SQLite format 3\x00", "no exported ledger"),
    "a later version": (changed(0, version=2), "format version 2; this program reads version 1"),
    "an unknown field": (changed(1, surprise=1), "line 2: .*surprise"),
    "an unknown kind": (changed(1, kind="thought"), "line 2: .*thought"),
    "cut behind a line": (lambda lines: b"".join(lines[:7]), "line 7: .*trailer: it was cut"),
    "cut in a line": (lambda lines: b"".join(lines)[:-40], "the line was cut"),
    "a line left out": (lambda lines: b"".join(lines[:-2] + lines[-1:]), "lines were lost or added"),
    "a byte changed": (
        lambda lines: b"".join(lines).replace(b'"actor":"ann"', b'"actor":"bob"', 1),
        "the file was changed",
    ),
    "two files in one": (lambda lines: b"".join(lines * 2), "something follows the trailer"),
    "two bodies": (changed(1, body_base64="AAAA"), "line 2: .*two bodies"),
    "another body": (
        changed(1, body_text='{"type":"x"}'),
        "line 2: the body of event .* does not match its digest",
    ),
    "no salt": (changed(1, salt=...), "line 2: .*salt alone"),
    "a body gone": (changed(1, salt=..., body_text=...), "the body of number 1 of .* is gone, but"),
    "another slice": (changed(1, slice=3), "line 2: .*says slice 3"),
    "a number left out": (changed(1, stream_seq=2), "line 2: number 1 of stream .* is missing"),
    "another workspace": (changed(1, stream="_system/0"), "line 2: '_system/0' is no stream"),
    "another type": (changed(1, type="run.started"), "line 2: event .* cannot be of stream"),
    "a digest that is none": (changed(1, digest="xyz"), "line 2: digest must be hex"),
    "a workspace that is not named": (changed(0, workspace="mine"), "line 2: .*is not of workspace mine"),
}


@pytest.mark.parametrize(("spoil", "told"), SPOILT.values(), ids=SPOILT.keys())
def test_a_file_that_is_not_as_it_was_written_is_refused_and_nothing_changed(
    full: bytes, target: Desk, spoil: Spoil, told: str
) -> None:
    data = spoil(full.splitlines(keepends=True))
    with pytest.raises(Invalid, match=told):
        imported(target.store, data)
    assert set(target.ends()) == {0}


def test_streams_out_of_order_are_refused(full: bytes, target: Desk) -> None:
    header, *lines = full.splitlines(keepends=True)[:-1]
    with pytest.raises(Invalid, match="streams are in the order of their bytes"):
        imported(target.store, with_trailer([header, *sorted(lines, key=is_of_running, reverse=True)]))
    assert set(target.ends()) == {0}


def is_of_running(line: bytes) -> bool:
    return bool(json.loads(line)["stream"] == run("running"))


def test_what_is_there_is_named_and_not_overwritten(full: bytes, target: Desk) -> None:
    target.ensure()
    before = exported(target.store)
    with pytest.raises(Conflict, match=f"workspace {WORKSPACE} already, with 1 events: {experiment()}"):
        imported(target.store, full)
    assert exported(target.store) == before


def test_a_file_is_imported_once(full: bytes, target: Desk) -> None:
    imported(target.store, full)
    ends = target.ends()
    with pytest.raises(Conflict, match=f"has workspace {OTHER} already"):
        imported(target.store, full)
    with pytest.raises(Conflict, match="no import is unfinished here"):
        imported(target.store, full, resume=True)
    assert target.ends() == ends


def test_a_damaged_store_is_not_exported(full: bytes) -> None:
    with desk() as source:
        fill(source)

        async def rewind() -> None:
            async with source.store.transaction(0) as transaction:
                await transaction.write(Write(heads=[Head(run("done"), 3, b"")]))

        run_sync(rewind())
        with pytest.raises(LedgerDamaged, match=r"the store has .* events, but its streams"):
            exported(source.store)


# ── interrupted ───────────────────────────────────────────────────────────────────────────────────────────


class Killed(Exception):
    """The end of a process, as far as the store can tell."""


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(importing, "BATCH_LINES_MAX", 4)
    yield
    failpoints.disarm_all()


def interrupt(target: Desk, data: bytes, at: int) -> None:
    """Import, and stop before the transaction with number ``at``."""
    reached = iter(range(1, at))

    def stop() -> None:
        if next(reached, None) is None:
            raise Killed

    failpoints.arm("import.append.before", stop)
    with pytest.raises(Killed):
        imported(target.store, data, resume=run_sync(ImportLog(movable(target.store)).read_on()) is not None)
    failpoints.disarm_all()


@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_import_goes_on_and_is_the_same(full: bytes, target: Desk) -> None:
    for at in (1, 2, 3, 5):
        interrupt(target, full, at)
    so_far = sum(target.ends())
    answer = imported(target.store, full, resume=True)

    assert answer.found == so_far - 1, "all but the event that says that an import began"
    assert answer.found + answer.events == lines_of(full)[-1]["events"]
    assert kept(exported(target.store)) == kept(full)
    assert is_sound(target)


@pytest.mark.usefixtures("small_batches")
def test_an_unfinished_import_is_told_and_takes_no_other_file(full: bytes, target: Desk) -> None:
    interrupt(target, full, 3)
    ends = target.ends()
    with desk() as source:
        source.ensure()
        other = exported(source.store)

    with pytest.raises(Conflict, match="did not end here; go on with --resume"):
        imported(target.store, full)
    with pytest.raises(Conflict, match="of a file with sha256"):
        imported(target.store, other, resume=True)
    assert target.ends() == ends


@pytest.mark.usefixtures("small_batches")
def test_what_was_written_meanwhile_is_not_overwritten(full: bytes, target: Desk) -> None:
    transactions = itertools.count(2)
    while len(target.stream_events(run("done"))) < 4:
        interrupt(target, full, next(transactions))
    taken(target.send(B, 1, c.SetTags(run_id="done", tags={"mine": "now"})))
    before = target.stream_events(run("done"))
    assert len(before) < 8, "the control: the run was not whole"

    with pytest.raises(Conflict, match=f"of stream {run('done')} is another event here"):
        imported(target.store, full, resume=True)
    assert target.stream_events(run("done")) == before


def test_a_reader_of_one_file_reads_it_as_often_as_wanted(full: bytes) -> None:
    file = opened(full)

    assert len(list(file.items())) == len(list(file.items())) == len(lines_of(full)) - 2
