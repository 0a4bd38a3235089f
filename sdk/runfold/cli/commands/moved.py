"""What ``runfold ledger export`` and ``import`` do, and how it is shown."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec

from runfold.cli.answer import Answer
from runfold.cli.commands.places import LedgerStore, on_store
from runfold.cli.commands.upkeep import progress_bars
from runfold.cli.render.facts import facts_table
from runfold.cli.render.text import plural
from runfold.cli.session import Session
from runfold_events.contract.errors import Invalid
from runfold_events.ids_source import SystemIds
from runfold_events.transfer.exporting import Exported, export_ledger
from runfold_events.transfer.importing import Imported, Phases, import_ledger
from runfold_events.transfer.reading import LedgerFile
from runfold_services.compose.files import FILES_FOLDER
from runfold_services.settings import absolute_place

STDOUT: Final = "-"
OWNER_ALONE: Final = 0o600  # a file has what the ledger has: texts of users, and salts


def export(session: Session, file: str, postgres: str | None, *, overwrite: bool) -> Answer | None:
    """Write the ledger to ``file``; on stdout the file is the only answer."""
    workspace = session.options.workspace
    if file != STDOUT and not overwrite:
        _refuse_existing(Path(file))

    async def work(store: LedgerStore) -> Exported:
        with _written(session, file) as out, progress_bars(session, "exporting") as (progress,):
            return await export_ledger(store, out.write, workspace=workspace, progress=progress)

    place, done = on_store(session, "ledger export", postgres, work)
    if done.artifacts:
        session.output.note(
            f"runfold: contents of {plural(done.artifacts, 'artifact')} are not in the file; after its import, copy "
            f"them from {_contents_place(place)} (docs/moving.md)"
        )
    if file == STDOUT:
        session.output.note(
            f"runfold: exported {plural(done.events, 'event')} of {plural(done.streams, 'stream')}"
        )
        return None
    facts = {**place, "file": file, "workspace": workspace, **msgspec.to_builtins(done)}
    return Answer(facts, lambda console: facts_table(facts), tuple(facts))


def _contents_place(place: Mapping[str, str]) -> str:
    """Where a ledger's contents of files are, as far as this command can know."""
    named = absolute_place(os.environ.get("RUNFOLD_FILES"))
    if named is not None:
        return named
    if "home" in place:
        return str(Path(place["home"]) / FILES_FOLDER)
    return "the place that RUNFOLD_FILES names for the server"


@contextmanager
def _written(session: Session, file: str) -> Generator[BinaryIO]:
    """Where the lines go. A file gets its name when it is whole, and is not there before."""
    if file == STDOUT:
        yield session.output.out.buffer
        session.output.out.flush()
        return
    path = Path(file)
    part = path.with_name(f"{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ALONE)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise Invalid(
            f"{path} is there already; --overwrite replaces it", facts={"field": "FILE", "size": str(path)}
        )


def import_(session: Session, file: Path, postgres: str | None, *, resume: bool) -> Answer:
    """Take a file in; says how much that was."""
    if session.options.workspace is not None:
        raise click.UsageError("an import takes all that is in the file; export one workspace alone with -w")
    with _opened(file) as opened:
        ledger_file = LedgerFile(opened, str(file))

        async def work(store: LedgerStore) -> Imported:
            with progress_bars(session, "checking", "importing") as (checking, importing):
                phases = Phases(checking, importing)
                return await import_ledger(store, ledger_file, SystemIds(), resume=resume, phases=phases)

        place, done = on_store(session, "ledger import", postgres, work, creates=True)
    if done.artifacts:
        session.output.note(
            f"runfold: contents of {plural(done.artifacts, 'artifact')} did not come along; copy them now, from where "
            f"the exported ledger has them, to {_contents_place(place)} (docs/moving.md)"
        )
    facts = {**place, "file": str(file), **msgspec.to_builtins(done)}
    return Answer(facts, lambda console: facts_table(facts), tuple(facts))


def _opened(file: Path) -> BinaryIO:
    """The file, to be read twice."""
    if not file.is_file():
        what = "is no file that can be read twice" if file.exists() or str(file) == STDOUT else "is not there"
        raise Invalid(f"{file} {what}", facts={"field": "FILE", "size": str(file)})
    return file.open("rb")
