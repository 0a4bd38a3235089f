"""``runfold folder``."""

from __future__ import annotations

import click

from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch


@click.group(cls=Branch)
def folder() -> None:
    """Folders of scripts, and which workspace they belong to."""


@folder.command(
    examples=[
        ("this folder's runs go to the workspace `vision`", "runfold folder attach -w vision"),
        (
            "another folder's, on a server",
            "runfold folder attach -w vision --url http://runs:8765 --path ./train",
        ),
    ]
)
@click.option(
    "-e",
    "--experiment",
    "--experiment-name",
    metavar="NAME",
    help="The experiment of what is submitted from here. Default: the folder's name.",
)
@with_session
def attach(session: Session, experiment: str | None) -> None:
    """Attach a folder to a workspace: what runs in it is recorded there.

    Writes .azureml/config.json, and where they are missing the sample run configurations local and docker,
    conda_dependencies.yml, and .amlignore, which names what stays out of snapshots. The folder is --path, made if it
    is missing.
    """
    from runfold.cli.answer import Answer
    from runfold.cli.commands.attaching import attach_folder
    from runfold.cli.render.facts import facts_table

    data, written = attach_folder(session, experiment)
    for path in written:
        session.output.detail(f"runfold: wrote {path}")
    session.output.answer(Answer(data, lambda console: facts_table(data), tuple(data)))
