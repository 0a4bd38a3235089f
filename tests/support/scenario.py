"""Given these events, when this command comes, then these events, nothing, or this refusal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from runfold_events.contract import events as e
from runfold_events.contract.commands import RunCommand
from runfold_events.contract.events import AnyEvent
from runfold_events.contract.statuses import Status
from runfold_events.rules.decision import Context, Decision, Rejection
from runfold_events.rules.run import decide
from runfold_events.rules.run_state import RunState, evolve

EXPERIMENT_ID: Final = UUID("11111111-2222-5333-8444-555555555555")
RUN: Final = "run-1"
HOLDER: Final = {"writer_holds": True, "ever_held": True}
OTHER: Final = {"held_by_other": True, "ever_held": True}
BOTH: Final = {"writer_holds": True, "held_by_other": True, "ever_held": True}
GONE: Final = {"ever_held": True}
NOBODY: Final[dict[str, bool]] = {}


def event_id(number: int) -> UUID:
    """The id of the ``number``-th event of a history, from 1."""
    return UUID(int=number)


def created(**fields: Any) -> e.RunCreated:
    """A ``run.created`` of the run that all scenarios are about."""
    content: dict[str, Any] = {
        "run_id": RUN,
        "experiment": "exp",
        "experiment_id": EXPERIMENT_ID,
        "number": 7,
        "root_run_id": RUN,
        "path": (RUN,),
    }
    return e.RunCreated(**(content | fields))


def to_status(status: Status) -> tuple[AnyEvent, ...]:
    """The shortest ordinary history that ends in ``status``."""
    running = (created(), e.RunStarted())
    paths: dict[Status, tuple[AnyEvent, ...]] = {
        Status.NOT_STARTED: (created(),),
        Status.RUNNING: running,
        Status.NOT_RESPONDING: (*running, e.RunLost()),
        Status.CANCEL_REQUESTED: (*running, e.RunCancelRequested()),
        Status.FINALIZING: (*running, e.RunAdvanced(status=Status.FINALIZING)),
        Status.CANCELED: (*running, e.RunCanceled()),
        Status.COMPLETED: (*running, e.RunCompleted()),
        Status.FAILED: (*running, e.RunFailed()),
    }
    return paths.get(status) or (created(), e.RunAdvanced(status=status))


def fold(events: Sequence[AnyEvent], state: RunState | None = None, first_number: int = 1) -> RunState | None:
    """The state after ``events``, whose ids count from ``first_number``."""
    for number, event in enumerate(events, start=first_number):
        state = evolve(state, event, event_id(number))
    return state


class Then(Struct, frozen=True):
    """What came of a command, ready to be judged."""

    given: tuple[AnyEvent, ...]
    state: RunState | None
    decision: Decision

    def events(self, *expected: AnyEvent) -> RunState:
        """The command gave exactly these events; returns the state that they lead to."""
        assert self.decision == expected
        after = fold(expected, self.state, len(self.given) + 1)
        assert after is not None
        return after

    def nothing(self) -> None:
        """The command was accepted and changed nothing."""
        assert self.decision == ()

    def refused(self, code: str, *, recorded: bool = True, **facts: Any) -> Rejection:
        """The command was refused with this code and at least these facts."""
        assert isinstance(self.decision, Rejection), self.decision
        assert (self.decision.code, self.decision.recorded) == (code, recorded)
        assert {key: self.decision.facts.get(key) for key in facts} == facts
        return self.decision


class Given:
    """A history, as a sentence: ``Given(events).when(command, **context).refused(code)``."""

    def __init__(self, *events: AnyEvent) -> None:
        self.history = events
        self.state = fold(events)

    def when(self, command: RunCommand, **context: Any) -> Then:
        """Decide ``command``; ``context`` are the facts from outside the stream."""
        return Then(self.history, self.state, decide(self.state, command, Context(**context)))


def given(*events: AnyEvent) -> Given:
    """A run with this history; none: a run that does not exist."""
    return Given(*events)


def given_status(status: Status, *more: AnyEvent) -> Given:
    """A run that came to ``status`` the ordinary way, and ``more`` after it."""
    return Given(*to_status(status), *more)
