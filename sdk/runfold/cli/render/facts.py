"""A few named facts for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from runfold.cli.render.text import styled, value


def facts_table(facts: Mapping[str, Any]) -> Table:
    """One line per fact."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        grid.add_row(styled(name.replace("_", " ")), styled(value(fact)))
    return grid
