"""``runfold agent``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from runfold.cli.session import Session, with_session
from runfold.cli.tree import Leaf


@click.command(
    cls=Leaf,
    short_help="Execute submitted runs on this machine.",
    examples=[
        (
            "execute what is submitted to a server's workspace",
            "runfold agent --url http://127.0.0.1:8765 -w vision",
        ),
        ("everything that waits now, one after the other", "runfold agent --once --runs-at-once 1"),
        ("look at what failed scripts left", "runfold agent --keep failed --folder /tmp/agent"),
    ],
)
@click.option("--name", metavar="NAME", help="What it is called in logs.  [default: this machine's name]")
@click.option(
    "--runs-at-once",
    type=click.IntRange(1, 1_000),
    help="How many runs to execute at once; one that waits for a child of its own does not count.  "
    "[default: number of processors, at least 2]",
)
@click.option("--once", is_flag=True, help="End when nothing waits any more.")
@click.option("--idle", type=click.FloatRange(0), metavar="SECONDS", help="End after so long without work.")
@click.option(
    "--keep",
    type=click.Choice(["never", "failed", "always"]),
    default="never",
    show_default=True,
    help="Which runs' working copies to leave in the folder.",
)
@click.option(
    "--keep-days",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="How long working copies that were left stay.",
)
@click.option(
    "--keep-folders",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="NUMBER",
    help="How many of them stay; the oldest go first.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where working copies are made.  [default: agents/WORKSPACE in RUNFOLD_HOME]",
)
@click.option("--alone", is_flag=True, hidden=True, help="End at once where an agent lives; for `submit`.")
@with_session
def agent(session: Session, /, **given: Any) -> int:
    """Take submitted runs of one workspace and execute them here, until Ctrl-C or SIGTERM.

    Each script runs in a process group of its own, in a copy of its snapshot, with this program's Python and rights.
    Its exit code decides; canceling or failing the run from anywhere stops it. Several agents share the work. Runs that
    are executing when the agent is told to stop end with it.
    """
    if sys.platform == "win32":
        raise click.UsageError(
            "agents run on Linux and macOS: Windows has no process groups to stop scripts by"
        )
    from runfold.cli import executing

    return executing.execute(session, executing.Asked(**given))
