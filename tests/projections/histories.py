"""Histories made by Hypothesis: what the rules would let happen to a few runs, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from hypothesis import strategies as st
from msgspec import Struct

from runfold_events.contract import events as e
from runfold_events.contract.columns import Column
from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.statuses import Status
from runfold_projections.testing.history import History, MemorySource, floats, table

EXPERIMENTS: Final = ("exp", "other")
RUNS_MAX: Final = 6


class Step(Struct, frozen=True):
    """Something that happens; ``numbers`` choose what it happens to, and with which values."""

    kind: str
    numbers: tuple[int, ...]


KINDS: Final = (
    *(
        "create",
        "create",
        "child",
        "metrics",
        "metrics",
        "many",
        "row",
        "tags",
        "untag",
        "params",
        "properties",
    ),
    *("status", "end", "reject", "archive", "update", "lost", "experiment", "erase"),
)


def steps(max_size: int = 40) -> st.SearchStrategy[list[Step]]:
    """What happens, in order. Any list is a legal history: what cannot happen is left out."""
    numbers = st.tuples(*[st.integers(0, 99)] * 3)
    return st.lists(st.builds(Step, kind=st.sampled_from(KINDS), numbers=numbers), max_size=max_size)


def play(happened: Sequence[Step], partitions: int = 1) -> MemorySource:
    """The source that holds the events of ``happened``."""
    player = Player(History(MemorySource(partitions)))
    player.play(happened)
    return player.history.source


class Player:
    """Appends what steps say."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._erased: set[str] = set()
        self._steps = 0
        for name in EXPERIMENTS:
            history.experiment(name)

    def play(self, happened: Sequence[Step]) -> None:
        """Append the events of all steps."""
        for step in happened:
            self._play(step)

    def _play(self, step: Step) -> None:
        a, b, c = step.numbers
        self._steps += 1
        runs = list(self.history.created)
        if step.kind in ("create", "child"):
            parent = runs[a % len(runs)] if runs and step.kind == "child" else None
            if len(runs) < RUNS_MAX:
                self.history.create(
                    f"run-{len(runs)}",
                    parent,
                    start=b % 2 == 0,
                    experiment=EXPERIMENTS[c % 2],
                    tags={"made": f"tag-{c}"} if c % 3 else {},
                    properties={"by": f"property-{b}"} if b % 3 else {},
                )
        elif step.kind == "experiment":
            self.history.update_experiment(
                EXPERIMENTS[a % 2], set_tags={f"k{b % 3}": str(c)}, archived=c % 2 == 0
            )
        elif runs:
            self._play_run(step.kind, runs[a % len(runs)], b, c)

    def _play_run(self, kind: str, run: str, b: int, c: int) -> None:
        if run in self._erased:
            rejected = e.CommandRejected(command="run.set_tags", code="conflict", message="was erased")
            self.history.run(run, rejected)
        elif kind == "erase":
            if b % 4 == 0:
                self.history.erase(run)
                self._erased.add(run)
        elif kind in _METRICS:
            _METRICS[kind](self.history, run, b, c, self._steps)
        elif kind in ("status", "end"):
            self._play_status(kind, run, c)
        else:
            self.history.run(run, _EVENTS[kind](b, c))

    def _play_status(self, kind: str, run: str, c: int) -> None:
        if self.history.status[run].is_terminal:
            return
        choices: tuple[tuple[e.AnyEvent, Status], ...] = (
            (e.RunStarted(), Status.RUNNING),
            (e.RunLost(), Status.NOT_RESPONDING),
            (e.RunFound(status=Status.RUNNING), Status.RUNNING),
            (e.RunAdvanced(status=Status.QUEUED, details=f"details-{c}"), Status.QUEUED),
            (e.RunCancelRequested(reason=f"reason-{c}"), Status.CANCEL_REQUESTED),
        )
        if kind == "end":
            choices = (
                (e.RunCompleted(), Status.COMPLETED),
                (e.RunFailed(error=ErrorInfo(message=f"error-{c}")), Status.FAILED),
                (e.RunCanceled(reason=f"reason-{c}"), Status.CANCELED),
            )
        event, status = choices[c % len(choices)]
        self.history.run(run, event)
        self.history.status[run] = status


def _points(history: History, run: str, b: int, c: int, number: int) -> None:
    history.metrics(run, floats(f"m{b % 3}", [float(c + i) for i in range(1 + b % 4)], number * 10))


def _many(history: History, run: str, b: int, c: int, number: int) -> None:
    """Enough to seal chunks, now and then."""
    history.metrics(run, floats("many", [c + i / 7 for i in range(1_500 + b)], number * 2_000))


def _row(history: History, run: str, b: int, c: int, number: int) -> None:
    columns = {
        "x": Column(dtype="i64", values=[b]),
        "y": Column(dtype="any", values=[None if c % 2 else f"cell-{c}"]),
    }
    history.metrics(run, table("row", columns, [number], [c], kind="row"))


_METRICS: Final[dict[str, Callable[[History, str, int, int, int], None]]] = {
    "metrics": _points,
    "many": _many,
    "row": _row,
}
_EVENTS: Final[dict[str, Callable[[int, int], Any]]] = {
    "tags": lambda b, c: e.TagsSet(tags={f"k{b % 3}": f"value-{c}"}),
    "untag": lambda b, c: e.TagsRemoved(keys=(f"k{b % 3}", "made")[: 1 + c % 2]),
    "params": lambda b, c: e.ParamsLogged(params={f"p{b}": c / 10}),
    "properties": lambda b, c: e.PropertiesAdded(properties={f"q{b}": f"value-{c}"}),
    "reject": lambda b, c: e.CommandRejected(command="run.complete", code="conflict", message=f"no-{c}"),
    "archive": lambda b, c: e.RunArchived() if c % 2 else e.RunRestored(),
    "update": lambda b, c: e.RunUpdated(display_name=f"name-{c}"),
    "lost": lambda b, c: e.CommandsLost(first=b, last=b + c, reason=f"reason-{c}", values=c),
}
