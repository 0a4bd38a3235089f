"""``runfold rebuild`` and ``runfold ledger``: work on the store itself."""

from __future__ import annotations

import click

from runfold.cli.commands.moving import export_ledger, import_ledger
from runfold.cli.commands.places import postgres_option
from runfold.cli.exits import Exit
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch, Leaf


@click.command(
    cls=Leaf,
    short_help="Fold the views anew from the events.",
    examples=[
        ("every view, from the first event on", "runfold rebuild"),
        ("one of them", "runfold rebuild --projection metrics"),
        ("those of a server, while it serves", "runfold rebuild --postgres DSN"),
    ],
)
@click.option("--projection", "names", metavar="NAME", multiple=True, help="Only this one; may be repeated.")
@postgres_option
@with_session
def rebuild(session: Session, names: tuple[str, ...], postgres: str | None) -> None:
    """Fold the views anew from the events, beside the present ones, and switch over when they have caught up."""
    from runfold.cli.commands import upkeep

    session.output.answer(upkeep.rebuild(session, names, postgres))


@click.group(cls=Branch)
def ledger() -> None:
    """Check, move and maintain the event store."""


@ledger.command(
    short_help="Recompute every digest and the hash chain.",
    examples=[
        ("is what is stored what was written?", "runfold ledger check"),
        ("in a script", "runfold ledger check -q -o none || echo damaged"),
        ("a server's store, while it is in use", "runfold ledger check --postgres DSN"),
    ],
)
@postgres_option
@with_session
def check(session: Session, postgres: str | None) -> int:
    """Recompute every digest and the hash chain; names the place of any change.

    Ends with 6 when something is damaged.
    """
    from runfold.cli.commands import upkeep

    answer, is_sound = upkeep.check(session, postgres)
    session.output.answer(answer)
    return Exit.OK if is_sound else Exit.DAMAGED


@ledger.command(examples=[("after erasing runs", "runfold ledger vacuum")])
@with_session
def vacuum(session: Session) -> None:
    """Rewrite the file, so that nothing erased is left in its free space."""
    from runfold.cli.commands import upkeep

    session.output.answer(upkeep.vacuum(session))


ledger.add_command(export_ledger)
ledger.add_command(import_ledger)
