"""A helper process commits for a busy server, and nobody depends on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec import Raw
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.events import METRICS_LOGGED
from runfold_events.contract.submission import Accepted, Actor, Outcome, Refused, Submission
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.sync import run_sync
from runfold_services.committing import LedgerBeside, helper_command
from runfold_services.helper_process import HelperProcess
from tests.support.columns import json_batch, plain, series

START_S_MAX = 60.0
ALWAYS = 1
WRITER = UUID(int=7)
# What a helper does instead of answering: it ends, hangs, or says something that is no answer.
HELPER = (
    "from runfold_services.helper_process import answer_requests as to; import os, time; to(lambda request: "
)
ENDS_AT_ONCE = "import sys"
ENDS = HELPER + "os._exit(1))"
HANGS = HELPER + "time.sleep(60))"
BABBLES = HELPER + "b'broken')"
LOSES_OUTCOMES = HELPER + "bytes([0x92, 0x90, 0xc0]))"
COMMITS_AND_ENDS = """
import os, sys
from pathlib import Path
from runfold_services.compose import committing
answer_to = committing.answer_to
def commits(request, handle):
    answer_to(request, handle)
    os._exit(1)
committing.answer_to = commits
committing.main(Path(sys.argv[1]))
"""


class Beside:
    """A ledger and its helper over the file of a home."""

    def __init__(
        self, home: Path, command: Sequence[str], answer_s_max: float, ledger: type[LedgerBeside]
    ) -> None:
        self.store = SqliteStore.open(home / "ledger.db")
        self.helper = HelperProcess(command, "committing", answer_s_max=answer_s_max, restart_s=0.0)
        self.ledger = ledger(self.store, SystemIds(), self.helper, busy_commands=ALWAYS)
        experiment, run = c.EnsureExperiment(experiment="e"), c.CreateRun(run_id="r", experiment="e")
        self.send([submission(1, experiment), submission(1, run)])

    def send(self, submissions: Sequence[Submission]) -> list[Outcome]:
        return run_sync(self.ledger.handle(submissions))

    def until_started(self) -> None:
        """Until the helper answers; what is sent meanwhile is known already."""
        end = time.monotonic() + START_S_MAX
        while self.helper.ask(NOTHING) is None:
            assert time.monotonic() < end
            time.sleep(0.02)

    def logged(self) -> list[RecordedEvent]:
        return [event for event in run_sync(self.store.read(0, 0, 10_000)) if event.type == METRICS_LOGGED]


NOTHING = b"\x90"  # no submissions


def submission(number: int, command: c.Command, writer: UUID = WRITER) -> Submission:
    return Submission(
        workspace="default",
        command=command,
        writer_id=writer,
        writer_seq=number,
        occurred_at=time.time_ns() // 1_000,
        actor=Actor("tester", "anonymous"),
        door="http",
    )


def batch(number: int, value: int | None = None) -> Submission:
    logged = json_batch(series(plain("i64", [value or number])))
    return submission(number, c.LogMetrics(run_id="r", batch=Raw(logged)))


@contextmanager
def beside(
    home: Path,
    code: str | None = None,
    *,
    answer_s_max: float = START_S_MAX,
    ledger: type[LedgerBeside] = LedgerBeside,
) -> Generator[Beside]:
    """``code``: what the helper runs; None: what it should."""
    command = helper_command(home) if code is None else [sys.executable, "-c", code, str(home)]
    place = Beside(home, command, answer_s_max, ledger)
    try:
        yield place
    finally:
        place.ledger.stop()
        run_sync(place.store.close())


def test_the_helper_gives_the_outcomes_that_the_ledger_itself_would_give(tmp_path: Path) -> None:
    said: list[list[tuple[str, object]]] = []
    for name, has_helper in (("here", False), ("there", True)):
        (home := tmp_path / name).mkdir()
        with beside(home) as place:
            if has_helper:
                place.until_started()
            first = place.send([batch(2), batch(3), submission(1, c.StartRun(run_id="missing"))])
            again = place.send([batch(2), batch(3, 9)])
            other = place.send([submission(9, c.CompleteRun(run_id="r"))])
            said.append([_said(outcome) for outcome in (*first, *again, *other)])
            assert place.helper.failures == 0
            assert place.helper.is_started
            assert len(place.logged()) == 2
    assert said[0] == said[1]
    assert {kind for kind, _ in said[0]} == {"accepted", "not_found", "idempotency_conflict", "sequence_gap"}


def _said(outcome: Outcome) -> tuple[str, object]:
    if isinstance(outcome, Refused):
        return outcome.code, outcome.message
    return "accepted", ([event.type for event in outcome.events], outcome.repeated, outcome.run_id)


def test_batches_are_committed_by_the_helper_and_small_ones_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with beside(tmp_path) as place:
        place.until_started()
        asked: list[bytes] = []
        ask = place.helper.ask

        def noting(request: bytes) -> bytes | None:
            asked.append(request)
            return ask(request)

        monkeypatch.setattr(place.helper, "ask", noting)
        quiet = LedgerBeside(place.store, SystemIds(), place.helper, busy_commands=2)
        run_sync(quiet.handle([batch(2)]))
        assert asked == []
        run_sync(quiet.handle([batch(3), batch(4)]))
        assert len(asked) == 1
        assert len(place.logged()) == 3


@pytest.mark.parametrize("code", [ENDS_AT_ONCE, ENDS, HANGS, BABBLES, LOSES_OUTCOMES])
def test_what_a_failing_helper_leaves_is_committed_by_the_server(tmp_path: Path, code: str) -> None:
    with beside(tmp_path, code, answer_s_max=0.2) as place:
        number = 1
        end = time.monotonic() + START_S_MAX
        while place.helper.failures < 2:
            number += 1
            (outcome,) = place.send([batch(number)])
            assert isinstance(outcome, Accepted)
            assert not outcome.repeated
            assert time.monotonic() < end
            time.sleep(0.01)
        assert [event.writer_seq for event in place.logged()] == list(range(2, number + 1))


class Renumbering(LedgerBeside):
    """Without the protection: what a helper gave no answer to goes by a new writer."""

    async def handle(self, submissions: Sequence[Submission]) -> list[Outcome]:
        if self._ask(submissions) is None and not self._helper.failures:
            return await Ledger.handle(self, submissions)  # it starts
        writer = uuid4()
        return await Ledger.handle(self, [replace(s, writer_id=writer, writer_seq=1) for s in submissions])


@pytest.mark.parametrize(
    ("ledger", "doubled"), [(LedgerBeside, 0), (Renumbering, 1)], ids=["numbered", "control"]
)
def test_a_batch_that_the_helper_had_committed_when_it_died_is_stored_once(
    tmp_path: Path, ledger: type[LedgerBeside], doubled: int
) -> None:
    with beside(tmp_path, COMMITS_AND_ENDS, ledger=ledger) as place:
        number = 1
        end = time.monotonic() + START_S_MAX
        outcome: Outcome | None = None
        while place.helper.failures == 0:
            number += 1
            (outcome,) = place.send([batch(number)])
            assert time.monotonic() < end
            time.sleep(0.01)
        assert isinstance(outcome, Accepted)
        assert outcome.repeated == (not doubled)
        times = [event.body for event in place.logged()].count(place.logged()[-1].body)
        assert times == 1 + doubled
