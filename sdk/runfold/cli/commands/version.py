"""``runfold version``."""

from __future__ import annotations

import click

from runfold.cli.session import Session, with_session
from runfold.cli.tree import Leaf


@click.command(
    cls=Leaf,
    short_help="Show versions, and where runs are looked for.",
    examples=[("the version alone", "runfold version --query version -o tsv")],
)
@with_session
def version(session: Session) -> None:
    """Show the version, and where this command would look for runs."""
    from runfold.cli.answer import Answer
    from runfold.cli.render.facts import facts_table

    facts = session.facts()
    session.output.answer(Answer(facts, lambda console: facts_table(facts), tuple(facts)))
