"""T1: random commands of several writers, in batches, against a small independent model; all is checked every time.

A failure prints the steps that led to it and the seed, with which they come again: ``RUNFOLD_SEED=… ./dev test …``.
With ``RUNFOLD_SHRINK=1`` Hypothesis then looks for a shorter history, which may take minutes.
"""

from __future__ import annotations

import os
import secrets
from typing import Any, Final, cast
from uuid import NAMESPACE_OID, UUID, uuid5

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Raw

from runfold_events.contract import commands as c
from runfold_events.contract.commands import Command
from runfold_events.contract.statuses import Status
from runfold_events.contract.submission import Outcome, Submission
from runfold_events.decision_state import run_state_of
from runfold_events.sync import run_sync
from tests.support.checker import check_store
from tests.support.ledgers import Engine, SqliteEngine, event_types, experiment, new_desk, run
from tests.support.model import Answer, Fields, Model, Stream

SEED: Final = int(os.environ.get("RUNFOLD_SEED") or secrets.randbelow(2**32))
LEASE_S: Final = 120
WRITERS: Final = {name: UUID(int=number) for number, name in enumerate("ABCDEF", start=0xA)}
RUNS: Final = ("r0", "r1", "r2")
EXPERIMENTS: Final = ("e0", "e1")

# Everything that may be sent, as name and fields. One draw chooses one of them, which keeps generation cheap.
Content = tuple[str, Fields]
What = tuple[Stream, str, Fields]
BORN: Final[Fields] = {"experiment": "e0", "start": True, "resume": False, "parent": None, "name": None}
FULL: Final[Fields] = {"tags": {"a": "1"}, "properties": {"a": "1"}}
BARE: Final[Fields] = {"tags": {}, "properties": {}}
CREATIONS: Final[list[Content]] = [
    ("create", BORN | BARE),
    ("create", BORN | FULL),
    ("create", BORN | FULL | {"start": False}),
    ("create", BORN | BARE | {"resume": True}),
    ("create", BORN | BARE | {"resume": True, "start": False}),
    ("create", BORN | BARE | {"parent": "r0"}),
    ("create", BORN | BARE | {"parent": "r1"}),
]
STRANGE: Final[list[Content]] = [
    ("create", BORN | BARE | {"parent": "nobody"}),
    ("create", BORN | FULL | {"name": "other"}),
    ("create", BORN | BARE | {"experiment": "e1"}),
    ("create", BORN | BARE | {"experiment": "e1", "resume": True}),
    ("declare_lost", {"count": 1}),
    ("declare_lost", {"count": 3}),
    ("mark_lost", {}),
    ("mark_found", {}),
]
LIFE: Final[list[Content]] = [
    *[("start", {})] * 4,
    *[("advance", {"status": status}) for status in ("Starting", "Queued", "Finalizing", "Paused")],
    *[("claim", {})] * 2,
    *[
        (name, {})
        for name in ("request_cancel", "request_cancel", "request_cancel", "complete", "fail", "cancel")
    ],
]
DATA: Final[list[Content]] = [
    *[("log_metrics", {})] * 2,
    *[("log_params", {"params": {"a": value}}) for value in (1, True, 1.0, "1", None)],
    *[
        ("add_properties", {"properties": {key: value}})
        for key, value in (("a", "1"), ("a", None), ("b", "2"))
    ],
    ("add_properties", {"properties": {"a": "1", "b": "3"}}),
    *[("set_tags", {"tags": {key: value}}) for key, value in (("a", "1"), ("a", None), ("b", "2"))],
    ("remove_tags", {"keys": ["a", "b"]}),
    *[("record_artifact", {"path": "f", "sha256": digit * 64}) for digit in "ab"],
    ("archive", {}),
    ("restore", {}),
]
POOL: Final[list[Content]] = [*CREATIONS, *STRANGE, *LIFE * 2, *DATA * 2, ("erase", {})]
TARGETS: Final[list[Stream]] = [("run", name) for name in RUNS]
EXPERIMENT_ITEMS: Final[list[What]] = [
    (("experiment", name), command, given)
    for name in EXPERIMENTS
    for command, given in (
        ("ensure", {}),
        ("update", {"set_tags": {"a": "1"}}),
        ("update", {"set_tags": {"a": None}}),
    )
]
Item = tuple[str, What, str, bool]
EVERYTHING: Final[list[What]] = [
    (target, name, given) for target in TARGETS for name, given in POOL
] + EXPERIMENT_ITEMS * 8
HOW: Final = [*["next"] * 9, "again", "again", "earlier", "other content", "jump"]
ITEMS: Final = st.tuples(
    st.sampled_from([*WRITERS]), st.sampled_from(EVERYTHING), st.sampled_from(HOW), st.booleans()
)


