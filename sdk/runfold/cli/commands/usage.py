"""``runfold usage``."""

from __future__ import annotations

import click

from runfold.cli.session import Session, with_session
from runfold.cli.tree import Leaf


@click.command(
    cls=Leaf,
    examples=[
        ("what this workspace holds, and may send", "runfold usage"),
        (
            "how much it may send now, for a script",
            "runfold usage --query 'meters[].[name,available]' -o tsv",
        ),
    ],
)
@with_session
def usage(session: Session) -> None:
    """Show what a workspace holds and how it stands with its quotas.

    Quotas are a server's (RUNFOLD_QUOTAS_FILE), and each of its processes counts by itself. A workspace that has sent
    more than its quota is answered 429 until it has waited; the SDK waits and sends again by itself.
    """
    from msgspec import to_builtins

    from runfold.cli.answer import Answer
    from runfold.cli.render import usage as shown

    found = session.usage()
    session.output.answer(Answer(to_builtins(found), lambda console: shown.usage_table(console, found)))
