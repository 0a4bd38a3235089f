"""The comparison as tables: for people on a terminal, as Markdown, and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.report import figure
from benchmarks.rivals import rows as r
from benchmarks.rivals.rows import Row

_RIVALS: Final = (r.MLFLOW, r.FASTTRACKML, r.FASTTRACKML_ON_A_FILE)
_SHORT: Final = {
    r.MLFLOW: "x MLflow",
    r.FASTTRACKML: "x FastTrackML, Postgres",
    r.FASTTRACKML_ON_A_FILE: "x FastTrackML, SQLite",
}
_LEFT: Final = {"side", "what", "ours", "against", "aim"}
Cells = list[str]


def summary(rows: Sequence[Row]) -> tuple[Cells, list[Cells]]:
    """Every aim: by how much, and whether it holds."""
    heads = ["what", "ours", "against", "times", "aim"]
    cells: list[Cells] = []
    for row in rows:
        for aim in row.aims:
            times = row.times(aim.ours, aim.theirs)
            bound = "ahead" if aim.times == r.AHEAD else f"≥ {aim.times:g}"
            held = "✓" if times >= aim.times else "✗"
            cells.append([row.name, aim.ours, aim.theirs, f"{times:.3g}", f"{bound} {held}"])
    return heads, cells


def details(row: Row) -> tuple[Cells, list[Cells]]:
    """All sides of one row."""
    rivals = [rival for rival in _RIVALS if rival in row.values]
    heads = ["side", "min", "median", "max", *(_SHORT[rival] for rival in rivals)]
    if row.cpu_us:
        heads.append("server's CPU, µs")
    cells: list[Cells] = []
    for side, values in row.values.items():
        line = [side, figure(min(values)), figure(row.median(side)), figure(max(values))]
        line += ["" if side == rival else f"{row.times(side, rival):.3g}" for rival in rivals]
        if row.cpu_us:
            line.append(figure(sorted(row.cpu_us[side])[len(row.cpu_us[side]) // 2]))
        cells.append(line)
    return heads, cells


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print all tables."""
    _print(console, "In short", "", summary(rows))
    for row in rows:
        _print(console, f"{row.name}, {row.unit}", row.about, details(row))


def _print(console: Console, title: str, about: str, table: tuple[Cells, list[Cells]]) -> None:
    heads, lines = table
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        shown.add_column(head, justify="left" if head in _LEFT else "right", overflow="fold")
    for line in lines:
        shown.add_row(*line)
    console.print()
    console.print(Text(title, style="bold"))
    if about:
        console.print(Text(about, style="dim"))
    console.print(shown)


def markdown(facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """For docs/benchmarks.md."""
    lines = [
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB · {facts['system']} · "
        f"Python {facts['python']} · SQLite {facts['sqlite']} · Postgres {facts['postgres']} · MLflow "
        f"{facts['mlflow']}, {facts['mlflow_workers']} · FastTrackML {facts['fasttrackml']} · commit "
        f"`{facts['commit']}` · {facts['measured_at']} · load of the machine before: {facts['load_before']}",
        "",
        *_table(summary(rows)),
    ]
    for row in rows:
        lines += ["", f"### {row.name}, {row.unit}", "", row.about, "", *_table(details(row))]
    return "\n".join(lines) + "\n"


def _table(table: tuple[Cells, list[Cells]]) -> list[str]:
    heads, lines = table
    marks = ["---" if head in _LEFT else "--:" for head in heads]
    return [
        f"| {' | '.join(heads)} |",
        f"|{'|'.join(marks)}|",
        *(f"| {' | '.join(line)} |" for line in lines),
    ]


def as_data(facts: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """What the JSON file holds."""
    return {
        "benchmark": "rivals",
        "machine": dict(facts),
        "groups": [
            {
                "title": row.name,
                "about": row.about,
                "unit": row.unit,
                "rows": [
                    {"name": side, "values": list(values), "median": row.median(side)}
                    | ({"cpu_us": list(row.cpu_us[side])} if row.cpu_us else {})
                    for side, values in row.values.items()
                ],
                "aims": [
                    {
                        "ours": aim.ours,
                        "against": aim.theirs,
                        "aim": aim.times,
                        "times": row.times(aim.ours, aim.theirs),
                        "holds": row.times(aim.ours, aim.theirs) >= aim.times,
                    }
                    for aim in row.aims
                ],
            }
            for row in rows
        ],
    }
