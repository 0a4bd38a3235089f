"""The demo's ledger moves into Postgres and back: the same events, the same answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from runfold_events.check import check_ledger
from runfold_events.contract import commands as c
from runfold_events.contract.errors import Conflict
from runfold_events.contract.submission import Accepted, Refused
from runfold_events.ledger import Ledger
from runfold_events.ports import EventStore
from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.testing.builders import CountingIds
from runfold_projections.ports import Views
from runfold_projections.stores.sqlite import SqliteViewStore
from runfold_projections.views import EmbeddedViews, all_projections
from runfold_services.compose import ledger_path
from tests.support.answers import answers
from tests.support.ledgers import WORKSPACE, A, desk, run, taken
from tests.support.moving import OTHER, exported, fill, imported, kept, lines_of
from tests.support.postgres_store import as_service
from tests.support.postgres_views import TEMPLATE, open_views
from tests.support.repository import ROOT
from tests.support.stack import StackForTest

WORKSPACES: Final = ("default", WORKSPACE, OTHER)

# The demo's own work, in one process and without the child that somebody has to cancel: that one needs a minute.
DEMO: Final = """
import sys; sys.path.insert(0, sys.argv[1])
from contextlib import suppress
from runfold import Experiment, Workspace
from sweep_training import load, plans
from sweep_worker import record
data = load()
with Experiment(Workspace(home=sys.argv[2]), "digits-sweep").start_logging(display_name="digits sweep") as parent:
    for plan in plans(3, 4)[1:]:
        with suppress(ValueError):
            record(parent, plan, data, None)
"""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo's ledger, and beside it, in workspaces of their own, what a demo does not show."""
    home = tmp_path_factory.mktemp("demo")
    subprocess.run(
        [sys.executable, "-c", DEMO, str(ROOT / "deploy" / "demo"), str(home)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    with desk(ledger_path(home)) as opened:
        fill(opened)
    return ledger_path(home)


@pytest.fixture(scope="module")
def data(ledger: Path) -> bytes:
    """The demo's ledger as a file."""
    store = SqliteStore.open(ledger)
    try:
        return exported(store)
    finally:
        run_sync(store.close())


@pytest.fixture
def dsn(stack: StackForTest) -> str:
    return stack.database(TEMPLATE)


class Server:
    """An empty store in Postgres, opened as the service role: an import needs no other."""

    def __init__(self, dsn: str, runner: asyncio.Runner) -> None:
        self.dsn = dsn
        self.drive = runner.run
        self.store = self.drive(PostgresStore.open(as_service(dsn)))

    def take(self, data: bytes, **options: Any) -> Any:
        return imported(self.store, data, drive=self.drive, **options)

    def give(self, workspace: str | None = None) -> bytes:
        return exported(self.store, workspace, drive=self.drive)

    def told(self) -> dict[str, Any]:
        return self.drive(self._told())

    async def _told(self) -> dict[str, Any]:
        views = await open_views(self.dsn, self.store)
        try:
            return await everything(views)
        finally:
            await views.close()


@pytest.fixture
def server(dsn: str) -> Generator[Server]:
    with asyncio.Runner() as runner:
        opened = Server(dsn, runner)
        yield opened
        opened.drive(opened.store.close())


async def everything(views: Views) -> dict[str, Any]:
    """What views answer about every workspace."""
    return {workspace: await answers(views, workspace) for workspace in WORKSPACES}


def told_by(store: EventStore) -> dict[str, Any]:
    """What views in memory, folded from the first event, answer."""
    views = EmbeddedViews(store, SqliteViewStore(":memory:"), all_projections())
    try:
        return run_sync(everything(views))
    finally:
        run_sync(views.close())


def told_by_ledger(ledger: Path) -> dict[str, Any]:
    store = SqliteStore.open(ledger)
    try:
        return told_by(store)
    finally:
        run_sync(store.close())


def test_the_demo_moves_to_postgres_and_back(ledger: Path, data: bytes, server: Server) -> None:
    before = told_by_ledger(ledger)
    answer = server.take(data)

    assert (
        answer.events == lines_of(data)[-1]["events"] == len([x for x in kept(data) if x["kind"] == "event"])
    )
    assert server.drive(check_ledger(server.store)).is_sound
    assert len([end for end in server.drive(server.store.ends()) if end]) > 1, "it is spread over partitions"
    there = server.give()
    assert kept(there) == kept(data)
    after = server.told()
    for workspace, told in before.items():
        assert after[workspace] == told, workspace
    with desk() as back:
        imported(back.store, there)
        assert kept(exported(back.store)) == kept(data)
        assert told_by(back.store) == before


def test_the_demo_shows_what_is_compared(ledger: Path, data: bytes) -> None:
    """The control: an answer that differs in one event would be another answer."""
    types = {line.get("type") for line in lines_of(data)}
    told = told_by_ledger(ledger)

    assert {
        "run.metrics_logged",
        "run.command_rejected",
        "run.failed",
        "run.erased",
        "run.commands_lost",
    } <= types
    assert {run["status"] for run in told["default"]["runs"]} == {"Completed", "Failed"}
    assert any(run["metrics"] for run in told["default"]["runs"])
    with desk(first_id=1 << 32) as other:
        imported(other.store, data)
        taken(other.send(A, 12, c.SetTags(run_id="done", tags={"one": "more"})))
        assert told_by(other.store) != told


def test_one_workspace_is_given_alone_and_what_is_there_is_not_overwritten(
    data: bytes, server: Server
) -> None:
    server.take(data)
    ends = server.drive(server.store.ends())
    alone = server.give(WORKSPACE)

    assert kept(alone) == [line for line in kept(data) if line["stream"].startswith(f"{WORKSPACE}/")]
    with pytest.raises(Conflict, match=f"has workspace {WORKSPACE} already"):
        server.take(alone)
    assert server.drive(server.store.ends()) == ends


def test_decisions_go_on_where_they_stood(data: bytes, server: Server) -> None:
    server.take(data)
    with desk() as words:
        late = words.submission(A, 13, c.SetTags(run_id="done", tags={"k": "v"}))
        again = words.submission(A, 3, c.AddProperties(run_id="done", properties={"author": "y"}))
    ledger = Ledger(server.store, CountingIds(1 << 80))
    gap, repeated = server.drive(ledger.handle([late, again]))

    assert isinstance(gap, Refused)
    assert (gap.code, gap.facts["expected"]) == ("sequence_gap", 12)
    assert isinstance(repeated, Refused)
    assert (repeated.code, repeated.repeated) == ("property_immutable", True)


def test_an_export_is_one_moment_while_others_write(data: bytes, server: Server) -> None:
    server.take(data)
    with desk() as words:
        more = words.submission(A, 12, c.SetTags(run_id="done", tags={"one": "more"}))
    ledger = Ledger(server.store, CountingIds(1 << 80))

    async def look_beside_a_writer() -> None:
        async with server.store.snapshot() as snapshot:
            before = await snapshot.totals()
            assert [answer.events for answer in await ledger.handle([more]) if isinstance(answer, Accepted)]
            assert await snapshot.totals() == before
            assert {stream.stream: stream.events async for stream in snapshot.streams()}[run("done")] == 8

    server.drive(look_beside_a_writer())
    assert len(kept(server.give())) == len(kept(data)) + 1
