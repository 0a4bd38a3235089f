"""The report: tables for people, JSON for comparisons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.measure import Group, Measured


def show(console: Console, facts: dict[str, Any], groups: Sequence[Group]) -> None:
    """Print machine and tables."""
    console.print(Text(f"{facts['processor']}, {facts['cores']} cores, {facts['system']}", style="dim"))
    console.print(
        Text(f"Python {facts['python']}, SQLite {facts['sqlite']}, commit {facts['commit']}", style="dim")
    )
    for group in groups:
        console.print()
        console.print(Text(group.title, style="bold"))
        console.print(Text(group.about, style="dim"))
        console.print(_table(group.rows))


def _table(rows: Sequence[Measured]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("what", "unit", "min", "median", "max", "raw", "ratio", "aim"):
        table.add_column(title, justify="left" if title in {"what", "unit"} else "right", overflow="fold")
    for row in rows:
        table.add_row(
            Text(row.name),
            row.unit,
            *(figure(value) for value in (row.low, row.median, row.high)),
            figure(row.raw),
            "" if row.ratio is None else f"{row.ratio:.3g} x",
            _aim(row),
        )
    return table


def _aim(row: Measured) -> Text:
    if row.aim is None:
        return Text("")
    bound = f"{'≤' if row.at_most else '≥'} {figure(row.aim)}"
    return Text(f"{bound} {'✓' if row.holds else '✗'}", style="green" if row.holds else "red")


def figure(value: float | None) -> str:
    """Three significant digits; thousands with commas."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_data(name: str, facts: dict[str, Any], groups: Sequence[Group]) -> dict[str, Any]:
    """What the JSON file of a benchmark holds."""
    return {
        "benchmark": name,
        "machine": facts,
        "groups": [
            {"title": group.title, "about": group.about, "rows": [_row_data(row) for row in group.rows]}
            for group in groups
        ],
    }


def _row_data(row: Measured) -> dict[str, Any]:
    return {
        "name": row.name,
        "unit": row.unit,
        "min": row.low,
        "median": row.median,
        "max": row.high,
        "values": list(row.values),
        "raw": row.raw,
        "raw_name": row.raw_name,
        "ratio": row.ratio,
        "aim": row.aim,
        "holds": row.holds,
    }


def write(path: Path, data: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", "utf-8")
    fresh.replace(path)


def markdown(facts: dict[str, Any], groups: Sequence[Group]) -> str:
    """The same as Markdown, for docs/benchmarks.md."""
    lines = [
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB · {facts['system']} · "
        f"Python {facts['python']} · SQLite {facts['sqlite']} · commit `{facts['commit']}` · {facts['measured_at']} · "
        f"load of the machine before: {facts['load_before']}",
    ]
    for group in groups:
        lines += ["", f"### {group.title}", "", group.about, ""]
        lines += [
            "| what | unit | min | median | max | raw limit | ratio | aim |",
            "|---|---|--:|--:|--:|--:|--:|---|",
        ]
        for row in group.rows:
            raw = f"{figure(row.raw)} ({row.raw_name})" if row.raw is not None else ""
            ratio = "" if row.ratio is None else f"{row.ratio:.3g} x"
            cells = [
                row.name,
                row.unit,
                figure(row.low),
                figure(row.median),
                figure(row.high),
                raw,
                ratio,
                _aim(row).plain,
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
