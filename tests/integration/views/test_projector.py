"""Projectors: several share the partitions, die and come back; what is wrong shows; views equal a replay."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from runfold_events.contract import events as e
from runfold_events.contract.errors import Unavailable
from runfold_events.stores.postgres import PostgresStore
from runfold_projections.dump import dump
from runfold_projections.projection import FoldEvents, ViewTransaction
from runfold_projections.runs.fold import RunsProjection
from runfold_projections.stores.postgres import PostgresViewStore
from runfold_projections.testing.history import History, MemorySource
from runfold_projections.views import all_projections
from runfold_services.compose.postgres import ServerTracker, open_projector, open_server, rebuild_views
from runfold_services.postgres_settings import PostgresSettings
from runfold_services.projector import ROLE, Projector, ProjectorSettings
from tests.projections.support import refolded
from tests.support.postgres_store import as_service
from tests.support.postgres_views import PARTITIONS
from tests.support.tracking import Job, copied

QUICK: Final = ProjectorSettings(lease_s=1.0, retry_s_min=0.02)
WAIT_S: Final = 20.0
RUNS: Final = tuple(f"run-{number}" for number in range(12))

PROJECTING: Final = """
import asyncio, sys
from runfold_services.compose.postgres import open_projector
from runfold_services.projector import ProjectorSettings
settings = ProjectorSettings(lease_s=1.0, batch_events_max=5, batches_at_once=1)

async def project():
    async with open_projector(sys.argv[1], settings=settings) as projector:
        await projector.start()
        await asyncio.Event().wait()

asyncio.run(project())
"""
REBUILDING: Final = """
import asyncio, sys
import runfold_services.compose.postgres as compose
from runfold_projections.runner import Folder

class Small(Folder):
    def __init__(self, *parts):
        super().__init__(*parts, batch_events_max=5)

