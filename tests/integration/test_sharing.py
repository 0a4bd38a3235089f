"""Commands of several partitions in one transaction: they share it, wait for nobody, and fail alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import pytest

from runfold_events.check import check_ledger
from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.envelope import LedgerDamaged
from runfold_events.contract.ids import run_stream
from runfold_events.contract.submission import Accepted, Actor, Outcome, Refused, Submission
from runfold_events.failpoints import arm, disarm_all
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.ports import Write
from runfold_events.sharing import Sharing
from runfold_events.stores.postgres import PostgresStore
from runfold_events.testing.builders import EventBuilder, stream_in
from runfold_services.committer import Lanes
from tests.support.driven_store import poison
from tests.support.postgres_store import as_service, template
from tests.support.stack import StackForTest, run_sql

PARTITIONS: Final = 4
WORKSPACE: Final = "default"
EXPERIMENT: Final = "exp"
RUNS: Final = tuple(stream_in(number, PARTITIONS).rpartition("/")[2] for number in range(PARTITIONS))
PLACES: Final = (
    "postgres.lock.before",
    "postgres.lock.after",
    "postgres.load.after",
    "postgres.append.before",
    "postgres.append.after",
    "postgres.commit.before",
    "postgres.commit.after",
)
HELD_S: Final = 0.3  # so long a row is held while others are to go on

Work = Callable[["Scene"], Coroutine[Any, Any, None]]


class Killed(BaseException):
    """As if the process had ended here."""


class Scene:
    """A store, the ledger over it, both ways in."""

    def __init__(self, dsn: str, store: PostgresStore) -> None:
        self.dsn = dsn
        self.store = store
        self.ledger = Ledger(store, SystemIds(), partitions_at_once=True)
        self.sharing = Sharing(self.ledger, store)
        self.writer = uuid4()

    def submission(
        self, command: Command, number: int = 1, *, actor: str = "ann", writer: UUID | None = None
    ) -> Submission:
        return Submission(
            workspace=WORKSPACE,
            command=command,
            writer_id=writer or self.writer,
            writer_seq=number,
            occurred_at=1_700_000_000_000_000,
            actor=Actor(actor, "os"),
            door="http",
        )

    async def create(self) -> None:
        """One run in each partition."""
        ensure = self.submission(c.EnsureExperiment(experiment=EXPERIMENT), writer=uuid4())
        runs = [self.submission(c.CreateRun(run_id=run, experiment=EXPERIMENT)) for run in RUNS]
        assert all(isinstance(one, Accepted) for one in await self.ledger.handle([ensure, *runs]))

    def tags(self, number: int = 2, **around: Any) -> list[Submission]:
        """A command for every run."""
        return [
            self.submission(c.SetTags(run_id=run, tags={"n": f"{number}"}), number, **around) for run in RUNS
        ]

    async def check(self) -> None:
        """The ledger is dense and chained, heads are as a replay gives them. What tests do to the schema is theirs."""
        report = await check_ledger(self.store)
        assert [found for found in report.findings if not found.startswith(("function ", "trigger "))] == []
        assert not report.damage

    async def transactions(self, event_type: str = "run.tags_set") -> int:
        """In how many transactions events of a type were appended."""
        connection = await asyncpg.connect(self.dsn)
        try:
            count: int = await connection.fetchval(
                "SELECT count(DISTINCT xmin::text) FROM runfold.events WHERE type = $1", event_type
            )
            return count
        finally:
            await connection.close()

    @asynccontextmanager
    async def held(self, partition: int) -> AsyncGenerator[None]:
        """Another process is busy with a partition."""
        connection = await asyncpg.connect(as_service(self.dsn))
        try:
            async with connection.transaction():
                await connection.execute("SELECT runfold.lock_partition($1)", partition)
                yield
        finally:
            await connection.close()


@pytest.fixture
def play(stack: StackForTest) -> Callable[[Work], None]:
    """Runs a test's coroutine on a new store with a run in each partition; afterwards the ledger is sound."""
    dsn = stack.database(template(PARTITIONS))

    async def scene(work: Work) -> None:
        store = await PostgresStore.open(as_service(dsn))
        try:
            scene = Scene(dsn, store)
            await scene.create()
            await work(scene)
            await scene.check()
        finally:
            await store.close()

    return lambda work: asyncio.run(scene(work))


def accepted(outcomes: Sequence[Outcome | None]) -> list[Accepted]:
    for outcome in outcomes:
        assert isinstance(outcome, Accepted), outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Accepted)]


