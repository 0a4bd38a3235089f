"""How files of runs look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from runfold_projections.model import FileInfo


def files_data(files: Sequence[FileInfo]) -> list[dict[str, Any]]:
    """Files for programs."""
    return [msgspec.to_builtins(file) for file in files]


def files_table(files: Sequence[FileInfo]) -> Table:
    """Files for people: where, how large, of what type, and how their digest begins."""
    table = Table("PATH", "SIZE", "TYPE", "SHA-256", box=None, pad_edge=False, header_style="bold")
    table.columns[1].justify = "right"
    for file in files:
        table.add_row(
            Text(file.path), f"{file.size_bytes:,}", Text(file.content_type), f"{file.sha256[:12]}…"
        )
    return table


def names_shown(names: Sequence[str]) -> Text:
    """One name a line."""
    return Text("\n".join(names))
