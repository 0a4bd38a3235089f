"""The top of the argument tree."""

from __future__ import annotations

from typing import Final

import click

from runfold.cli.commands.agents import agent
from runfold.cli.commands.azure import az
from runfold.cli.commands.completion import completion
from runfold.cli.commands.experiments import experiment
from runfold.cli.commands.folders import folder
from runfold.cli.commands.ledger import ledger, rebuild
from runfold.cli.commands.runs import run
from runfold.cli.commands.server import serve, up
from runfold.cli.commands.stack import stack
from runfold.cli.commands.sync import sync
from runfold.cli.commands.unreadable import unreadable
from runfold.cli.commands.usage import usage
from runfold.cli.commands.version import version
from runfold.cli.exits import MEANINGS
from runfold.cli.options import wants_version
from runfold.cli.tree import Branch

_SECTIONS: Final = {
    "Exit codes": [(f"{int(code)}", meaning) for code, meaning in MEANINGS.items()],
    "Environment": [
        ("RUNFOLD_HOME", "Where the embedded ledger is. Default: the user's data directory."),
        ("RUNFOLD_URL", "A server to ask instead of the embedded ledger."),
        ("RUNFOLD_TOKEN", "The credential for that server."),
        ("RUNFOLD_WORKSPACE", "The workspace where neither -w nor a config.json names one."),
        ("RUNFOLD_OUTPUT", "How to print answers where -o does not say it."),
        ("NO_COLOR", "No colours."),
    ],
    "Completion": [
        ("runfold completion", "Completes commands, options, statuses and run ids in your shell.")
    ],
}


@click.group(
    cls=Branch,
    invoke_without_command=True,
    sections=_SECTIONS,
    examples=[
        ("the ten newest runs", "runfold run list"),
        ("what failed in an experiment, as JSON", "runfold run list -e digits --status Failed -o json"),
        ("everything about one run", "runfold run show RUN"),
        ("who did, or was refused, what", "runfold run history RUN"),
        ("a server over the same runs", "runfold up"),
    ],
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=wants_version,
    help="Show the version.",
)
@click.pass_context
def root(context: click.Context) -> None:
    """Record what training jobs and other long computations do, and read it back.

    Runs are the fold of their events: every change is an event that stays. Without a server the ledger is one file
    in RUNFOLD_HOME; with RUNFOLD_URL the same commands ask a server.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


root.add_command(run)
root.add_command(experiment)
root.add_command(agent)
root.add_command(folder)
root.add_command(usage)
root.add_command(up)
root.add_command(serve)
root.add_command(stack)
root.add_command(sync)
root.add_command(rebuild)
root.add_command(ledger)
root.add_command(unreadable)
root.add_command(az)
root.add_command(completion)
root.add_command(version)
