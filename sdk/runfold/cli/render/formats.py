"""Output formats for data of any shape: json, jsonc, yaml, tsv, and a table of whatever ``--query`` gave."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from runfold.cli.render import data as plain_data
from runfold.cli.render.columns import Column, table
from runfold.cli.render.text import ABSENT, safe, styled, value

# C1 control characters: some terminals obey them, and JSON need not escape them.
_C1: Final = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
_UNBROKEN_CELLS_MAX: Final = 36  # a run id in one piece can be copied
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_TSV: Final = _CONTROLS | {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}


def write_json(data: Any, out: TextIO) -> None:
    """Indented JSON and a line end."""
    out.write(json_text(data) + "\n")


def json_text(data: Any) -> str:
    """Indented JSON that a terminal shows as it is."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False).translate(_C1)


def write_jsonc(data: Any, console: Console) -> None:
    """Indented JSON in colours."""
    from rich.highlighter import JSONHighlighter

    text = Text(json_text(data))
    JSONHighlighter().highlight(text)
    console.print(text, soft_wrap=True)


def write_yaml(data: Any, out: TextIO) -> None:
    """YAML in the order of the fields."""
    import yaml

    yaml.safe_dump(data, out, sort_keys=False, allow_unicode=True, width=110)


def write_yamlc(data: Any, console: Console) -> None:
    """YAML in colours."""
    import io

    from rich.syntax import Syntax

    text = io.StringIO()
    write_yaml(data, text)
    drawn = Syntax(text.getvalue(), "yaml", theme="ansi_dark", background_color="default").highlight(
        text.getvalue()
    )
    drawn.rstrip()
    console.print(drawn, soft_wrap=True)


def write_tsv(data: Any, columns: Sequence[str], out: TextIO) -> None:
    """A line per row, values between tabs, no header. Absent is empty; what is nested is compact JSON.

    Without ``columns`` a dict gives its values, a list one line per item.
    """
    for row in _rows(data):
        out.write("\t".join(_tsv_cells(row, columns)) + "\n")


def _tsv_cells(row: Any, columns: Sequence[str]) -> list[str]:
    entries = plain_data.as_dict(row)
    if entries is None:
        cells = _rows(row)
    else:
        cells = [plain_data.at(entries, path) for path in columns] if columns else list(entries.values())
    return [_tsv_cell(cell) for cell in cells]


def _rows(data: Any) -> list[Any]:
    items = plain_data.as_list(data)
    return [data] if items is None else items


def _tsv_cell(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.translate(_TSV)
    return json.dumps(cell, ensure_ascii=False).translate(_C1)


def any_table(console: Console, data: Any) -> Table | Text:
    """A table of whatever a ``--query`` gave: rows of dicts or lists, one dict, or bare values. Nested: as JSON.

    Nothing is left out, since everything was asked for: long texts wrap.
    """
    rows = _rows(data)
    if not rows or data is None:
        return Text("nothing matches", style="dim")
    titles, cells = _titled(rows)
    drawn = [[_any_cell(cell) for cell in row] for row in cells]
    columns = [
        Column(safe(title), wrap=max(row[index].cell_len for row in drawn) > _UNBROKEN_CELLS_MAX)
        for index, title in enumerate(titles)
    ]
    return table(console, columns, drawn)


def _titled(rows: list[Any]) -> tuple[list[str], list[list[Any]]]:
    """Column titles and cells: keys of dicts, places in lists."""
    dicts = [entries for row in rows if (entries := plain_data.as_dict(row)) is not None]
    if len(dicts) == len(rows):
        titles = list(dict.fromkeys(key for entries in dicts for key in entries))
        return titles, [[entries.get(title) for title in titles] for entries in dicts]
    cells = [_rows(row) for row in rows]
    width = max(1, *(len(row) for row in cells))
    titles = ["result"] if width < 2 else [f"column {number}" for number in range(1, width + 1)]
    return titles, [[*row, *[None] * (width - len(row))] for row in cells]


def _any_cell(cell: Any) -> Text:
    if isinstance(cell, dict | list):
        return styled(json.dumps(cell, ensure_ascii=False))
    return Text(ABSENT, style="dim") if cell is None else styled(value(cell))
