"""``runfold run``: the group, and what reads."""

from __future__ import annotations

import click

from runfold.cli.commands.run_changes import add_changes
from runfold.cli.commands.run_files import add_files
from runfold.cli.commands.run_list import list_runs
from runfold.cli.commands.submitted import add_submitted
from runfold.cli.options import StatusChoice, in_experiment, run_argument
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch
from runfold_events.contract.statuses import Status


@click.group(cls=Branch)
def run() -> None:
    """Look at runs, and change what may be changed about them.

    RUN is a run's id, or the beginning of it as far as only one run begins so.
    """


run.add_command(list_runs)


@run.command(
    short_help="Show one run and everything about it.",
    examples=[
        ("everything about a run", "runfold run show RUN"),
        ("one metric's greatest value", "runfold run show RUN --query metrics.val_accuracy.max"),
    ],
)
@run_argument
@in_experiment
@with_session
def show(session: Session, run_id: str, experiment: str | None) -> None:
    """Show one run: status, times, tags, properties, parameters, metrics, its children by status."""
    from runfold.cli.commands.one_run import show_answer

    session.output.answer(show_answer(session, session.find(run_id, experiment)))


@run.command(
    examples=[
        ("a run's children, newest first", "runfold run children RUN"),
        ("everything below it as a tree", "runfold run children RUN --tree"),
        (
            "the ids of those that failed",
            "runfold run children RUN --status Failed --query '[].run_id' -o tsv",
        ),
    ]
)
@run_argument
@click.option("--recursive", is_flag=True, help="Children of children too.")
@click.option("--tree", "as_tree", is_flag=True, help="Draw a tree; implies --recursive.")
@click.option("--status", type=StatusChoice(), multiple=True, help="Only with this status; may be repeated.")
@click.option("--last", type=click.IntRange(min=1), default=200, show_default=True, help="At most so many.")
@with_session
def children(
    session: Session, run_id: str, recursive: bool, as_tree: bool, status: tuple[Status, ...], last: int
) -> None:
    """List a run's children, with how many there are in which status."""
    from runfold.cli.commands import family

    found = session.find(run_id)
    if as_tree:
        session.output.answer(family.tree_answer(session, found, status, last))
    else:
        session.output.answer(family.list_answer(session, found, status, last, recursive=recursive))


@run.command(
    examples=[
        ("the audit trail in words", "runfold run history RUN"),
        ("what was refused, with both values", "runfold run history RUN --refused -o json"),
    ]
)
@run_argument
@click.option("--refused", is_flag=True, help="Refused commands only.")
@with_session
def history(session: Session, run_id: str, refused: bool) -> None:
    """Show who did, or was refused, what and when. Metric batches are not listed."""
    from runfold.cli.answer import Answer
    from runfold.cli.render import trail
    from runfold.cli.render.data import history_data

    entries = session.history(session.find(run_id).run_id)
    if refused:
        entries = [entry for entry in entries if entry.type == trail.REJECTED]
    session.output.answer(
        Answer(
            [history_data(entry) for entry in entries],
            lambda console: trail.history_table(console, entries),
            trail.TSV_COLUMNS,
        )
    )


@run.command(
    examples=[
        ("latest, least and greatest value of each metric", "runfold run metrics RUN"),
        ("a curve in the terminal", "runfold run metrics RUN --name loss --plot"),
        ("one metric of a run and all runs below it", "runfold run metrics RUN --name loss --recursive"),
        ("every point, as JSON", "runfold run metrics RUN --name loss --points -o json"),
    ]
)
@run_argument
@click.option("--name", "names", metavar="METRIC", multiple=True, help="Only this metric; may be repeated.")
@click.option("--recursive", is_flag=True, help="Of the run and of all runs below it.")
@click.option("--points", is_flag=True, help="Every point instead of a summary.")
@click.option("--plot", is_flag=True, help="Draw curves over the steps.")
@click.option("--last", type=click.IntRange(min=1), help="With --points and --plot: the last so many points.")
@with_session
def metrics(
    session: Session,
    run_id: str,
    names: tuple[str, ...],
    recursive: bool,
    points: bool,
    plot: bool,
    last: int | None,
) -> None:
    """Show a run's metrics: a summary, all points, or a curve."""
    from runfold.cli.commands import measured

    found = session.find(run_id)
    if plot or points:
        series = session.series(found.run_id, names, recursive=recursive, points_max=last)
        session.output.answer(measured.points_answer(session, found, series, names, as_curve=plot))
    else:
        session.output.answer(measured.summary_answer(session, found, names, recursive=recursive))


add_changes(run)
add_files(run)
add_submitted(run)
