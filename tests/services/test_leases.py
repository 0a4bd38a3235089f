"""Who holds a run, and what becomes of it when nobody does: leases, keeper, cancel; by a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from runfold_events.clock import ManualClock
from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.ids import run_stream
from runfold_events.contract.statuses import Status
from runfold_events.contract.submission import Accepted, Actor, Outcome, Refused, Submission
from runfold_events.decision_state import run_state_of
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_services.compose.files import open_files
from runfold_services.keeper import KeeperGuard
from runfold_services.tracker import FoldingViews, Tracker

LEASE_S: Final = 120.0
RUN: Final = "job"
ALICE: Final = Actor("alice", "os")


class NoViews:
    """Leases never ask the views."""

    async def catch_up(self) -> int:
        return 0

    async def close(self) -> None:
        return None


class Process:
    """One sender of commands, as an SDK process is one."""

    def __init__(self, tracker: Tracker) -> None:
        self.id: UUID = uuid4()
        self._tracker = tracker
        self._numbers: dict[str, int] = {}

    def send(self, command: Command, *, hold: bool = False) -> Outcome:
        submission = Submission(
            workspace="default",
            command=command,
            writer_id=self.id,
            writer_seq=1,
            occurred_at=0,
            actor=ALICE,
            door="test",
            hold=hold,
        )
        stream = str(submission.stream)
        self._numbers[stream] = self._numbers.get(stream, 0) + 1
        numbered = replace(submission, writer_seq=self._numbers[stream])
        return run_sync(self._tracker.submit([numbered]))[0]

    def beat(self) -> tuple[str, ...]:
        return run_sync(self._tracker.heartbeat(self.id)).cancel_requested

    def exit(self) -> None:
        run_sync(self._tracker.release(self.id))

    def start(self, run_id: str = RUN) -> Outcome:
        self.beat()
        self.send(c.EnsureExperiment(experiment="exp"))
        return self.send(c.CreateRun(run_id=run_id, experiment="exp"), hold=True)


class World:
    def __init__(self, store: SqliteStore, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.tracker = Tracker(
            Ledger(store, SystemIds()),
            cast(FoldingViews, NoViews()),
            clock,
            open_files(None, None),
            lease_s=LEASE_S,
        )

    def process(self) -> Process:
        return Process(self.tracker)

    def keep(self) -> int:
        return run_sync(self.tracker.keeper_pass())

    def status(self, run_id: str = RUN) -> Status:
        stream = run_stream("default", run_id)
        state = run_state_of(run_sync(self.store.heads([stream])).get(stream))
        assert state is not None
        return state.status

    def types(self, run_id: str = RUN) -> list[str]:
        return [
            event.type for event in run_sync(self.store.read_stream(run_stream("default", run_id), 1, 100))
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = ManualClock()
    store = SqliteStore.open(tmp_path / "ledger.db", clock=clock)
    yield World(store, clock)
    run_sync(store.close())


@pytest.mark.parity("ST-10")
def test_a_silent_worker_is_not_responding_after_a_lease_and_running_when_it_speaks(world: World) -> None:
    worker = world.process()
    worker.start()
    world.clock.advance(LEASE_S - 1)
    assert world.keep() == 0
    assert world.status() is Status.RUNNING
    world.clock.advance(2)
    assert world.keep() == 1
    assert world.status() is Status.NOT_RESPONDING
    assert world.keep() == 0, "a lost run is marked once"
    worker.beat()
    assert world.keep() == 1
    assert world.status() is Status.RUNNING
    assert world.types() == ["run.created", "run.started", "run.lost", "run.found"]


def test_a_heartbeat_keeps_any_number_of_runs(world: World) -> None:
    worker = world.process()
    for number in range(5):
        worker.start(f"job-{number}")
    for _ in range(10):
        world.clock.advance(LEASE_S - 1)
        worker.beat()
        assert world.keep() == 0
    assert {world.status(f"job-{number}") for number in range(5)} == {Status.RUNNING}


def test_a_process_that_only_attached_and_left_changes_nothing(world: World) -> None:
    worker, reader = world.process(), world.process()
    worker.start()
    reader.beat()
    reader.send(c.SetTags(run_id=RUN, tags={"seen": "yes"}))
    reader.exit()
    assert world.keep() == 0
    assert world.status() is Status.RUNNING


def test_a_run_that_nobody_ever_held_is_never_lost(world: World) -> None:
    somebody = world.process()
    somebody.send(c.EnsureExperiment(experiment="exp"))
    somebody.send(c.CreateRun(run_id=RUN, experiment="exp"))
    world.clock.advance(100 * LEASE_S)
    assert world.keep() == 0
    assert world.status() is Status.RUNNING


def test_a_run_is_lost_with_its_last_holder(world: World) -> None:
    first, second = world.process(), world.process()
    first.start()
    second.beat()
    second.send(c.CreateRun(run_id=RUN, experiment="exp", resume=True), hold=True)
    first.exit()
    assert world.status() is Status.RUNNING
    second.exit()
    assert world.status() is Status.NOT_RESPONDING


def test_leaving_without_an_end_is_not_responding_at_once(world: World) -> None:
    worker = world.process()
    worker.start()
    worker.exit()
    assert world.status() is Status.NOT_RESPONDING


def test_resuming_a_lost_run_finds_it_at_once(world: World) -> None:
    worker, successor = world.process(), world.process()
    worker.start()
    worker.exit()
    successor.beat()
    successor.send(c.CreateRun(run_id=RUN, experiment="exp", resume=True), hold=True)
    assert world.status() is Status.RUNNING
    world.clock.advance(LEASE_S + 1)
    assert world.keep() == 1, "the successor holds it, and is silent now"


def test_a_lost_run_may_still_end_by_its_owner(world: World) -> None:
    worker = world.process()
    worker.start()
    worker.exit()
    outcome = worker.send(c.CompleteRun(run_id=RUN))
    assert isinstance(outcome, Accepted)
    worker.beat()
    assert world.keep() == 0
    assert world.status() is Status.COMPLETED


def test_cancel_of_a_living_owner_is_heard_with_the_heartbeat(world: World) -> None:
    worker, stranger = world.process(), world.process()
    worker.start()
    stranger.send(c.RequestCancel(run_id=RUN))
    assert world.status() is Status.CANCEL_REQUESTED
    assert worker.beat() == (f"default/{RUN}",)
    worker.send(c.CancelRun(run_id=RUN))
    assert world.status() is Status.CANCELED
    assert worker.beat() == ()


def test_cancel_of_an_owner_that_ignores_it_ends_with_the_owner(world: World) -> None:
    worker, stranger = world.process(), world.process()
    worker.start()
    stranger.send(c.RequestCancel(run_id=RUN))
    worker.exit()
    assert world.status() is Status.CANCELED
    assert "run.lost" not in world.types()


def test_cancel_of_an_owner_that_dies_meanwhile_ends_with_its_lease(world: World) -> None:
    worker, stranger = world.process(), world.process()
    worker.start()
    stranger.send(c.RequestCancel(run_id=RUN))
    world.clock.advance(LEASE_S + 1)
    assert world.keep() == 1
    assert world.status() is Status.CANCELED


def test_cancel_of_a_dead_owner_takes_effect_at_once(world: World) -> None:
    worker, stranger = world.process(), world.process()
    worker.start()
    world.clock.advance(LEASE_S + 1)
    outcome = stranger.send(c.RequestCancel(run_id=RUN))
    assert isinstance(outcome, Accepted)
    assert [event.type for event in outcome.events] == ["run.canceled"]


def test_start_is_refused_while_another_process_holds_the_run(world: World) -> None:
    worker, rival = world.process(), world.process()
    worker.start()
    outcome = rival.send(c.StartRun(run_id=RUN), hold=True)
    assert isinstance(outcome, Refused)
    assert outcome.code == "conflict"
    worker.exit()
    assert isinstance(rival.send(c.StartRun(run_id=RUN), hold=True), Accepted)
    assert world.status() is Status.RUNNING


def test_the_ledger_rereads_the_leases_so_that_a_late_keeper_marks_nothing(world: World) -> None:
    worker = world.process()
    worker.start()
    world.clock.advance(LEASE_S + 1)
    candidates = run_sync(world.store.without_live_holder(10))
    worker.beat()
    assert run_sync(world.tracker.keeper.mark(candidates, c.MarkLost)) == 0
    assert world.status() is Status.RUNNING


class TestKeeperGuard:
    def test_it_waits_for_a_full_lease(self) -> None:
        guard = KeeperGuard(lease_s=20)
        allowed = [guard.tick(now, 5) for now in range(0, 31, 5)]
        assert allowed == [False, False, False, False, True, True, True]

    def test_a_pause_starts_the_wait_again(self) -> None:
        guard = KeeperGuard(lease_s=20)
        for now in range(0, 21, 5):
            guard.tick(now, 5)
        assert not guard.tick(200, 5), "the machine stood still: leases that ran out meanwhile prove nothing"
        assert [guard.tick(now, 5) for now in (205, 210, 215, 220)] == [False, False, False, True]

    def test_being_a_little_late_is_fine(self) -> None:
        guard = KeeperGuard(lease_s=20)
        assert [guard.tick(now, 5) for now in (0, 9, 18, 27)][-1]


def test_control_a_keeper_without_its_guard_marks_runs_lost_after_a_pause(world: World) -> None:
    """What the guard is for: after a pause of the server every lease has run out, though all workers live."""
    worker = world.process()
    worker.start()
    guard = KeeperGuard(LEASE_S)
    for second in range(0, int(LEASE_S) + 1, 5):
        guard.tick(second, 5)
    world.clock.advance(10 * LEASE_S)
    if guard.tick(11 * LEASE_S, 5):
        world.keep()
    assert world.status() is Status.RUNNING, "guarded, nothing is marked"
    world.keep()
    assert world.status() is Status.NOT_RESPONDING, "unguarded, it would have been"
