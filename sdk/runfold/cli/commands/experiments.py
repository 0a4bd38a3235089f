"""``runfold experiment``."""

from __future__ import annotations

import click

from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch


@click.group(cls=Branch)
def experiment() -> None:
    """Look at experiments: what runs belong to."""


@experiment.command(
    "list",
    examples=[
        ("experiments, newest activity first", "runfold experiment list"),
        ("their names alone", "runfold experiment list --query '[].experiment' -o tsv"),
    ],
)
@click.option("--archived", is_flag=True, help="Archived experiments too.")
@with_session
def list_experiments(session: Session, archived: bool) -> None:
    """List the experiments of a workspace with their runs by status."""
    from runfold.cli.answer import Answer
    from runfold.cli.render import azure
    from runfold.cli.render import experiments as shown
    from runfold.cli.render.data import experiment_data

    found = session.experiments(include_archived=archived)
    in_azures_keys = session.options.azure
    session.output.answer(
        Answer(
            [azure.experiment_data(one) if in_azures_keys else experiment_data(one) for one in found],
            lambda console: shown.experiments_table(console, found),
            azure.EXPERIMENT_TSV_COLUMNS if in_azures_keys else shown.TSV_COLUMNS,
        )
    )
