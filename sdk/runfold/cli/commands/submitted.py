"""``runfold run``: what concerns submitted runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runfold.cli.options import in_experiment, run_argument
from runfold.cli.session import Session, with_session
from runfold.cli.tree import CONTEXT_SETTINGS, Branch, Leaf


@click.command(
    "submit-script",
    cls=Leaf,
    short_help="Submit a script, and watch it.",
    # What follows the script belongs to the script.
    context_settings={**CONTEXT_SETTINGS, "allow_interspersed_args": False},
    examples=[
        (
            "with a run configuration of this folder",
            "runfold run submit-script -c sklearn -e testexperiment train.py",
        ),
        ("with arguments, without waiting", "runfold run submit-script -e digits --async train.py --lr 0.01"),
    ],
)
@click.option(
    "-c",
    "--run-configuration-name",
    "configuration",
    metavar="NAME",
    help="The run configuration .azureml/NAME.runconfig.  [default: run it as it is]",
)
@click.option(
    "-e",
    "--experiment",
    "--experiment-name",
    metavar="NAME",
    help="The experiment.  [default: that of the folder's config.json]",
)
@click.option(
    "--source-directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to submit.  [default: --path, else the current one]",
)
@click.option("--async", "does_not_wait", is_flag=True, help="Do not wait for the end.")
@click.option(
    "-d",
    "--conda-dependencies",
    metavar="FILE",
    help="Kept with the run; nothing is installed, and a warning says so.",
)
@click.option("--target", "--ct", metavar="NAME", help="The compute target; any name runs where an agent is.")
@click.argument("words", metavar="SCRIPT [ARGUMENTS]...", nargs=-1, required=True, type=click.UNPROCESSED)
@with_session
def submit_script(session: Session, /, **given: Any) -> None:
    """Submit a script to be executed by an agent, show its logs on stderr, and wait for its end.

    Options stand before SCRIPT; everything behind it is the script's. Prints the run; exit code 1 if it failed.
    Ctrl-C ends the watching, not the run.
    """
    from runfold.cli.commands import watching

    watching.submit(session, **given)


@click.command(
    "monitor-logs",
    cls=Leaf,
    short_help="Show a run's logs as they grow, until it has ended.",
    examples=[("watch a run", "runfold run monitor-logs RUN")],
)
@run_argument
@in_experiment
@with_session
def monitor_logs(session: Session, run_id: str, experiment: str | None) -> None:
    """Show a run's logs as they grow, until it has ended, and how it did; exit code 1 if it failed.

    Ctrl-C ends the watching, not the run.
    """
    from runfold.cli.commands import watching

    watching.monitor(session.handle(session.find(run_id, experiment).run_id))


@click.command(
    "download-logs",
    cls=Leaf,
    examples=[("a run's logs into a folder", "runfold run download-logs RUN -d logs-of-run")],
)
@run_argument
@in_experiment
@click.option(
    "-d",
    "--output-dir",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder; made if it is missing.",
)
@with_session
def download_logs(session: Session, run_id: str, experiment: str | None, folder: Path) -> None:
    """Write a run's logs into a folder. Prints the files."""
    from runfold.cli.answer import Answer

    files = session.handle(session.find(run_id, experiment).run_id).get_all_logs(folder)
    session.output.answer(Answer(files, lambda console: "\n".join(files) or "the run has no logs"))


def add_submitted(run: Branch) -> None:
    """Put the commands of this module under ``runfold run``."""
    for command in (submit_script, download_logs, monitor_logs):
        run.add_command(command)