def test_commands_of_all_partitions_share_one_transaction(play: Callable[[Work], None]) -> None:
    async def work(scene: Scene) -> None:
        found = accepted(await scene.sharing.handle(scene.tags()))
        assert [outcome.events[0].partition for outcome in found] == list(range(PARTITIONS))
        assert {outcome.token.rpartition(":")[2] for outcome in found} == {
            f"{partition}={end}" for partition, end in enumerate(await scene.store.ends())
        }
        assert await scene.transactions() == 1
        accepted(await scene.ledger.handle(scene.tags(3)))
        assert await scene.transactions() == 1 + PARTITIONS, "the other way in takes one for each"

    play(work)


def test_runs_and_what_they_name_are_created_together(play: Callable[[Work], None]) -> None:
    async def work(scene: Scene) -> None:
        ensure = scene.submission(c.EnsureExperiment(experiment="new"), writer=uuid4())
        parent = scene.submission(c.CreateRun(run_id="parent", experiment="new"))
        children = [
            scene.submission(c.CreateRun(run_id=f"child-{n}", experiment="new", parent_run_id="parent"))
            for n in range(20)
        ]
        batch = [*children, parent, ensure]
        first = accepted(await scene.sharing.handle(batch))
        assert not any(outcome.repeated for outcome in first)
        again = accepted(await scene.sharing.handle(batch))
        assert [outcome.events for outcome in again] == [outcome.events for outcome in first]
        numbers = await run_numbers(scene, "new")
        assert sorted(numbers) == list(range(1, 22)), (
            "each run has one of its own, and a repetition takes none"
        )

    async def run_numbers(scene: Scene, experiment: str) -> list[int]:
        connection = await asyncpg.connect(scene.dsn)
        try:
            found = await connection.fetch(
                "SELECT (convert_from(body, 'utf-8')::json ->> 'number')::int FROM runfold.events "
                "WHERE type = 'run.created' AND convert_from(body, 'utf-8')::json ->> 'experiment' = $1",
                experiment,
            )
        finally:
            await connection.close()
        return [row[0] for row in found]

    play(work)


def test_a_partition_that_another_process_holds_is_left_out_and_the_others_go_on(
    play: Callable[[Work], None],
) -> None:
    async def work(scene: Scene) -> None:
        async with scene.held(1):
            found = await asyncio.wait_for(scene.sharing.handle(scene.tags()), HELD_S * 10)
        assert [outcome is None for outcome in found] == [False, True, False, False]
        assert await scene.transactions() == 1
        assert await scene.sharing.handle(scene.tags()) != found
        assert len(await tagged(scene)) == PARTITIONS, "what was left out is done later, once"

    async def tagged(scene: Scene) -> list[str]:
        streams = [run_stream(WORKSPACE, run) for run in RUNS]
        events = [event for stream in streams for event in await scene.store.read_stream(stream, 1, 100)]
        return [event.stream for event in events if event.type == "run.tags_set"]

    play(work)


def test_a_partition_that_this_process_is_busy_with_is_left_out_too(play: Callable[[Work], None]) -> None:
    async def work(scene: Scene) -> None:
        async with scene.store.transaction(2) as transaction:
            await transaction.write(Write())
            waiting = asyncio.create_task(scene.ledger.handle(scene.tags()[2:3]))
            await asyncio.sleep(0)
            found = await scene.sharing.handle(scene.tags())
            assert [outcome is None for outcome in found] == [False, False, True, False]
        accepted(await waiting)

    play(work)


def test_a_held_partition_keeps_only_its_own_commands_waiting(play: Callable[[Work], None]) -> None:
    async def work(scene: Scene) -> None:
        assert await answered_while_held(scene) == [0, 2, 3]

    play(work)


def test_control_where_the_rows_are_waited_for_all_commands_wait(play: Callable[[Work], None]) -> None:
    async def work(scene: Scene) -> None:
        connection = await asyncpg.connect(scene.dsn)
        source: str = await connection.fetchval(
            "SELECT pg_get_functiondef('runfold.lock_free_partitions'::regproc)"
        )
        assert source.count("SKIP LOCKED") == 1
        await connection.execute(source.replace("SKIP LOCKED", ""))
        await connection.close()
        assert await answered_while_held(scene) == []

    play(work)


async def answered_while_held(scene: Scene) -> list[int]:
    """Through a server's queues: of which partitions commands are answered while partition 1 is held elsewhere."""
    lanes = Lanes(scene.ledger.handle, PARTITIONS, submit_free=scene.sharing.handle)
    async with scene.held(1):
        sent = [asyncio.create_task(lanes.submit([one], 100)) for one in scene.tags()]
        await asyncio.wait(sent, timeout=HELD_S)
        done = [number for number, task in enumerate(sent) if task.done()]
    accepted([(await task)[0] for task in sent])
    await lanes.close()
    return done


