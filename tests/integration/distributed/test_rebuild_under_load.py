"""A view is built anew while a thousand commands a second come in: writers do not wait, readers see no half-built view,
and what was built equals what was there. It is killed half way and goes on.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
import urllib3

from runfold_projections.dump import dump
from runfold_projections.projection import Row
from runfold_projections.stores.postgres import PostgresViewStore
from runfold_projections.views import all_projections
from runfold_services.compose.postgres import rebuild_views
from tests.support.distributed import checker
from tests.support.distributed.fleet import Fleet, FleetSettings, fleet_on
from tests.support.distributed.journal import read_journals
from tests.support.distributed.lives import WORKSPACE
from tests.support.postgres_store import as_service
from tests.support.repository import ROOT
from tests.support.stack import StackForTest

KAFKA_RATE: Final = 1_150.0  # some of it is no command, and a busy machine sends less
HTTP_RATE: Final = 100.0
HISTORY_EVENTS: Final = 6_000  # before the rebuild begins
CALM_S: Final = 2.0
PROBE_S: Final = 0.02

# As `runfold rebuild`, in small steps, so that half way is a place.
REBUILDING: Final = """
import asyncio, sys
import runfold_services.compose.postgres as compose
from runfold_projections.runner import Folder

class Small(Folder):
    def __init__(self, *parts):
        super().__init__(*parts, batch_events_max=200)

