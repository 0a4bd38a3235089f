"""``runfold az``: the command line as people from Azure ML type it, behind the word ``runfold``.

The commands are those of ``runfold run``, ``runfold experiment`` and ``runfold folder`` themselves; under ``az ml``
their answers are JSON with Azure ML's keys (:mod:`runfold.cli.render.azure`).
"""

from __future__ import annotations

import click

from runfold.cli.commands.experiments import experiment
from runfold.cli.commands.folders import folder
from runfold.cli.commands.runs import run
from runfold.cli.options import speak_azure
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch

_RUN_COMMANDS = ("submit-script", "list", "show", "update", "cancel", "download-logs", "monitor-logs")


@click.group(cls=Branch)
def az() -> None:
    """Commands as Azure's own command line has them."""


@az.command(examples=[("what a script of Azure's begins with", "runfold az login")])
@with_session
def login(session: Session) -> None:
    """Say that nothing needs logging in, and where runs are recorded."""
    from runfold.cli.answer import Answer
    from runfold.cli.render.facts import facts_table

    facts = session.facts()
    place = {name: facts[name] for name in ("workspace", "url", "home")}
    credential = "RUNFOLD_TOKEN is its credential" if facts["url"] else "the ledger is a file of yours"
    session.output.note(f"runfold: nothing needs logging in: {credential}")
    session.output.answer(Answer(place, lambda console: facts_table(place)))


@az.group(
    cls=Branch,
    examples=[
        ("the ten newest runs of an experiment", "runfold az ml run list --experiment-name digits"),
        ("attach this folder to a workspace", "runfold az ml folder attach -w vision"),
    ],
)
@click.pass_context
def ml(context: click.Context) -> None:
    """Runs, experiments and folders, with Azure ML's keys.

    The commands are those of `az ml` of version 1; answers are JSON unless -o says otherwise.
    """
    speak_azure(context)


def _part(group: click.Group, names: tuple[str, ...], help_text: str) -> Branch:
    """A group of the same name with some of the same commands."""
    return Branch(group.name, help=help_text, commands={name: group.commands[name] for name in names})


ml.add_command(_part(run, _RUN_COMMANDS, "Submit, list, show, change and cancel runs."))
ml.add_command(_part(experiment, ("list",), "List experiments."))
ml.add_command(_part(folder, ("attach",), "Attach a folder to a workspace."))