def command_of(stream: Stream, name: str, given: Fields) -> Command:
    """What the model says, in the words of the contract."""
    kind, target = stream
    if kind == "experiment":
        kind_of = c.EnsureExperiment if name == "ensure" else c.UpdateExperiment
        return kind_of(experiment=target, **given)
    if name == "create":
        content = {key: value for key, value in given.items() if key != "parent"}
        return c.CreateRun(run_id=target, parent_run_id=given["parent"], **content)
    if name == "log_metrics":
        return c.LogMetrics(run_id=target, batch=Raw(b'{"series":[]}'))
    if name == "advance":
        return c.AdvanceRun(run_id=target, status=Status(given["status"]))
    if name == "claim":
        return c.AdvanceRun(run_id=target, status=Status.PREPARING, claim=True)
    if name == "remove_tags":
        return c.RemoveTags(run_id=target, keys=tuple(given["keys"]))
    if name == "record_artifact":
        return c.RecordArtifact(run_id=target, size_bytes=1, **given)
    if name == "declare_lost":
        return c.DeclareLost(run_id=target, reason="full", **given)
    kinds: dict[str, Any] = {
        "start": c.StartRun,
        "request_cancel": c.RequestCancel,
        "complete": c.CompleteRun,
        "fail": c.FailRun,
        "cancel": c.CancelRun,
        "mark_lost": c.MarkLost,
        "mark_found": c.MarkFound,
        "log_params": c.LogParams,
        "add_properties": c.AddProperties,
        "set_tags": c.SetTags,
        "archive": c.ArchiveRun,
        "restore": c.RestoreRun,
        "erase": c.EraseRun,
    }
    made_command: Command = kinds[name](run_id=target, **given)
    return made_command


def name_of(stream: Stream) -> str:
    return experiment(stream[1]) if stream[0] == "experiment" else run(stream[1])


def same_answer(outcome: Outcome, expected: Answer) -> bool:
    if expected == ("any",):
        return True
    kind = "ok" if type(outcome).__name__ == "Accepted" else "no"
    code = getattr(outcome, "code", "")
    is_code = kind == "ok" or expected[1] in ("", code)
    return (kind, is_code, tuple(event_types(outcome))) == (expected[0], True, expected[-1])


