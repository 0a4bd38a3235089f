"""The argument tree's own classes: global options on every command, examples in every help text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import click

from runfold.cli.options import GLOBAL_OPTIONS

CONTEXT_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Example(NamedTuple):
    """One line of an Examples section: what it does, and how."""

    what: str
    command: str


class _Taught(click.Command):
    """A command with global options in a section of their own, and examples."""

    def __init__(
        self,
        *args: Any,
        examples: Sequence[tuple[str, str]] = (),
        sections: Mapping[str, Sequence[tuple[str, str]]] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("context_settings", CONTEXT_SETTINGS)
        super().__init__(*args, **kwargs)
        self.examples: Final = tuple(Example(*example) for example in examples)
        self.sections: Final = dict(sections or {})

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *GLOBAL_OPTIONS]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; a JMESPath expression without its option, as in some of Azure's examples, gets a hint."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            bare = next((one for one in given if one.startswith("[")), None)
            if bare is None or not error.message.startswith("Got unexpected extra argument"):
                raise
            raise click.UsageError(f"a JMESPath expression needs its option: --query {bare!r}", ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                (shared if parameter in GLOBAL_OPTIONS else own).append(record)
        if own:
            with formatter.section("Options"):
                formatter.write_dl(own)
        self.format_commands(ctx, formatter)
        if shared:
            with formatter.section("Global options, on every command"):
                formatter.write_dl(shared)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Groups list their commands here."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.examples:
            with formatter.section("Examples"):
                for number, example in enumerate(self.examples):
                    if number:
                        formatter.write("\n")
                    formatter.write(f"{'':>{formatter.current_indent}}# {example.what}\n")
                    formatter.write(f"{'':>{formatter.current_indent}}$ {example.command}\n")
        for title, lines in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(lines)
        super().format_epilog(ctx, formatter)


class Leaf(_Taught):
    """A command that does something."""


class Branch(_Taught, click.Group):
    """A group of commands."""

    command_class = Leaf

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, which is the order in which one needs them."""
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _Taught.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        click.Group.format_commands(self, ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; an unknown name gets the nearest ones as a hint."""
        if args and self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise click.UsageError(unknown_command(args[0], self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)


Branch.group_class = Branch


def unknown_command(name: str, there: Sequence[str]) -> str:
    """What to say about a command that is none."""
    from difflib import get_close_matches

    near = get_close_matches(name, there, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(there)}"
    return f"there is no command {name!r}; {hint}"
