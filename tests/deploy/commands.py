"""Is a command line one that the real CLI takes? Nothing is run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runfold.cli.commands.root import root


def refusal(words: Sequence[str]) -> str | None:
    """Why ``runfold WORDS`` would not start; None when it would.

    Help asks for an exit while it is parsed, and is a command line that works.
    """
    try:
        _parse(root, None, "runfold", list(words))
    except click.exceptions.Exit as asked:
        return None if asked.exit_code == 0 else f"exit code {asked.exit_code}"
    except click.UsageError as error:
        return error.format_message()
    return None


def _parse(command: click.Command, parent: click.Context | None, name: str, words: list[str]) -> None:
    with command.make_context(name, words, parent=parent) as context:
        if not isinstance(command, click.Group):
            return
        _, rest, _ = command.make_parser(context).parse_args(list(words))
        if not rest:
            raise click.UsageError(f"{context.command_path} needs a command", context)
        found, below, after = command.resolve_command(context, rest)
        if below is None or found is None:
            raise click.UsageError(f"there is no command {rest[0]}", context)
        _parse(below, context, found, after)
