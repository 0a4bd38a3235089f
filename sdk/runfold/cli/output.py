"""Where answers and notes go: stdout in the chosen format, everything else to stderr."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from runfold.cli.answer import Answer
from runfold.cli.options import Format, Options
from runfold_events.contract.errors import Invalid

if TYPE_CHECKING:
    from rich.console import Console

PIPED_COLUMNS: Final = 160  # `-o table` into a pipe or a file has no width of its own


class Output:
    """Prints answers as the options say."""

    def __init__(self, options: Options, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._options = options
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self._after: list[str] = []

    @property
    def format(self) -> Format:
        """As asked for, else a table for people and JSON for programs; of ``az ml`` always JSON, as in Azure."""
        for_people = self.out.isatty() and not self._options.azure
        return self._options.output or ("table" if for_people else "json")

    def console(self, *, force_colour: bool = False) -> Console:
        """A console on stdout; honours NO_COLOR and COLUMNS."""
        from rich.console import Console

        width = None if self.out.isatty() or "COLUMNS" in os.environ else PIPED_COLUMNS
        force = True if force_colour and "NO_COLOR" not in os.environ else None
        return Console(
            file=self.out, highlight=False, markup=False, emoji=False, width=width, force_terminal=force
        )

    def note(self, text: str) -> None:
        """One line for people beside the answer; not with --quiet."""
        if not self._options.quiet:
            self.err.write(f"{text}\n")

    def detail(self, text: str) -> None:
        """One line that only --verbose shows."""
        if self._options.verbose:
            self.err.write(f"{text}\n")

    def after(self, text: str) -> None:
        """One line for people, below the answer that comes next."""
        self._after.append(text)

    def answer(self, answer: Answer) -> None:
        """Print ``answer``, reshaped by --query if there is one, then what was to come after it.

        Raises:
            FileExistsError: the file for it has come into being since the command began.
        """
        if self._options.output_metadata_file is not None:
            with self._options.output_metadata_file.open("x", encoding="utf-8") as file:
                self._formats().write_json(answer.data, file)
        self._print(answer)
        self.out.flush()
        for text in self._after:
            self.note(text)
        self._after.clear()

    def _print(self, answer: Answer) -> None:
        data = answer.data if self._options.query is None else query(self._options.query, answer.data)
        queried = self._options.query is not None
        match self.format:
            case "none":
                pass
            case "json":
                self._formats().write_json(data, self.out)
            case "jsonc":
                self._formats().write_jsonc(data, self.console(force_colour=True))
            case "yaml":
                self._formats().write_yaml(data, self.out)
            case "yamlc":
                self._formats().write_yamlc(data, self.console(force_colour=True))
            case "tsv":
                self._formats().write_tsv(data, () if queried else answer.columns, self.out)
            case "table":
                console = self.console()
                console.print(self._formats().any_table(console, data) if queried else answer.shown(console))

    @staticmethod
    def _formats() -> Any:
        from runfold.cli.render import formats

        return formats


def query(expression: str, data: Any) -> Any:
    """What the JMESPath ``expression`` finds in ``data``.

    Raises:
        Invalid: it is no JMESPath expression, or does not fit the data; names the position where that is known.
    """
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return cast("Any", jmespath).search(expression, data)
    except JMESPathError as error:
        raise _bad_query(expression, error) from None


def _bad_query(expression: str, error: Exception) -> Invalid:
    facts: dict[str, Any] = {"field": "--query", "limit": "a JMESPath expression", "size": expression[:200]}
    position = getattr(error, "lex_position", None)
    if position is None:
        return Invalid(f"--query does not fit the answer: {_one_line(error)}", facts=facts)
    facts["position"] = position
    near = expression[position : position + 20] if position >= 0 else ""
    where = f"at position {position + 1}, near {near!r}" if near else "at its end"
    return Invalid(f"--query is no JMESPath expression: wrong {where} of {expression[:200]!r}", facts=facts)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
