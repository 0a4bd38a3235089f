"""The whole table of rules: every command, in every status, whoever holds the run.

The expectations are written out here, from the words of the design, and share nothing with ``rules/table.py``.
A row has one letter per status:

    +  the command's events        =  accepted, nothing changes
    !  refused: run_ended          x  refused: conflict
    ?  anything else, which no row here expects
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, get_args

import pytest
from msgspec import Raw

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract.envelope import JSON
from runfold_events.contract.events import AnyEvent
from runfold_events.contract.statuses import Status
from runfold_events.rules.decision import Decision, Rejection
from runfold_events.rules.run import takes_metrics
from tests.support.scenario import (
    BOTH,
    EXPERIMENT_ID,
    GONE,
    HOLDER,
    NOBODY,
    OTHER,
    RUN,
    Given,
    event_id,
    fold,
    given,
    given_status,
    to_status,
)

# The columns of every row below.
STATUSES: Final = (
    "NotStarted",
    "Unapproved",
    "Pausing",
    "Paused",
    "Starting",
    "Provisioning",
    "Preparing",
    "Queued",
    "Running",
    "NotResponding",
    "CancelRequested",
    "Finalizing",
    "Canceled",
    "Completed",
    "Failed",
)
ENDS: Final = ("Canceled", "Completed", "Failed")

WHO: Final[dict[str, dict[str, bool]]] = {
    "nobody ever": NOBODY,
    "gone": GONE,
    "holder": HOLDER,
    "other": OTHER,
    "both": BOTH,
}
HELD: Final = ("holder", "other", "both")
NOT_HELD: Final = ("nobody ever", "gone")
ANYBODY: Final = tuple(WHO)
WHO.update({f"agent, {who}": facts | {"will_hold": True} for who, facts in tuple(WHO.items())})

METRICS: Final = b'{"series":[]}'
DIGEST: Final = "ab" * 32


class Row:
    """One line of the table: a command, who may hold the run, the answers, and what ``+`` stands for."""

    def __init__(
        self,
        command: c.RunCommand,
        who: tuple[str, ...],
        answers: str,
        events: Callable[[bool], AnyEvent] | None = None,
        after: str | None = None,
    ) -> None:
        self.command = command
        self.who = who
        self.answers = answers.replace(" ", "")
        self.events = events  # takes whether the run has ended
        self.after = after  # the status afterwards; None: as before
        assert len(self.answers) == len(STATUSES)


def row(
    command: c.RunCommand,
    who: tuple[str, ...],
    answers: str,
    event: AnyEvent | Callable[[bool], AnyEvent] | None = None,
    after: str | None = None,
) -> Row:
    """A row whose event does, or does not, depend on whether the run has ended."""
    if event is None or callable(event):
        return Row(command, who, answers, event, after)
    fixed: AnyEvent = event

    def events(_is_late: bool) -> AnyEvent:
        return fixed

    return Row(command, who, answers, events, after)


def advance(status: str) -> c.AdvanceRun:
    return c.AdvanceRun(run_id=RUN, status=Status(status))


def claim() -> c.AdvanceRun:
    return c.AdvanceRun(run_id=RUN, status=Status.PREPARING, claim=True)


def advanced(status: str) -> e.RunAdvanced:
    return e.RunAdvanced(status=Status(status))


ERROR: Final = c.ErrorInfo(message="boom", error_type="ValueError")

#                                            N U P P S P P Q R N C F  C C F
#                                            o n a a t r r u u o a i  a o a
#                                            t a u u a o e e n t n n  n m i
#                                            S p s s r v p u n R c a  c p l
TABLE: Final = (
    # A start is refused, never a no-op, while another process holds the run; a lost run is adopted.
    row(
        c.StartRun(run_id=RUN),
        ("nobody ever", "gone", "holder"),
        "++++++++ = + xx !!!",
        e.RunStarted(),
        "Running",
    ),
    row(c.StartRun(run_id=RUN), ("other", "both"), "xxxxxxxx x x xx !!!"),
    # An agent reports any station at any time before the end; after a cancel request only Finalizing.
    row(advance("Unapproved"), ANYBODY, "+=++++++ + + x+ !!!", advanced("Unapproved"), "Unapproved"),
    row(advance("Pausing"), ANYBODY, "++=+++++ + + x+ !!!", advanced("Pausing"), "Pausing"),
    row(advance("Paused"), ANYBODY, "+++=++++ + + x+ !!!", advanced("Paused"), "Paused"),
    row(advance("Starting"), ANYBODY, "++++=+++ + + x+ !!!", advanced("Starting"), "Starting"),
    row(advance("Provisioning"), ANYBODY, "+++++=++ + + x+ !!!", advanced("Provisioning"), "Provisioning"),
    row(advance("Preparing"), ANYBODY, "++++++=+ + + x+ !!!", advanced("Preparing"), "Preparing"),
    row(advance("Queued"), ANYBODY, "+++++++= + + x+ !!!", advanced("Queued"), "Queued"),
    row(advance("Finalizing"), ANYBODY, "++++++++ + + += !!!", advanced("Finalizing"), "Finalizing"),
    # An agent claims what waits in Starting, and nothing that another process holds. Refusals are only answered (o).
    row(
        claim(),
        ("agent, nobody ever", "agent, gone", "agent, holder"),
        "oooo+ooo o o oo ooo",
        advanced("Preparing"),
        "Preparing",
    ),
    row(claim(), ("agent, other", "agent, both"), "oooooooo o o oo ooo"),
    # Who will not hold the run cannot claim it: it would be in Preparing for ever, and nobody would notice.
    row(claim(), ANYBODY, "oooooooo o o oo ooo"),
    # With a live holder a cancel is a request; without one the run is canceled at once.
    row(
        c.RequestCancel(run_id=RUN, reason="why"),
        HELD,
        "++++++++ + + =+ =!!",
        e.RunCancelRequested(reason="why"),
        "CancelRequested",
    ),
    row(
        c.RequestCancel(run_id=RUN, reason="why"),
        NOT_HELD,
        "++++++++ + + ++ =!!",
        e.RunCanceled(reason="why"),
        "Canceled",
    ),
    # The first terminal status wins; the same one again is a no-op.
    row(c.CompleteRun(run_id=RUN), ANYBODY, "++++++++ + + ++ !=!", e.RunCompleted(), "Completed"),
    row(
        c.FailRun(run_id=RUN, error=ERROR), ANYBODY, "++++++++ + + ++ !!=", e.RunFailed(error=ERROR), "Failed"
    ),
    # An agent that was away says nothing more of a run that another one has adopted.
    row(
        c.FailRun(run_id=RUN, error=ERROR, unless_adopted=True),
        ("nobody ever", "gone", "holder", "both"),
        "++++++++ + + ++ !!=",
        e.RunFailed(error=ERROR),
        "Failed",
    ),
    row(c.FailRun(run_id=RUN, error=ERROR, unless_adopted=True), ("other",), "xxxxxxxx x x xx !!="),
    row(
        c.AdvanceRun(run_id=RUN, status=Status.QUEUED, unless_adopted=True),
        ("nobody ever", "gone", "holder", "both"),
        "+++++++= + + x+ !!!",
        advanced("Queued"),
        "Queued",
    ),
    row(
        c.AdvanceRun(run_id=RUN, status=Status.QUEUED, unless_adopted=True), ("other",), "xxxxxxxx x x xx !!!"
    ),
    row(
        c.CancelRun(run_id=RUN, reason="r"),
        ANYBODY,
        "++++++++ + + ++ =!!",
        e.RunCanceled(reason="r"),
        "Canceled",
    ),
    # Lost: its last holder's lease ended. A run that nobody ever held, or that somebody holds, is not lost.
    row(c.MarkLost(run_id=RUN), ("nobody ever", *HELD), "======== = = == ==="),
    # Found: somebody speaks again.
    row(c.MarkFound(run_id=RUN), HELD, "======== = + == ===", e.RunFound(status=Status.RUNNING), "Running"),
    row(c.MarkFound(run_id=RUN), NOT_HELD, "======== = = == ==="),
    # Data are accepted after the end too, and marked late.
    row(
        c.LogMetrics(run_id=RUN, batch=Raw(METRICS)),
        ANYBODY,
        "++++++++ + + ++ +++",
        e.MetricsLogged(METRICS, "application/json"),
    ),
    row(
        c.LogParams(run_id=RUN, params={"lr": 0.1}),
        ANYBODY,
        "++++++++ + + ++ +++",
        lambda late: e.ParamsLogged(params={"lr": 0.1}, late=late),
    ),
    row(
        c.AddProperties(run_id=RUN, properties={"k": "v", "none": None}),
        ANYBODY,
        "++++++++ + + ++ +++",
        lambda late: e.PropertiesAdded(properties={"k": "v", "none": None}, late=late),
    ),
    row(
        c.SetTags(run_id=RUN, tags={"t": None}),
        ANYBODY,
        "++++++++ + + ++ +++",
        lambda late: e.TagsSet(tags={"t": None}, late=late),
    ),
    row(
        c.RecordArtifact(run_id=RUN, path="a/b", sha256=DIGEST, size_bytes=1),
        ANYBODY,
        "++++++++ + + ++ +++",
        lambda late: e.ArtifactRecorded(path="a/b", sha256=DIGEST, size_bytes=1, late=late),
    ),
    row(c.RemoveTags(run_id=RUN, keys=("unknown",)), ANYBODY, "======== = = == ==="),
    row(
        c.UpdateRun(run_id=RUN, display_name="n"),
        ANYBODY,
        "++++++++ + + ++ +++",
        e.RunUpdated(display_name="n"),
    ),
    row(c.ArchiveRun(run_id=RUN), ANYBODY, "++++++++ + + ++ +++", e.RunArchived()),
    row(c.RestoreRun(run_id=RUN), ANYBODY, "======== = = == ==="),
    row(
        c.DeclareLost(run_id=RUN, first=3, last=5, reason="disk full", values=9),
        ANYBODY,
        "++++++++ + + ++ +++",
        e.CommandsLost(first=3, last=5, reason="disk full", values=9),
    ),
    # Creation again: the same content is the same run, whatever has become of it; other content is a conflict.
    row(c.CreateRun(run_id=RUN, experiment="exp", start=False), ANYBODY, "======== = = == ==="),
    row(c.CreateRun(run_id=RUN, experiment="exp", start=True), ANYBODY, "xxxxxxxx x x xx xxx"),
    row(c.CreateRun(run_id=RUN, experiment="other", start=False), ANYBODY, "xxxxxxxx x x xx xxx"),
    row(c.CreateRun(run_id=RUN, experiment="exp", start=False, name="n"), ANYBODY, "xxxxxxxx x x xx xxx"),
    # Resuming re-opens a run that has not ended, whatever else the command says.
    row(
        c.CreateRun(run_id=RUN, experiment="exp", resume=True, name="n"),
        NOT_HELD,
        "+======= = = == !!!",
        e.RunStarted(),
        "Running",
    ),
    row(c.CreateRun(run_id=RUN, experiment="exp", resume=True, start=False), NOT_HELD, "======== = = == !!!"),
    row(c.CreateRun(run_id=RUN, experiment="other", resume=True), ANYBODY, "xxxxxxxx x x xx xxx"),
)


def letter(decision: Decision, expected: AnyEvent | None) -> str:
    """The answer as the table writes it."""
    if isinstance(decision, Rejection):
        letters = {
            ("run_ended", True): "!",
            ("conflict", True): "x",
            ("run_ended", False): "o",
            ("conflict", False): "o",
        }
        return letters.get((decision.code, decision.recorded), "?")
    if not decision:
        return "="
    return "+" if decision == (expected,) else "?"


def test_the_columns_are_the_fifteen_statuses() -> None:
    assert sorted(STATUSES) == sorted(Status)


def test_every_command_of_a_run_has_a_row() -> None:
    every = set(get_args(c.Command)) - set(get_args(c.ExperimentCommand))
    assert every - {type(line.command) for line in TABLE} == {c.EraseRun}  # which has its own tests below


@pytest.mark.parametrize("status", STATUSES)
def test_the_histories_lead_where_they_say(status: str) -> None:
    state = fold(to_status(Status(status)))
    assert state is not None
    assert state.status == status


@pytest.mark.parametrize(
    ("line", "who"),
    [
        pytest.param(line, who, id=f"{type(line.command).__name__}-{n}-{who}")
        for n, line in enumerate(TABLE)
        for who in line.who
    ],
)
def test_a_command_in_every_status(line: Row, who: str) -> None:
    answers = ""
    for status in STATUSES:
        expected = None if line.events is None else line.events(status in ENDS)
        answer = given_status(Status(status)).when(line.command, **WHO[who])
        answers += letter(answer.decision, expected)
    assert answers == line.answers


@pytest.mark.parametrize(
    "line", [line for line in TABLE if line.events], ids=lambda line: repr(line.command)[:60]
)
def test_the_status_afterwards(line: Row) -> None:
    for status, answer in zip(STATUSES, line.answers, strict=True):
        if answer == "+" and line.events is not None:
            before = to_status(Status(status))
            after = fold((line.events(status in ENDS),), fold(before), len(before) + 1)
            assert after is not None
            assert after.status == (line.after or status)


# ── what the letters do not say ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", ENDS)
def test_a_refusal_after_the_end_names_the_status_and_the_event_that_ended_the_run(status: str) -> None:
    ended_by = event_id(3)  # created, started, and then the end
    for line in TABLE:
        answer = line.answers[STATUSES.index(status)]
        if answer == "!":
            given_status(Status(status)).when(line.command, **WHO[line.who[0]]).refused(
                "run_ended", run_id=RUN, status=status, event=str(ended_by)
            )


@pytest.mark.parametrize("status", [s for s in STATUSES if s not in ENDS])
def test_a_run_whose_last_holder_is_gone_is_lost_or_canceled(status: str) -> None:
    answer = given_status(Status(status)).when(c.MarkLost(run_id=RUN), **GONE)
    if status == "NotResponding":
        answer.nothing()
    elif status == "CancelRequested":
        assert isinstance(answer.decision, tuple)
        assert [type(event) for event in answer.decision] == [e.RunCanceled]
        assert answer.events(*answer.decision).status == "Canceled"
    else:
        after = answer.events(e.RunLost())
        assert (after.status, after.status_before_lost) == ("NotResponding", status)


@pytest.mark.parametrize("status", ENDS)
def test_an_ended_run_is_never_lost(status: str) -> None:
    given_status(Status(status)).when(c.MarkLost(run_id=RUN), **GONE).nothing()


@pytest.mark.parametrize(
    "status", [s for s in STATUSES if s not in (*ENDS, "NotResponding", "CancelRequested")]
)
def test_a_run_that_is_found_has_the_status_from_before(status: str) -> None:
    answer = given_status(Status(status), e.RunLost()).when(c.MarkFound(run_id=RUN), **HOLDER)
    assert answer.events(e.RunFound(status=Status(status))).status == status


@pytest.mark.parametrize("who", HELD)
def test_resuming_a_lost_run_with_a_live_holder_finds_it(who: str) -> None:
    command = c.CreateRun(run_id=RUN, experiment="exp", resume=True)
    answer = given_status(Status.NOT_RESPONDING).when(command, **WHO[who])
    assert answer.events(e.RunFound(status=Status.RUNNING)).status == "Running"


@pytest.mark.parametrize("who", HELD)
@pytest.mark.parametrize("status", [s for s in STATUSES if s != "NotResponding"])
def test_resuming_while_somebody_holds_the_run_is_as_without(status: str, who: str) -> None:
    command = c.CreateRun(run_id=RUN, experiment="exp", resume=True)
    resumed = given_status(Status(status)).when(command, **WHO[who])
    assert resumed.decision == given_status(Status(status)).when(command).decision


def test_a_process_that_resumes_a_lost_run_to_hold_it_finds_it() -> None:
    command = c.CreateRun(run_id=RUN, experiment="exp", resume=True)
    answer = given_status(Status.NOT_RESPONDING).when(command, will_hold=True, **GONE)
    assert answer.events(e.RunFound(status=Status.RUNNING)).status == "Running"


@pytest.mark.parametrize("who", ANYBODY)
@pytest.mark.parametrize("status", STATUSES)
def test_a_run_is_erased_in_every_status_and_keeps_it(status: str, who: str) -> None:
    answer = given_status(Status(status)).when(c.EraseRun(run_id=RUN, reason="asked"), **WHO[who])
    after = answer.events(
        e.RunErased(
            run_id=RUN,
            experiment="exp",
            experiment_id=EXPERIMENT_ID,
            number=7,
            root_run_id=RUN,
            path=(RUN,),
            status=Status(status),
            reason="asked",
        )
    )
    assert (after.status, after.erased) == (status, True)


def erased_run() -> Given:
    """A Running run after its erasure."""
    decision = given_status(Status.RUNNING).when(c.EraseRun(run_id=RUN)).decision
    assert isinstance(decision, tuple)
    return given_status(Status.RUNNING, *decision)


@pytest.mark.parametrize("line", TABLE, ids=lambda line: f"{type(line.command).__name__}-{line.who[0]}")
def test_every_command_on_an_erased_run_is_refused(line: Row) -> None:
    erased_run().when(line.command, **WHO[line.who[0]]).refused(
        "conflict", recorded="o" not in line.answers, run_id=RUN, erased=True
    )


@pytest.mark.parametrize("who", WHO)
def test_a_run_that_takes_metrics_takes_every_batch_of_everybody(who: str) -> None:
    command, logged = c.LogMetrics(run_id=RUN, batch=Raw(METRICS)), (e.MetricsLogged(METRICS, JSON),)
    for before in (given(), erased_run(), *(given_status(Status(status)) for status in STATUSES)):
        decision = before.when(command, **WHO[who]).decision
        assert takes_metrics(before.state) == (decision == logged)


def test_erasing_again_changes_nothing() -> None:
    erased_run().when(c.EraseRun(run_id=RUN)).nothing()


NOT_CREATING: Final = [line for line in TABLE if not isinstance(line.command, c.CreateRun)]


@pytest.mark.parametrize("line", NOT_CREATING, ids=lambda line: repr(line.command)[:60])
def test_a_refusal_for_the_status_names_it(line: Row) -> None:
    for status, answer in zip(STATUSES, line.answers, strict=True):
        if answer == "x":
            given_status(Status(status)).when(line.command, **WHO[line.who[0]]).refused(
                "conflict", run_id=RUN, status=status
            )


@pytest.mark.parametrize("command", [line.command for line in TABLE], ids=lambda command: repr(command)[:60])
def test_a_command_on_a_run_that_does_not_exist_is_answered_only(command: c.RunCommand) -> None:
    given().when(command).refused("not_found", recorded=False)