compose.Folder = Small
asyncio.run(compose.rebuild_views(sys.argv[1], progress=lambda done, total: print(done, total, flush=True)))
"""

BLOCKED: Final = """
SELECT count(*) FROM pg_stat_activity AS waiting
JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocker (pid) ON true
JOIN pg_stat_activity AS blocking ON blocking.pid = blocker.pid
WHERE waiting.application_name = 'runfold' AND blocking.application_name = 'runfold views'
AND waiting.datname = current_database()
"""


class Watch:
    """Looks all the time at what readers get and what writers wait for."""

    def __init__(self, fleet: Fleet) -> None:
        self.reads = 0
        self.looks = 0
        self.wrong: list[str] = []
        self.blocked = 0
        self._fleet = fleet
        self._http = urllib3.PoolManager(retries=False, timeout=30.0)
        self._seen: dict[str, int] = {}

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        tasks = [asyncio.create_task(self._read_on()), asyncio.create_task(self._look_on())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended

    async def _read_on(self) -> None:
        while True:
            await asyncio.to_thread(self._read)
            self.reads += 1
            await asyncio.sleep(PROBE_S)

    def _read(self) -> None:
        """Runs, and points of every run, only grow: a view that is half built, or that goes back, has fewer."""
        url = f"{self._fleet.api_url}/api/v1/workspaces/{WORKSPACE}"
        answer = self._http.request("POST", f"{url}/runs:count", json={})
        self._take(answer, "runs", answer.json()["count"] if answer.status == 200 else -1)
        page = self._http.request("GET", f"{url}/runs?limit=50&include_children=true")
        rows: list[dict[str, Any]] = page.json()["rows"] if page.status == 200 else []
        self._take(page, "rows", len(rows))
        for row in rows:
            points = sum(metric["count"] for metric in row["metrics"].values())
            self._take(page, f"points of {row['run_id']}", points)

    def _take(self, answer: Any, name: str, count: int) -> None:
        if answer.status != 200:
            self.wrong.append(f"{name}: {answer.status} {answer.data!r}")
            return
        ends = answer.headers["Runfold-Position"].partition(":")[2].split(",")
        found = {
            name: count,
            **{f"position of {p}": int(end) for p, end in (e.split("=") for e in ends if e)},
        }
        for what, number in found.items():
            before = self._seen.get(what, 0)
            if number < before:
                self.wrong.append(f"{what}: {number} after {before}")
            self._seen[what] = number

    async def _look_on(self) -> None:
        connection: Any = await asyncpg.connect(self._fleet.dsn)
        try:
            while True:
                self.blocked += await connection.fetchval(BLOCKED)
                self.looks += 1
                await asyncio.sleep(PROBE_S)
        finally:
            connection.terminate()


class Rebuilding:
    """A rebuild in a process of its own."""

    def __init__(self, dsn: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", REBUILDING, as_service(dsn)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.done = self.total = 0

    async def step(self) -> bool:
        """Wait for the next step; False at the end."""
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        if line:
            self.done, self.total = map(int, line.split())
        return bool(line)

    def end(self) -> int:
        """Kill it unless it has ended; its exit code."""
        if self._process.poll() is None and self._process.stdout is not None and self.done < self.total:
            self._process.kill()
        self._process.communicate()
        return self._process.returncode


async def views(fleet: Fleet) -> dict[str, list[Row]]:
    """All rows of the views in use, decoded."""
    store = await PostgresViewStore.open(as_service(fleet.dsn))
    try:
        return await dump(store, all_projections())
    finally:
        await store.close()


async def generations(fleet: Fleet) -> set[tuple[int, str]]:
    connection: Any = await asyncpg.connect(fleet.dsn)
    try:
        rows = await connection.fetch("SELECT DISTINCT generation, state FROM runfold_views.view_generations")
        return {(row[0], row[1]) for row in rows}
    finally:
        await connection.close()


@pytest.mark.timeout(500)
def test_a_rebuild_under_load_keeps_nobody_waiting_and_gives_the_same_views(
    stack: StackForTest, tmp_path: Path
) -> None:
    async def run() -> None:
        async with fleet_on(stack, tmp_path, FleetSettings(partitions=4)) as fleet:
            await fleet.start_all({"api": 1, "decider": 1, "relay": 1, "projector": 1})
            fleet.start_kafka_worker(KAFKA_RATE)
            fleet.start_http_worker(HTTP_RATE)
            await fleet.stored(HISTORY_EVENTS)
            await _rebuild_under_load(fleet)
            await asyncio.sleep(CALM_S)
            await fleet.end_load()
            await fleet.settled()
            found = await checker.check(fleet.place())
            sent = found.figures["commands sent by kafka"] + found.figures["commands sent by http"]
            print(
                found.render(),
                f"\n{sent / found.figures['seconds from first to last event']:.0f} commands a second",
            )
            assert found.is_clean, found.render()
            await _rebuild_at_rest(fleet)

    asyncio.run(run())


async def _rebuild_under_load(fleet: Fleet) -> None:
    before, calm = await views_count(fleet), Answers(fleet)
    watch = Watch(fleet)
    async with watch.watching():
        first = Rebuilding(fleet.dsn)
        while await first.step():
            if first.done * 2 >= first.total:
                break
        assert first.end() < 0, "it was to be killed half way"
        assert await generations(fleet) == {(1, "active"), (2, "building")}
        second = Rebuilding(fleet.dsn)
        assert await second.step()
        assert second.done >= first.done, "it goes on where the first one stood"
        while await second.step():
            pass
        assert second.end() == 0
        assert await generations(fleet) == {(1, "retired"), (2, "active")}
    busy = Answers(fleet, calm)
    print(
        f"{watch.reads} reads, {watch.looks} looks for writers that wait; a request of 12 commands was answered"
    )
    print(f"  within {calm} before the rebuild, {busy} during it")
    assert busy.ms(0.5) < 5 * calm.ms(0.5) + 200.0  # two cores have more to do, that is all
    assert watch.wrong == []
    assert watch.blocked == 0
    assert watch.reads > 10
    assert watch.looks > 50
    assert await views_count(fleet) > before


class Answers:
    """How long requests of the load waited for their answers, by the workers' journals, since an earlier look."""

    def __init__(self, fleet: Fleet, since: Answers | None = None) -> None:
        self._all = {journal.path: journal.answer_ms for journal in read_journals(fleet.journals)}
        before = {} if since is None else since._all
        self._ms = sorted(
            ms for path, found in self._all.items() for ms in found[len(before.get(path, ())) :]
        )

    def ms(self, share: float) -> float:
        """What that share of them waited at most."""
        return self._ms[min(len(self._ms) - 1, int(share * len(self._ms)))]

    def __str__(self) -> str:
        return f"{self.ms(0.5):.0f} ms (half), {self.ms(0.99):.0f} ms (99 %), {self.ms(1):.0f} ms (all)"


async def views_count(fleet: Fleet) -> int:
    """Events folded."""
    progress = await fleet.progress()
    assert progress is not None
    return sum(progress.folded)


async def _rebuild_at_rest(fleet: Fleet) -> None:
    """Nothing comes in, so that both stand at the same position."""
    old = await views(fleet)
    await rebuild_views(as_service(fleet.dsn))
    assert (3, "active") in await generations(fleet)
    assert await views(fleet) == old
