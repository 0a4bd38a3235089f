"""``runfold run``: what changes runs."""

from __future__ import annotations

import click

from runfold.cli.options import KeyValue, in_experiment, run_argument
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch, Leaf


@click.command(
    cls=Leaf,
    examples=[
        ("add or change tags", "runfold run tag RUN quality='fantastic run' reviewed"),
        ("remove one", "runfold run tag RUN --remove reviewed"),
    ],
)
@run_argument
@click.argument("tags", metavar="[KEY[=VALUE]]...", type=KeyValue(), nargs=-1)
@click.option("--remove", metavar="KEY", multiple=True, help="Remove this tag; may be repeated.")
@with_session
def tag(
    session: Session, run_id: str, tags: tuple[tuple[str, str | None], ...], remove: tuple[str, ...]
) -> None:
    """Add, change or remove tags. KEY alone is a tag without a value. Prints the tags as they are then."""
    from runfold.cli.answer import Answer
    from runfold.cli.render.facts import facts_table

    if not tags and not remove:
        raise click.UsageError("name at least one KEY=VALUE, KEY, or --remove KEY")
    run = session.handle(session.find(run_id).run_id)
    if remove:
        run.remove_tags(list(remove))
    if tags:
        run.set_tags(dict(tags))
    there = run.get_tags()
    session.output.answer(Answer(there, lambda console: facts_table(there)))


@click.command(
    cls=Leaf,
    short_help="Change a run's tags, name for people, description.",
    examples=[
        ("add or change a tag", "runfold run update RUN --add-tag quality='fantastic run'"),
        ("name the run for people", "runfold run update RUN --display-name 'the best of May'"),
    ],
)
@run_argument
@in_experiment
@click.option(
    "--add-tag",
    "tags",
    type=KeyValue(),
    multiple=True,
    help="Add or change this tag; may be repeated. KEY alone is a tag without a value.",
)
@click.option("--display-name", metavar="TEXT", help="A name for people.")
@click.option("--description", metavar="TEXT", help="Free text.")
@with_session
def update(
    session: Session,
    run_id: str,
    experiment: str | None,
    tags: tuple[tuple[str, str | None], ...],
    display_name: str | None,
    description: str | None,
) -> None:
    """Change what may be changed about a run: tags, the name for people, the description. Prints the run then."""
    from runfold.cli.commands.one_run import show_answer

    if not tags and display_name is None and description is None:
        raise click.UsageError("say what to change: --add-tag KEY=VALUE, --display-name or --description")
    run = session.handle(session.find(run_id, experiment).run_id)
    if tags:
        run.set_tags(dict(tags))
    if display_name is not None:
        run.display_name = display_name
    if description is not None:
        run.description = description
    session.output.answer(show_answer(session, session.find(run.id)))


@click.command(
    cls=Leaf,
    examples=[
        ("ask a run to end", "runfold run cancel RUN --reason 'diverged'"),
        ("with everything below it", "runfold run cancel RUN --cascade"),
    ],
)
@run_argument
@in_experiment
@click.option("--reason", metavar="TEXT", help="Why; kept in the run's history.")
@click.option("--cascade", is_flag=True, help="Cancel what is below it too: each by a command of its own.")
@with_session
def cancel(session: Session, run_id: str, experiment: str | None, reason: str | None, cascade: bool) -> None:
    """Ask a run to end, and wait up to 10 s for that.

    The process that holds the run hears of it within seconds and ends it; a run that no live process holds is
    canceled at once. Children go on unless you ask for --cascade.
    """
    from runfold.cli.commands import endings

    after = endings.cancel(session, session.find(run_id, experiment), reason, cascade=cascade)
    answer = endings.canceled_answer(session, after)
    if answer is not None:
        session.output.answer(answer)


@click.command(
    cls=Leaf,
    examples=[("erase what a run holds", "runfold run erase RUN --reason 'personal data'")],
)
@run_argument
@click.option("--reason", metavar="TEXT", help="Why; this text stays.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_session
def erase(session: Session, run_id: str, reason: str | None, yes: bool) -> None:
    """Erase the content of a run for good (for administrators).

    What it logged, its tags, properties, parameters and errors go; its id, number, place in the tree and status stay,
    and the ledger's chain still checks. There is no way back. Run `runfold ledger vacuum` afterwards to also
    overwrite the space in the file.
    """
    from runfold.cli.commands import endings

    run = session.find(run_id)
    if not yes:
        endings.confirm_erasure(session, run)
    session.output.answer(endings.erase(session, run, reason))


@click.command(cls=Leaf, examples=[("hide a run from lists", "runfold run archive RUN")])
@run_argument
@with_session
def archive(session: Session, run_id: str) -> None:
    """Hide a run from lists that do not ask for --archived."""
    from runfold.cli.commands import endings

    session.output.answer(endings.archive(session, session.find(run_id), archived=True))


@click.command(cls=Leaf, examples=[("show it in lists again", "runfold run restore RUN")])
@run_argument
@with_session
def restore(session: Session, run_id: str) -> None:
    """Show an archived run in lists again."""
    from runfold.cli.commands import endings

    session.output.answer(endings.archive(session, session.find(run_id), archived=False))


def add_changes(run: Branch) -> None:
    """Put the commands of this module under ``runfold run``."""
    for command in (tag, update, cancel, archive, restore, erase):
        run.add_command(command)
