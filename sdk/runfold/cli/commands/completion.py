"""``runfold completion``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click
from click.shell_completion import get_completion_class

from runfold.cli.session import Session, with_session
from runfold.cli.tree import Leaf

SHELLS: Final = ("bash", "zsh", "fish")
_MARK: Final = "# runfold completion"


@click.command(
    cls=Leaf,
    short_help="Set up completion in your shell.",
    examples=[
        ("for the shell that you use", "runfold completion --install"),
        ("the script alone, for your own set-up", "runfold completion bash"),
    ],
)
@click.argument("shell", metavar="[bash|zsh|fish]", required=False, type=click.Choice(SHELLS))
@click.option("--install", is_flag=True, help="Write it where the shell reads it when it starts.")
@with_session
def completion(session: Session, shell: str | None, install: bool) -> None:
    """Print, or with --install set up, what completes commands, options, statuses and run ids in your shell.

    For bash and zsh the script goes into the user's data folder, and one line that reads it to the end of ~/.bashrc
    or ~/.zshrc; for fish it goes to where fish finds it. Installing it twice changes nothing.
    """
    chosen = shell or _shell_of_the_user()
    script = _script(chosen)
    if not install:
        session.output.out.write(script)
        return
    for path in _install(chosen, script):
        session.output.note(f"runfold: wrote {path}")
    session.output.note("runfold: completion works in shells that start from now on")


def _shell_of_the_user() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise click.UsageError(f"SHELL names none of {', '.join(SHELLS)}; say which: runfold completion bash")
    return name


def _script(shell: str) -> str:
    from runfold.cli.commands.root import root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"nothing completes for {shell}")
    one = kind(root, {}, "runfold", "_RUNFOLD_COMPLETE")
    return one.source_template % one.source_vars()


def _install(shell: str, script: str) -> list[Path]:
    """Write the script, and the line that reads it where the shell does not find it; returns what was written."""
    if shell == "fish":
        return _written(_config_home() / "fish" / "completions" / "runfold.fish", script)
    import platformdirs

    home = Path.home()
    place = Path(platformdirs.user_data_dir("runfold", appauthor=False)) / f"completion.{shell}"
    start = home / ".bashrc" if shell == "bash" else Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
    before = start.read_text("utf-8") if start.exists() else ""
    written = _written(place, script)
    if _MARK not in before:
        joint = "" if not before or before.endswith("\n") else "\n"
        with start.open("a", encoding="utf-8") as file:
            file.write(f'{joint}[ -r "{place}" ] && . "{place}"  {_MARK}\n')
        written.append(start)
    return written


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _written(path: Path, text: str) -> list[Path]:
    if path.exists() and path.read_text("utf-8") == text:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return [path]
