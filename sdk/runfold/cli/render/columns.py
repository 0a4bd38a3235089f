"""Tables that fit the terminal: what matters least is shortened, then left out; ids and statuses never are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP: Final = 2


class Column(NamedTuple):
    """One column. ``drop`` 0 is never left out; of the others the highest goes first."""

    title: str
    drop: int = 0
    right: bool = False
    cells_min: int = 0  # may be cut to this many cells; 0: never cut
    wrap: bool = False  # takes what width is left and wraps


def table(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> Table:
    """A table of ``rows`` with the columns that ``console`` has room for."""
    natural = [
        max([len(column.title), *(row[index].cell_len for row in rows)])
        for index, column in enumerate(columns)
    ]
    widths = fit(columns, natural, console.width)
    drawn = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for index, width in widths.items():
        column = columns[index]
        drawn.add_column(
            column.title,
            justify="right" if column.right else "left",
            width=width,
            no_wrap=not column.wrap,
            overflow="fold" if column.wrap else "ellipsis",
        )
    for row in rows:
        drawn.add_row(*(row[index] for index in widths))
    return drawn


def fit(columns: Sequence[Column], natural: Sequence[int], width: int) -> dict[int, int]:
    """Cells for each column that is shown, by its index: the natural widths where they fit."""
    shown = list(range(len(columns)))
    while True:
        least = {index: _least(columns[index], natural[index]) for index in shown}
        droppable = [index for index in shown if columns[index].drop]
        if _total(least) <= width or not droppable:
            return _widen(least, natural, width)
        shown.remove(max(droppable, key=lambda index: columns[index].drop))


def _least(column: Column, natural: int) -> int:
    least = column.cells_min or (20 if column.wrap else natural)
    return min(natural, max(least, len(column.title)))


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _widen(widths: dict[int, int], natural: Sequence[int], width: int) -> dict[int, int]:
    """Give what is left over to the columns that were cut, a cell at a time, so that they grow evenly."""
    room = width - _total(widths)
    widths = dict(widths)
    while room > 0:
        cut = [index for index, cells in widths.items() if cells < natural[index]]
        if not cut:
            break
        for index in cut[:room]:
            widths[index] += 1
        room -= len(cut[:room])
    return widths