def test_a_command_that_breaks_the_transaction_is_answered_alone(play: Callable[[Work], None]) -> None:
    async def work(scene: Scene) -> None:
        await asyncio.to_thread(poison, scene.dsn, "run.tags_set")
        batch = [*scene.tags(), *scene.tags(1, writer=uuid4())]  # two for each partition
        batch[2] = scene.tags(actor="poison")[2]
        found = await scene.sharing.handle(batch)
        broken = found.pop(2)
        assert isinstance(broken, Refused)
        assert broken.code == "error"
        assert "poisoned" in broken.message
        accepted(found)

    play(work)


def test_all_or_nothing_of_it_is_there_wherever_it_ends(play: Callable[[Work], None]) -> None:
    async def work(scene: Scene) -> None:
        def kill() -> None:
            raise Killed

        for number, place in enumerate(PLACES, 2):
            before = await scene.transactions()
            arm(place, kill)
            try:
                with pytest.raises(Killed):
                    await scene.sharing.handle(scene.tags(number))
            finally:
                disarm_all()
            was_committed = place == "postgres.commit.after"
            assert await scene.transactions() == before + was_committed
            found = accepted(await scene.sharing.handle(scene.tags(number)))
            assert [outcome.repeated for outcome in found] == [was_committed] * PARTITIONS
            assert await scene.transactions() == before + 1

    play(work)


def test_an_erasure_goes_its_own_way_with_all_of_its_partition(play: Callable[[Work], None]) -> None:
    async def work(scene: Scene) -> None:
        erase = Submission(
            workspace=WORKSPACE,
            command=c.EraseRun(run_id=RUNS[0]),
            writer_id=uuid4(),
            writer_seq=1,
            occurred_at=0,
            actor=Actor("root", "os", admin=True),
            door="http",
        )
        found = await scene.sharing.handle([*scene.tags(), erase])
        assert [outcome is None for outcome in found] == [True, False, False, False, True]
        accepted(await scene.ledger.handle([erase]))

    play(work)


def test_many_processes_that_share_and_that_do_not_wait_for_each_other_in_no_circle(
    play: Callable[[Work], None],
) -> None:
    async def work(scene: Scene) -> None:
        stores = [await PostgresStore.open(as_service(scene.dsn)) for _ in range(3)]
        rivals = [Scene(scene.dsn, store) for store in stores]
        try:
            await asyncio.gather(*map(compete, rivals))
        finally:
            for store in stores:
                await store.close()

    async def compete(rival: Scene) -> None:
        lanes = Lanes(rival.ledger.handle, PARTITIONS, submit_free=rival.sharing.handle)
        for number in range(1, 11):
            batch = rival.tags(number)
            answers = await asyncio.gather(
                *(lanes.submit([one], 100) for one in batch[::2]), lanes.submit(batch[1::2], 100)
            )
            accepted([outcome for answer in answers for outcome in answer])
        await lanes.close()

    play(work)


def test_what_does_not_go_on_from_the_rows_is_refused_by_engine_and_adapter(
    play: Callable[[Work], None],
) -> None:
    async def work(scene: Scene) -> None:
        build = EventBuilder(scene.store.epoch)
        ends = await scene.store.ends()
        async with scene.store.shared_transaction([0, 1]) as transaction:
            events = build.place(transaction.rows[0], [build.event(run_stream(WORKSPACE, RUNS[0]))])
            with pytest.raises(LedgerDamaged):
                await transaction.write({1: Write(events=events)})
        for write in (Write(erase=[run_stream(WORKSPACE, RUNS[0])]), Write(next_offset=7)):
            async with scene.store.shared_transaction([0]) as transaction:
                with pytest.raises(ValueError, match="erases nothing"):
                    await transaction.write({0: write})
        call = (
            "SELECT runfold.append_shared('{0,1}', '{%d,%d}', '{%d,0}', '{a,b}', '{}', '{}', '{}', '{}', '{}', '{}', "
            "'{}', '{}', '{}')"
        )
        with pytest.raises(asyncpg.SerializationError):
            await run_sql(as_service(scene.dsn), call % (ends[0], ends[1] + 1, 0))
        with pytest.raises(asyncpg.DataError, match="not dense"):
            await run_sql(as_service(scene.dsn), call % (ends[0], ends[1], 1))
        assert await scene.store.ends() == ends

    play(work)
