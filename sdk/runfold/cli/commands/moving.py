"""``runfold ledger export`` and ``runfold ledger import``."""

from __future__ import annotations

from pathlib import Path

import click

from runfold.cli.servers import postgres_option
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Leaf


@click.command(
    "export",
    cls=Leaf,
    short_help="Write the ledger, or one workspace, to a file.",
    examples=[
        ("everything in RUNFOLD_HOME", "runfold ledger export ledger.ndjson"),
        ("one workspace", "runfold ledger export research.ndjson -w research"),
        ("a server's store, to stdout", "runfold ledger export - --postgres DSN"),
    ],
)
@click.argument("file", metavar="FILE")
@postgres_option
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@with_session
def export_ledger(session: Session, file: str, postgres: str | None, overwrite: bool) -> None:
    """Write the ledger to FILE, one line an event (NDJSON); - is stdout. With -w, only that workspace.

    It is one moment of the ledger, which may be in use. `runfold ledger import` takes the file into another store, of
    either kind. The format and what is kept: docs/moving.md.
    """
    from runfold.cli.commands import moved

    answer = moved.export(session, file, postgres, overwrite=overwrite)
    if answer is not None:
        session.output.answer(answer)


@click.command(
    "import",
    cls=Leaf,
    short_help="Take an exported ledger into this one.",
    examples=[
        ("into the ledger in RUNFOLD_HOME, which is made if need be", "runfold ledger import ledger.ndjson"),
        ("into a server's store", "runfold ledger import ledger.ndjson --postgres DSN"),
        ("go on after it was interrupted", "runfold ledger import ledger.ndjson --resume"),
    ],
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@postgres_option
@click.option("--resume", is_flag=True, help="Go on with the import of this file that was interrupted here.")
@with_session
def import_ledger(session: Session, file: Path, postgres: str | None, resume: bool) -> None:
    """Take FILE, which `runfold ledger export` wrote, into this ledger.

    The file is read twice: all of it is checked before anything is changed. Nothing is overwritten: the ledger must
    have nothing of the file's workspaces. Nobody may write to them until it is done.
    """
    from runfold.cli.commands import moved

    session.output.answer(moved.import_(session, file, postgres, resume=resume))
