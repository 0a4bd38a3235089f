"""``runfold rebuild`` and ``runfold ledger``: work on the store itself."""

from __future__ import annotations

import click

from runfold.cli.commands.moving import export_ledger, import_ledger
from runfold.cli.exits import Exit
from runfold.cli.servers import kafka_option, owner_option, postgres_option
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
    """Make, check, move and maintain the event store."""


@ledger.command(
    short_help="Make a store in a Postgres database.",
    examples=[
        (
            "as the owner of an empty database",
            "RUNFOLD_POSTGRES_OWNER=postgresql://owner:…@db/runs runfold ledger create",
        ),
        ("with services that log in as a role of their own", "runfold ledger create --service-role runs_app"),
    ],
)
@owner_option
@click.option(
    "--service-role",
    metavar="NAME",
    default="runfold_service",
    show_default=True,
    help="The role that services act as. Made without login if it is missing.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1, 1024),
    metavar="P",
    help="How many partitions, a power of two. Fixed for ever; also of both Kafka topics.  [default: 16]",
)
@with_session
def create(session: Session, postgres: str | None, service_role: str, partitions: int | None) -> None:
    """Make a store in a Postgres database, and the place for its views.

    Needs the rights of the database's owner, which services never have: they act as the service role, which may
    read, and append by the store's own functions. Where there is a store already, it is brought up to date.
    """
    from runfold.cli.commands import administration

    session.output.answer(administration.create(postgres, service_role, partitions))


@ledger.command(
    short_help="Bring a store in Postgres up to date.",
    examples=[("before services of a newer version start", "runfold ledger migrate")],
)
@owner_option
@click.option(
    "--service-role",
    metavar="NAME",
    default="runfold_service",
    show_default=True,
    help="The role that services act as.",
)
@with_session
def migrate(session: Session, postgres: str | None, service_role: str) -> None:
    """Bring a store in Postgres to the schema of this version of runfold.

    Run it before services of a newer version start, which refuse an older schema; older ones refuse to start on a newer
    one. What only adds runs beside services at work; what they could not bear waits until they are stopped, and says
    so. Two at once do no harm.
    """
    from runfold.cli.commands import administration

    session.output.answer(administration.migrate(postgres, service_role))


@ledger.command(
    short_help="Say that the store was restored from a backup.",
    examples=[
        (
            "after the database was restored, before services start",
            "RUNFOLD_KAFKA=broker:9092 runfold ledger restored",
        ),
        ("after ledger.db was put back", "runfold ledger restored --home /data/runfold"),
    ],
)
@owner_option
@kafka_option
@click.option("--force", is_flag=True, help="Also where Kafka knows nothing that the store has forgotten.")
@with_session
def restored(session: Session, postgres: str | None, kafka: str | None, force: bool) -> None:
    """Say that the store was restored from a backup. Without it, services refuse to go on with one.

    The store gets a new epoch and `store.restored` in every partition, so that whoever heard what is lost now can tell.
    Views are folded anew afterwards: runfold rebuild. Where Kafka is named it is asked first whether it knows more than
    the store; if not, nothing is done.
    """
    from runfold.cli.commands import administration

    session.output.answer(administration.restored(session, postgres, kafka, force=force))


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
