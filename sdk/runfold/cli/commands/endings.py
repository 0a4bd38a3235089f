"""Answers to what ends, hides or erases a run."""

from __future__ import annotations

import click
from rich.text import Text

from runfold.cli.answer import Answer
from runfold.cli.render.data import run_data
from runfold.cli.render.statuses import is_plain, status_text
from runfold.cli.session import Session
from runfold_events.contract.commands import ArchiveRun, EraseRun, RestoreRun
from runfold_events.contract.errors import RunfoldError
from runfold_events.contract.statuses import Status
from runfold_projections.model import RunView


def cancel(session: Session, run: RunView, reason: str | None, *, cascade: bool) -> RunView:
    """Ask for the end and wait for it; says so when the run has not ended by then. Gives the run as it is then."""
    session.cancel(run.run_id, reason, cascade=cascade)
    after = session.find(run.run_id)
    if after.status is Status.CANCEL_REQUESTED:
        session.output.note(
            f"runfold: the run was asked to end and has not ended yet; look again: runfold run show {run.run_id}"
        )
    return after


def canceled_answer(session: Session, run: RunView) -> Answer | None:
    """How the run stands; under ``az ml`` Azure ML's sentence, and only where it is true."""
    if not session.options.azure:
        return _standing(run)
    if run.status is Status.CANCELED:
        session.output.out.write("Experiment run canceled successfully.\n")
    return None


def archive(session: Session, run: RunView, *, archived: bool) -> Answer:
    """Hide the run, or show it again."""
    session.submit(ArchiveRun(run_id=run.run_id) if archived else RestoreRun(run_id=run.run_id))
    return _standing(session.find(run.run_id))


def confirm_erasure(session: Session, run: RunView) -> None:
    """Ask; anything but yes ends the command and changes nothing."""
    name = run.display_name or run.name or "no name"
    click.echo(
        f"Run {run.run_id} ({name}, {run.experiment} #{run.number}, {run.status}) loses all it holds, for good.",
        err=True,
    )
    try:
        if click.confirm("Erase it?", err=True):
            return
    except click.Abort as aborted:
        if not isinstance(aborted.__context__, EOFError):
            raise
        raise click.UsageError(
            "nobody is there to answer; nothing was erased. --yes answers the question"
        ) from None
    raise RunfoldError("nothing was erased", code="declined")


def erase(session: Session, run: RunView, reason: str | None) -> Answer:
    """Erase the run's content."""
    session.submit(EraseRun(run_id=run.run_id, reason=reason))
    return _standing(session.find(run.run_id))


def _standing(run: RunView) -> Answer:
    def draw(console: object) -> Text:
        from rich.console import Console

        plain = isinstance(console, Console) and is_plain(console)
        marks = [word for word, is_so in (("archived", run.archived), ("erased", run.erased)) if is_so]
        parts = [
            status_text(run.status, plain=plain),
            Text(run.run_id),
            *(Text(mark, style="yellow") for mark in marks),
        ]
        return Text("  ").join(parts)

    return Answer(run_data(run), draw, ("run_id", "status", "archived", "erased"))
