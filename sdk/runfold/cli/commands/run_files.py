"""``runfold run files|upload|download``: the files of a run."""

from __future__ import annotations

from pathlib import Path

import click

from runfold.cli.options import run_argument
from runfold.cli.session import Session, with_session
from runfold.cli.tree import Branch, Leaf


@click.command(
    cls=Leaf,
    examples=[
        ("what files a run has", "runfold run files RUN"),
        ("those below a folder", "runfold run files RUN outputs/"),
    ],
)
@run_argument
@click.argument("prefix", default="")
@with_session
def files(session: Session, run_id: str, prefix: str) -> None:
    """List the files that a run has recorded, by path."""
    from runfold.cli.answer import Answer
    from runfold.cli.render.files import files_data, files_table

    found = session.files(session.find(run_id).run_id, prefix)
    data = files_data(found)
    columns = ("path", "size_bytes", "sha256", "content_type", "recorded_at")
    session.output.answer(Answer(data, lambda console: files_table(found), columns))


@click.command(
    cls=Leaf,
    examples=[
        ("a file under its own name", "runfold run upload RUN model.bin"),
        ("a folder, under another name", "runfold run upload RUN results --name outputs"),
    ],
)
@run_argument
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="The file's or folder's path in the run; only with one PATH.")
@with_session
def upload(session: Session, run_id: str, paths: tuple[Path, ...], name: str | None) -> None:
    """Upload files and folders. A run's files never change: another content under a name it has is refused."""
    from runfold.cli.answer import Answer
    from runfold.cli.render.files import names_shown

    if name is not None and len(paths) > 1:
        raise click.UsageError("--name names one file or folder; give one PATH")
    for path in paths:
        if not path.exists():
            raise click.UsageError(f"there is no file or folder {path}")
    run = session.handle(session.find(run_id).run_id)
    for path in paths:
        stored = path.name if name is None else name
        if path.is_dir():
            run.upload_folder(stored, path)
        else:
            run.upload_file(stored, path)
    there = run.get_file_names()
    session.output.answer(Answer(there, lambda console: names_shown(there)))


@click.command(
    cls=Leaf,
    examples=[
        ("everything that a run has", "runfold run download RUN -d here"),
        ("one folder of it", "runfold run download RUN outputs/ -d here"),
    ],
)
@run_argument
@click.argument("prefix", default="")
@click.option(
    "-d",
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where to; made if need be.  [default: the current folder]",
)
@with_session
def download(session: Session, run_id: str, prefix: str, directory: Path) -> None:
    """Download files whose path begins with PREFIX; without it, all.

    A log that is being written comes as far as it goes.
    """
    from runfold.cli.answer import Answer
    from runfold.cli.render.files import names_shown
    from runfold_events.contract.errors import NotFound

    run = session.handle(session.find(run_id).run_id)
    names = [name for name in run.get_file_names() if name.startswith(prefix)]
    if not names:
        raise NotFound(
            f"run {run.id!r} has no file that begins with {prefix!r}; `runfold run files {run.id}` lists what it has",
            facts={"run_id": run.id, "prefix": prefix},
        )
    run.download_files(prefix, directory)
    written = [str(directory / name) for name in names]
    session.output.answer(Answer(written, lambda console: names_shown(written)))


def add_files(run: Branch) -> None:
    """Put the commands of this module under ``runfold run``."""
    for command in (files, upload, download):
        run.add_command(command)
