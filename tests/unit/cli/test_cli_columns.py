"""Tables fit the terminal."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from runfold.cli.render.columns import Column, fit, table

COLUMNS = (
    Column("STATUS"),
    Column("RUN"),
    Column("NAME", drop=1, cells_min=8),
    Column("WHERE", drop=2),
)


def test_everything_is_shown_where_there_is_room() -> None:
    assert fit(COLUMNS, [11, 36, 20, 10], 120) == {0: 11, 1: 36, 2: 20, 3: 10}


def test_what_may_be_cut_is_cut_before_anything_is_left_out() -> None:
    assert fit(COLUMNS, [11, 36, 20, 10], 75) == {0: 11, 1: 36, 2: 12, 3: 10}


def test_the_highest_goes_first() -> None:
    assert fit(COLUMNS, [11, 36, 20, 10], 62) == {0: 11, 1: 36, 2: 11}
    assert fit(COLUMNS, [11, 36, 20, 10], 50) == {0: 11, 1: 36}


def test_what_is_never_left_out_stays_on_the_narrowest_terminal() -> None:
    assert fit(COLUMNS, [11, 36, 20, 10], 10) == {0: 11, 1: 36}


@given(
    st.lists(st.integers(1, 60), min_size=4, max_size=4),
    st.integers(1, 200),
)
def test_widths_never_exceed_the_terminal_unless_nothing_is_left_to_drop(
    natural: list[int], width: int
) -> None:
    natural = [max(cells, len(column.title)) for cells, column in zip(natural, COLUMNS, strict=True)]
    widths = fit(COLUMNS, natural, width)
    total = sum(widths.values()) + 2 * (len(widths) - 1)

    assert total <= width or set(widths) == {0, 1}
    assert all(cells <= natural[index] for index, cells in widths.items())
    assert {0, 1} <= set(widths)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width)
    rows = [[Text("✓ Completed"), Text("r" * 20), Text("東京" * 30), Text("where")] for _ in range(3)]

    console.print(table(console, COLUMNS, rows))

    assert all(Text(line).cell_len <= width for line in out.getvalue().splitlines())
