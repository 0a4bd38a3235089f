"""``runfold unreadable``: records of the command topic that nobody could handle."""

from __future__ import annotations

import click

from runfold.cli.servers import kafka_option, postgres_option
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch


@click.group(
    cls=Branch,
    short_help="Records of the command topic that could not be handled.",
    examples=[("what is still open", "runfold unreadable list --open")],
)
def unreadable() -> None:
    """Records of the command topic that could not be handled, and losses of the topic.

    Whatever a decider cannot handle it keeps with its bytes, and goes on. After what was wrong is mended, a record can
    be sent again. Asks the store itself (--postgres), a server (--url, with the token of an admin), or the ledger in
    the home.
    """


@unreadable.command(
    "list",
    short_help="List what was kept.",
    examples=[
        ("what nobody has sent again", "runfold unreadable list --open"),
        ("of one kind, for a script", "runfold unreadable list --code not_found -o json --query '[].name'"),
        ("the next page", "runfold unreadable list --after 3-17"),
    ],
)
@postgres_option
@click.option("--partition", type=click.IntRange(0), metavar="N", help="Only of this partition.")
@click.option("--open", "is_open", is_flag=True, help="Only records that nobody has sent again.")
@click.option("--code", metavar="CODE", help="Only those kept for this reason.")
@click.option("--after", metavar="NAME", help="Go on after this one.")
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="How many at most."
)
@with_session
def list_(
    session: Session,
    postgres: str | None,
    partition: int | None,
    is_open: bool,
    code: str | None,
    after: str | None,
    limit: int,
) -> None:
    """List what was kept, by partition and in the order in which it came."""
    from runfold.cli.commands import kept
    from runfold_events.unreadable import EntryQuery

    query = EntryQuery(partition=partition, after=after, limit=limit, open=is_open, code=code)
    session.output.answer(kept.listed(session, postgres, query))


@unreadable.command(
    short_help="Show one record with its bytes.",
    examples=[
        ("why it was kept, its headers, key and value", "runfold unreadable show 3-17"),
        ("its value alone", "runfold unreadable show 3-17 --query value -o tsv"),
    ],
)
@click.argument("name")
@postgres_option
@with_session
def show(session: Session, name: str, postgres: str | None) -> None:
    """Show one record: why it was kept, its headers, key and value; what is no text is shown as hex digits."""
    from runfold.cli.commands import kept

    session.output.answer(kept.shown(session, postgres, name))


@unreadable.command(
    short_help="Send records again.",
    examples=[
        ("one", "runfold unreadable redrive 3-17 --kafka broker:9092"),
        (
            "all that named an experiment which is there by now",
            "runfold unreadable redrive --all --code not_found",
        ),
    ],
)
@click.argument("names", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that nobody has sent again, in the order they came.")
@click.option("--code", metavar="CODE", help="With --all: only those kept for this reason.")
@click.option("--again", is_flag=True, help="Also those that were sent again before.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 3_600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a decider to read them.",
)
@postgres_option
@kafka_option
@with_session
def redrive(
    session: Session,
    names: tuple[str, ...],
    is_all: bool,
    code: str | None,
    again: bool,
    wait_s: float,
    postgres: str | None,
    kafka: str | None,
) -> int:
    """Send records again into the command topic, after what was wrong is mended.

    Each goes with its own key, headers and value into the partition that its key belongs to, so a record from the wrong
    partition comes into the right one. It keeps its writer's number: what took effect already does not do so twice, and
    what had not takes effect now, after whatever came meanwhile. Ends with 1 unless all were handled.
    """
    from runfold.cli.commands import kept
    from runfold_events.unreadable import EntryQuery

    if bool(names) == is_all:
        raise click.UsageError("name the records to send again, or say --all")
    if names and code is not None:
        raise click.UsageError("--code chooses among --all; named records are chosen already")
    chosen = EntryQuery(code=code, open=not again, limit=kept.PAGE_ROWS)
    answer, exit_code = kept.redriven(
        session, postgres, kafka, names=names, chosen=chosen, again=again, wait_s=wait_s
    )
    session.output.answer(answer)
    return exit_code