compose.Folder = Small
asyncio.run(compose.rebuild_views(sys.argv[1], progress=lambda done, total: print(done, total, flush=True)))
"""


def start(program: str, dsn: str) -> subprocess.Popen[str]:
    """A process that runs ``program`` with the service's DSN."""
    code = f"import sys; sys.path[:] = {sys.path!r}\n{program}"
    return subprocess.Popen(
        [sys.executable, "-c", code, as_service(dsn)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


async def until(holds: Callable[[], Awaitable[bool]] | Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(wait_s):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


async def check_views(tracker: ServerTracker, dsn: str) -> None:
    """The tables in use hold what a fold of the whole store from its first event gives."""
    await tracker.views.reach(await tracker.token(), WAIT_S)
    source = await copied(tracker.store)
    store = await PostgresViewStore.open(as_service(dsn))
    try:
        found = await dump(store, all_projections())
    finally:
        await store.close()
    assert found == await asyncio.to_thread(refolded, source)


def drive(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


# Folding


def test_what_is_appended_is_in_the_views_soon(dsn: str) -> None:
    async def work() -> None:
        tracker = await open_server(PostgresSettings(dsn=as_service(dsn)), projects=True)
        job = Job(tracker)
        await job.begin(*RUNS)
        for number in range(20):
            await job.log(RUNS[number % 12], float(number), number + 0.5)
            await tracker.views.reach(job.token, 2.0)
        await job.complete(*RUNS)
        await check_views(tracker, dsn)
        assert tracker.projector is not None
        lags = await tracker.projector.lag()
        assert {(lag.projection, lag.partition) for lag in lags} == {
            (p.name, n) for p in all_projections() for n in range(PARTITIONS)
        }
        assert all((lag.positions, lag.seconds, lag.stopped) == (0, 0.0, None) for lag in lags)
        await tracker.close()

    drive(work)


def test_projectors_share_the_partitions_and_take_over_from_those_that_left(dsn: str) -> None:
    async def work() -> None:
        tracker = await open_server(PostgresSettings(dsn=as_service(dsn)))
        job = Job(tracker)
        await job.begin(*RUNS)
        async with (
            open_projector(as_service(dsn), settings=QUICK) as one,
            open_projector(as_service(dsn), settings=QUICK) as two,
        ):
            await one.start()
            assert one.status.served == frozenset(range(PARTITIONS))
            await two.start()
            await until(lambda: len(one.status.served) == len(two.status.served) == PARTITIONS // 2)
            assert one.status.served.isdisjoint(two.status.served)
            for number in range(20):
                await job.log(RUNS[number % 12], float(number))
            await check_views(tracker, dsn)
            assert min(one.status.events, two.status.events) > 0
            await one.stop()
            await until(lambda: two.status.served == frozenset(range(PARTITIONS)))
            await job.complete(*RUNS)
            await check_views(tracker, dsn)
            await two.stop()
        await tracker.close()

    drive(work)


def test_a_projector_that_missed_the_end_of_its_lease_does_no_harm(dsn: str) -> None:
    """Two fold the same partitions all the time, as if each knew nothing of the other."""

    class Mine:
        async def share_partitions(self, role: str, member: UUID, lease_us: int) -> frozenset[int]:
            return frozenset(range(PARTITIONS))

        async def leave_role(self, role: str, member: UUID) -> None:
            assert role == ROLE

    async def work() -> None:
        tracker = await open_server(PostgresSettings(dsn=as_service(dsn)))
        job = Job(tracker)
        await job.begin(*RUNS)
        store = await PostgresStore.open(as_service(dsn))
        views = [await PostgresViewStore.open(as_service(dsn)) for _ in range(2)]
        settings = ProjectorSettings(batch_events_max=2)
        rivals = [Projector(store, view, all_projections(), Mine(), settings) for view in views]
        for rival in rivals:
            await rival.start()
        for number in range(60):
            await job.log(RUNS[number % 12], float(number))
        await check_views(tracker, dsn)
        assert sum(rival.status.events for rival in rivals) == sum(await store.ends())
        for rival, view in zip(rivals, views, strict=True):
            await rival.stop()
            await view.close()
        await store.close()
        await tracker.close()

    drive(work)


# Death and outage


def test_a_killed_projector_is_followed_by_one_that_goes_on(dsn: str) -> None:
    async def work() -> None:
        tracker = await open_server(PostgresSettings(dsn=as_service(dsn)))
        job = Job(tracker)
        await job.begin(*RUNS)
        process = start(PROJECTING, dsn)
        for life in range(3):
            before = await tracker.views.reach(None)
            for number in range(10):
                for run in RUNS:
                    await job.log(run, float(number), float(life))
            await until(lambda before=before: _moved(tracker, before))
            kill(process)
            process = start(PROJECTING, dsn)
        await job.complete(*RUNS)
        await check_views(tracker, dsn)
        kill(process)
        await tracker.close()

    drive(work)


async def _moved(tracker: ServerTracker, before: Any) -> bool:
    return bool((await tracker.views.reach(None)).ends != before.ends)


def test_a_rebuild_under_writes_that_is_killed_is_resumed(dsn: str) -> None:
    """Writers do not wait for it, readers always get an answer, and in the end the new tables hold everything."""

    async def work() -> None:
        tracker = await open_server(PostgresSettings(dsn=as_service(dsn)), projects=True)
        job = Job(tracker)
        await job.begin(*RUNS)
        for number in range(10):
            for run in RUNS:
                await job.log(run, float(number))
        writing = asyncio.create_task(write(job))
        process = await asyncio.to_thread(start, REBUILDING, dsn)
        assert process.stdout is not None
        done = 0
        while done < 60:  # of about 700: it dies on the way
            done = int((await asyncio.to_thread(process.stdout.readline)).split()[0])
        kill(process)
        assert (await tracker.views.run("default", RUNS[0])).metrics["loss"].count >= 10

        progress: list[int] = []
        folded = await rebuild_views(as_service(dsn), progress=lambda done, total: progress.append(done))
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert progress[0] >= 60  # it went on where the other one stood
        assert folded > 0
        await check_views(tracker, dsn)
        generations = await number_of_generations(dsn)
        assert generations == {1: "retired", 2: "active"}
        await tracker.close()

    async def write(job: Job) -> None:
        while True:
            await job.log(RUNS[0], 1.0)
            await asyncio.sleep(0.005)

    drive(work)


async def number_of_generations(dsn: str) -> dict[int, str]:
    owner = await asyncpg.connect(dsn)
    rows = await owner.fetch("SELECT DISTINCT generation, state FROM runfold_views.view_generations")
    await owner.close()
    return {row[0]: row[1] for row in rows}


def test_a_projector_goes_on_when_its_connections_were_cut(dsn: str) -> None:
    async def work() -> None:
        tracker = await open_server(PostgresSettings(dsn=as_service(dsn)))
        job = Job(tracker)
        await job.begin(*RUNS)
        async with open_projector(as_service(dsn), settings=QUICK) as projector:
            await projector.start()
            for number in range(5):
                owner = await asyncpg.connect(dsn)
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND application_name LIKE 'runfold%'"
                )
                await owner.close()
                await job.log(RUNS[0], float(number))
            await until(lambda: _checked(tracker, dsn))
            await projector.stop()
        await tracker.close()

    async def _checked(tracker: ServerTracker, dsn: str) -> bool:
        try:
            await check_views(tracker, dsn)
        except Unavailable:
            return False
        return True

    drive(work)


def test_a_stopped_projector_leaves_its_share_and_nothing_half_done(dsn: str) -> None:
    async def work() -> None:
        tracker = await open_server(PostgresSettings(dsn=as_service(dsn)))
        job = Job(tracker)
        await job.begin(*RUNS)
        async with open_projector(as_service(dsn)) as projector:
            await projector.start()
            for number in range(20):
                await job.log(RUNS[number % 12], float(number))
            await projector.stop()
            assert projector.status.served == frozenset()
            async with open_projector(as_service(dsn)) as next_one:
                await next_one.start()
                assert next_one.status.served == frozenset(range(PARTITIONS))
                await check_views(tracker, dsn)
                await next_one.stop()
        await tracker.close()

    drive(work)


# What is wrong shows


class Fragile:
    """A projection that cannot read some events."""

    name = "runs"
    version = RunsProjection.version
    tables = RunsProjection.tables

    def __init__(self) -> None:
        self.inner = RunsProjection()

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        await self.inner.apply(events, tx)
        if any(event.type == "run.archived" for event in events.recorded):
            raise ValueError("cannot read this")


def test_a_view_that_stops_somewhere_is_named_and_the_others_go_on(dsn: str) -> None:
    source = MemorySource(PARTITIONS)
    history = History(source)
    history.experiment()
    for run in RUNS:
        history.create(run)
    bad = history.run(RUNS[0], e.RunArchived())
    for run in RUNS:
        history.complete(run)

    async def work() -> None:
        store = await PostgresViewStore.open(as_service(dsn))
        projector = Projector(
            source, store, [Fragile(), *all_projections()[1:]], now_s=lambda: 1_800_000_000.0
        )
        await projector.start()
        place = ("runs", bad.partition)
        await until(lambda: "stopped at position" in projector.status.alarms.get(place, ""))
        await until(lambda: _only_lag(projector, place))
        (lag,) = [lag for lag in await projector.lag() if lag.positions]
        assert lag.positions == len(source.events[bad.partition]) - bad.pos
        assert lag.seconds == pytest.approx(1_800_000_000.0 - bad.recorded_at / 1e6)
        assert lag.stopped is not None
        assert str(bad.id) in lag.stopped
        await projector.stop()
        mended = Projector(source, store, all_projections())
        await mended.start()
        await until(lambda: _only_lag(mended, None))
        assert mended.status.alarms == {}
        await mended.stop()
        await store.close()

    async def _only_lag(projector: Projector, place: tuple[str, int] | None) -> bool:
        behind = {(lag.projection, lag.partition) for lag in await projector.lag() if lag.positions}
        return behind == ({place} if place else set())

    drive(work)


def test_a_store_that_ends_before_its_views_is_an_alarm(dsn: str) -> None:
    source = MemorySource(PARTITIONS)
    history = History(source)
    history.experiment()
    for run in RUNS:
        history.create(run)

    async def work() -> None:
        store = await PostgresViewStore.open(as_service(dsn))
        projector = Projector(source, store, all_projections())
        await projector.start()
        await until(lambda: projector.status.events == sum(map(len, source.events)))
        partition = next(n for n, events in enumerate(source.events) if events)
        del source.events[partition][-1]
        await until(lambda: len(projector.status.alarms) == len(all_projections()))
        assert {place[1] for place in projector.status.alarms} == {partition}
        assert all("events are missing" in alarm for alarm in projector.status.alarms.values())
        source.epoch = UUID(int=0xF)
        await until(lambda: len(projector.status.alarms) == len(all_projections()) * PARTITIONS)
        await projector.stop()
        await store.close()

    drive(work)


def test_an_older_version_is_built_anew_while_other_views_go_on(dsn: str) -> None:
    source = MemorySource(PARTITIONS)
    history = History(source)
    history.experiment()
    for run in RUNS:
        history.create(run)

    class NewRuns(RunsProjection):
        version = RunsProjection.version + 1

    async def work() -> None:
        store = await PostgresViewStore.open(as_service(dsn))
        old = Projector(source, store, all_projections())
        await old.start()
        await until(lambda: old.status.events == sum(map(len, source.events)))
        new = Projector(source, store, [NewRuns(), *all_projections()[1:]])
        await new.start()
        await until(lambda: _active(store, "runs", NewRuns.version))
        history.complete(RUNS[0])
        await until(
            lambda: ("runs", 0) in old.status.alarms
        )  # it says that it is too old, and folds the others
        await until(lambda: not new.status.alarms)
        await old.stop()
        await until(lambda: _folded(new))
        found = await dump(store, [NewRuns(), *all_projections()[1:]])
        assert found == await asyncio.to_thread(refolded, source)
        await new.stop()
        await store.close()

    async def _active(store: PostgresViewStore, name: str, version: int) -> bool:
        async with store.snapshot() as session:
            return (await session.catalogue()).active[name].version == version

    async def _folded(projector: Projector) -> bool:
        return not any(lag.positions for lag in await projector.lag())

    drive(work)