class LedgerAgainstModel(RuleBasedStateMachine):
    """Every rule does the same to the ledger and to the model; every invariant looks at all there is."""

    partitions = 1

    def __init__(self) -> None:
        super().__init__()
        self.desk = new_desk(self.partitions)
        self.model = Model()
        self.sent: dict[tuple[Stream, str], dict[int, tuple[str, Fields]]] = {}
        self.keeper_runs = 0

    def teardown(self) -> None:
        self.desk.close()

    # Commands

    @initialize(creations=st.lists(st.sampled_from(CREATIONS), min_size=2, max_size=3), hold=st.booleans())
    def begin(self, creations: list[Content], hold: bool) -> None:
        """Some runs exist and some are held, else most of what follows is refused."""
        self._lease("beat", 0, "A")
        ensure: Item = ("A", (("experiment", "e0"), "ensure", {}), "next", False)
        born = zip(TARGETS, creations, strict=False)
        self.batch([ensure, *[("A", (stream, *content), "next", hold) for stream, content in born]])

    @rule(items=st.lists(ITEMS, min_size=2, max_size=6))
    def batch(self, items: list[Item]) -> None:
        """Commands of several writers in one batch, or in two where the order within one is not what is tested here.

        A run is not created in one batch before the experiment or parent that it names. An erasure comes alone: it
        drops the digests of its own transaction too, so what follows it there may come again with other content.
        """
        together: list[tuple[Submission, Answer]] = []
        named: set[str] = set()
        for item in items:
            planned = self._planned(*item)
            command = planned[0].command
            if isinstance(command, c.EraseRun) or planned[0].stream in named:
                self._handle(together)
                together = []
            together.append(planned)
            if isinstance(command, c.EraseRun):
                self._handle(together)
                together = []
            if isinstance(command, c.CreateRun):
                named |= {experiment(command.experiment), run(command.parent_run_id or "")}
        self._handle(together)

    @rule(item=ITEMS)
    def command(self, item: Item) -> None:
        """One command alone."""
        self.batch([item])

    @rule(
        stream=st.sampled_from(TARGETS),
        writer=st.sampled_from([*WRITERS]),
        contents=st.lists(st.sampled_from(POOL), min_size=2, max_size=6),
        hold=st.booleans(),
    )
    def life(self, stream: Stream, writer: str, contents: list[Content], hold: bool) -> None:
        """Several commands of one writer on one run, in one batch."""
        self.batch([(writer, (stream, *content), "next", hold) for content in contents])

    @precondition(lambda self: self.sent)
    @rule(place=st.integers(0, 10_000), content=st.sampled_from([None, None, *POOL]))
    def again(self, place: int, content: Content | None) -> None:
        """Any number that was used before comes again, as it was or with other content."""
        used = [(key, number) for key, numbers in self.sent.items() for number in numbers]
        (stream, writer), number = used[place % len(used)]
        name, given = self.sent[stream, writer][number]
        if content is not None and stream[0] == "run":
            name, given = self._fitted(stream, number, *content)
        self._handle([self._expected(stream, writer, number, name, given, False)])

    def _planned(self, writer: str, what: What, how: str, hold: bool) -> tuple[Submission, Answer]:
        """A numbered submission and the model's answer; the model moves on, so the next one may build on it."""
        stream, name, given = what
        if how == "next":
            writer = next((one for one in (writer, *WRITERS) if not self._is_blocked(stream, one)), writer)
        sent = self.sent.setdefault((stream, writer), {})
        mark = self.model.marks.get((stream, writer))
        highest: int = mark["highest"] if mark else 0
        number = highest + {"jump": 2, "next": 1}.get(how, 0)
        if how in ("again", "earlier") and sent:
            number = max(sent) if how == "again" else min(sent)
            name, given = sent[number]
        number = max(1, number)
        name, given = self._fitted(stream, number, name, given)
        return self._expected(stream, writer, number, name, given, hold)

    def _fitted(self, stream: Stream, number: int, name: str, given: Fields) -> Content:
        """A content of the pool as it must be on this stream, under this number."""
        if name == "create" and given["parent"] == stream[1]:
            return name, given | {"parent": None}
        if name == "declare_lost" and "count" in given:
            return name, {"first": number, "last": number + cast("int", given["count"]) - 1}
        return name, given

    def _is_blocked(self, stream: Stream, writer: str) -> bool:
        mark = self.model.marks.get((stream, writer))
        return mark is not None and bool(mark["blocked"])

    def _expected(
        self, stream: Stream, writer: str, number: int, name: str, given: Fields, hold: bool
    ) -> tuple[Submission, Answer]:
        # A process has its lease before it holds anything.
        alive = self.model.leases.get(writer, 0) > self.model.now
        holds = hold and alive and name in ("create", "start", "claim")
        answer = self.model.handle(stream, writer, number, name, given, holds)
        if answer[0] != "no" or answer[-1]:
            self.sent.setdefault((stream, writer), {}).setdefault(number, (name, given))
        writer_id = WRITERS.get(writer) or uuid5(
            NAMESPACE_OID, writer
        )  # each pass of the keeper is a new writer
        command = command_of(stream, name, given)
        return self.desk.submission(writer_id, number, command, hold=holds), answer

    def _handle(self, planned: list[tuple[Submission, Answer]]) -> None:
        outcomes = self.desk.handle(*[submission for submission, _ in planned])
        for outcome, (submission, expected) in zip(outcomes, planned, strict=True):
            assert same_answer(outcome, expected), (submission.command, outcome, expected)

    # Time and leases

    @rule(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["time", "time", "beat", "beat", "exit", "keeper", "keeper"]),
                st.sampled_from([1, 100, 130]),
                st.sampled_from([*WRITERS]),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def leases(self, steps: list[tuple[str, int, str]]) -> None:
        """Time passes, a process speaks or exits, the keeper looks."""
        for what, seconds, writer in steps:
            self._lease(what, seconds, writer)

    def _lease(self, what: str, seconds: int, writer: str) -> None:
        if what == "time":
            self.desk.clock.advance(seconds)
            self.model.now += seconds
        elif what == "beat":
            run_sync(self.desk.store.renew_lease(WRITERS[writer], LEASE_S * 1_000_000))
            self.model.leases[writer] = self.model.now + LEASE_S
        elif what == "exit":
            self._exit(writer)
        else:
            self._keeper_pass()

    def _exit(self, writer: str) -> None:
        streams = run_sync(self.desk.store.end_lease(WRITERS[writer]))
        self.model.leases.pop(writer, None)
        held = [run(name) for name, one in self.model.runs.items() if writer in one["holders"]]
        assert sorted(streams) == sorted(held)

    def _keeper_pass(self) -> None:
        """The keeper asks the store for candidates and marks them through the ledger."""
        lost = run_sync(self.desk.store.without_live_holder(100))
        found = run_sync(self.desk.store.lost_with_live_holder(100))
        runs = sorted(self.model.runs.items())
        gone = [name for name, one in runs if self.model.is_lost(one) and one["status"] != "NotResponding"]
        back = [name for name, one in runs if one["status"] == "NotResponding" and self.model.live(one)]
        assert (lost, found) == ([run(name) for name in gone], [run(name) for name in back])
        self.keeper_runs += 1
        keeper = f"keeper {self.keeper_runs}"
        marks = [(name, "mark_lost") for name in gone] + [(name, "mark_found") for name in back]
        self._handle([self._expected(("run", name), keeper, 1, what, {}, False) for name, what in marks])

    # What is always true

    @invariant()
    def everything_is_in_order(self) -> None:
        streams = check_store(self.desk.store)
        types = {
            stream: [event.type.removeprefix("run.") for event in events]
            for stream, events in streams.items()
        }
        assert types == {name_of(stream): events for stream, events in self.model.events.items() if events}

    @invariant()
    def runs_are_as_the_model_says(self) -> None:
        heads = run_sync(self.desk.store.heads([run(name) for name in RUNS]))
        assert set(heads) == {run(name) for name in self.model.runs}
        for name, expected in self.model.runs.items():
            state = run_state_of(heads[run(name)])
            assert state is not None
            assert (state.status, state.erased, state.archived, state.tags, list(state.created.path)) == (
                expected["status"],
                expected["erased"],
                expected["archived"],
                expected["tags"],
                expected["path"],
            )
            for what in ("properties", "params"):
                there = {key: written.value for key, written in getattr(state, what).items()}
                assert repr(sorted(there.items())) == repr(sorted(expected[what].items()))

    @invariant()
    def marks_are_as_the_model_says(self) -> None:
        for (stream, writer), expected in self.model.marks.items():
            if writer in WRITERS:
                mark = self.desk.mark(name_of(stream), WRITERS[writer])
                assert mark is not None
                lost = {number for first, last in mark.lost for number in range(first, last + 1)}
                assert (mark.highest, lost, mark.gaps) == (expected["highest"], expected["lost"], ())
                assert mark.refused_creation == expected["blocked"]


class OnFourPartitions(LedgerAgainstModel):
    """The same, on a store with four partitions."""

    partitions = 4


PHASES: Final = [Phase.generate, *([Phase.shrink] if os.environ.get("RUNFOLD_SHRINK") else [])]
BOUNDED: Final = settings(
    max_examples=60,
    stateful_step_count=25,
    phases=PHASES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def bounded(engine: Engine) -> settings:
    """A step over the network takes ten times as long, and finds the same faults."""
    return BOUNDED if isinstance(engine, SqliteEngine) else settings(BOUNDED, max_examples=8)


def test_the_ledger_agrees_with_the_model(engine: Engine) -> None:
    print(f"RUNFOLD_SEED={SEED}")
    run_state_machine_as_test(seed(SEED)(LedgerAgainstModel), settings=bounded(engine))


def test_the_ledger_agrees_with_the_model_on_four_partitions(engine: Engine) -> None:
    print(f"RUNFOLD_SEED={SEED}")
    run_state_machine_as_test(seed(SEED)(OnFourPartitions), settings=bounded(engine))
