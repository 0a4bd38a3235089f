"""``runfold sync``: deliver what processes that are gone have left, or prove that everything has arrived."""

from __future__ import annotations

import click

from runfold.cli.exits import Exit
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Leaf


@click.command(
    cls=Leaf,
    short_help="Deliver what processes that are gone have left.",
    examples=[
        ("what killed jobs and outages have left for the place in use", "runfold sync"),
        ("for a server", "runfold sync --url http://127.0.0.1:8765"),
        ("prove, per run and writer, that everything that was sent is stored", "runfold sync --verify"),
    ],
)
@click.option(
    "--verify", is_flag=True, help="Deliver nothing; name every number that was sent and is not stored."
)
@with_session
def sync(session: Session, verify: bool) -> None:
    """Deliver what processes that are gone have left in their spools, in order, each command once.

    A spool whose process lives is left to that process. Programs that record runs do the same when they start.
    Exit code 1: something was refused for good and is kept aside; with --verify, numbers are missing. 4: something
    waits still.
    """
    from runfold.cli.commands import synced

    answer, code = synced.verify(session) if verify else synced.deliver(session)
    session.output.answer(answer)
    if code is not Exit.OK:
        raise SystemExit(int(code))
