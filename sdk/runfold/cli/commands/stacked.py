"""What ``runfold stack`` does, and how it is shown."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console, Group, RenderableType
from rich.text import Text

from runfold.cli.answer import Answer
from runfold.cli.exits import Exit
from runfold.cli.render.columns import Column, table
from runfold.cli.render.facts import facts_table
from runfold.cli.render.text import styled
from runfold.cli.session import Session
from runfold_services.stack import PartStatus, Progress, StackStatus, commands

_PARTS: Final = (
    Column("PART"),
    Column("ADDRESS"),
    Column("ANSWERS"),
    Column("RUNS AS"),
    Column("LOG", wrap=True),
)
_STATUS_COLUMNS: Final = ("state", "source", "folder")


def up(session: Session) -> Answer:
    """Start what is not running."""
    with _progress(session) as progress:
        done = commands.up(_home(session), progress=progress)
    session.output.after(f"go on with: {done.following}")
    return Answer(
        msgspec.to_builtins(done),
        lambda console: Group(
            _status(console, done.status),
            facts_table({"kafka": done.addresses.kafka, "postgres": done.addresses.postgres}),
        ),
        ("started", "seconds", "following"),
    )


def status(session: Session) -> tuple[Answer, Exit]:
    """Ask both; the answer, and the exit code."""
    found = commands.status(_home(session))
    answer = Answer(msgspec.to_builtins(found), lambda console: _status(console, found), _STATUS_COLUMNS)
    return answer, Exit.OK if found.state == "up" else Exit.UNAVAILABLE


def down(session: Session, *, wipe: bool) -> Answer:
    """End both."""
    done = commands.down(_home(session), wipe=wipe)
    facts: dict[str, Any] = {"stopped": ", ".join(done.stopped) or "nothing", "wiped": done.wiped}
    return Answer(msgspec.to_builtins(done), lambda console: facts_table(facts), ("stopped", "wiped"))


def _home(session: Session) -> Path:
    """Where the stack is kept. It is of this machine, whatever server the options or the environment name."""
    from runfold._settings import load_settings

    return (session.options.home or load_settings().home).expanduser().absolute()


def _status(console: Console, found: StackStatus) -> RenderableType:
    style = {"up": "green", "partly up": "yellow"}.get(found.state, "dim")
    head = Text.assemble((found.state, style), f"  {found.folder}")
    return Group(head, table(console, _PARTS, [_row(part) for part in found.parts])) if found.parts else head


def _row(part: PartStatus) -> list[Text]:
    answers = Text("yes", style="green") if part.answers else Text("no", style="red")
    return [
        styled(part.name),
        styled(part.address),
        answers,
        styled(part.where or "-"),
        styled(part.log or "-", "dim"),
    ]


@contextmanager
def _progress(session: Session) -> Generator[Progress]:
    """What is done at present, on stderr: one moving line for people, a line for each step elsewhere."""
    from rich import progress as bars

    console = Console(file=session.output.err, highlight=False)
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.TextColumn("{task.fields[amount]}"),
        bars.TimeElapsedColumn(),
    )
    disable = session.options.quiet or not console.is_terminal
    with bars.Progress(*columns, console=console, transient=True, disable=disable) as bar:
        task = bar.add_task("looking", total=None, amount="")

        def tell(what: str, done: int = 0, total: int = 0) -> None:
            bar.update(
                task, description=what, amount=f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else ""
            )
            if disable and not done:
                session.output.note(f"runfold: {what}")

        yield tell
