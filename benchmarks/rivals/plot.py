"""The comparison as one picture: a bar for each side of each row, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.report import figure
from benchmarks.rivals import rows as r
from benchmarks.rivals.rows import Row

_WIDTH: Final = 900
_LEFT: Final = 300  # where bars begin
_BAR_MAX: Final = 480
_BAR: Final = 16
_STEP: Final = 20
_TITLE: Final = 30
_GAP: Final = 18
_OURS, _MLFLOW, _FASTTRACKML = "#1f6feb", "#8b949e", "#c9a227"
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:#57606a}.t{font-weight:600;fill:#24292f}"
    "@media(prefers-color-scheme:dark){text{fill:#9da7b1}.t{fill:#e6edf3}}"
)


def svg(rows: Sequence[Row]) -> str:
    """All rows below one another. Bars of a row share a scale that begins a decade below its least value."""
    parts: list[str] = []
    y = 8
    for row in rows:
        better = "more is better" if row.is_rate else "less is better"
        parts.append(f'<text class="t" x="8" y="{y + 16}">{escape(row.name)}, {row.unit} ({better})</text>')
        y += _TITLE
        for side in row.values:
            parts += _bar(row, side, y)
            y += _STEP
        y += _GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" '
        f'role="img" aria-label="runfold beside MLflow and FastTrackML; logarithmic scales">'
    )
    return "\n".join([head, f"<style>{_STYLE}</style>", *parts, "</svg>"]) + "\n"


def _bar(row: Row, side: str, y: int) -> list[str]:
    value = row.median(side)
    width = _BAR_MAX * share(value, [row.median(each) for each in row.values])
    return [
        f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(side)}</text>',
        f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2" fill="{_colour(side)}"/>',
        f'<text x="{_LEFT + width + 6:.1f}" y="{y + 12}">{figure(value)}</text>',
    ]


def share(value: float, values: Sequence[float]) -> float:
    """How long a bar is, from a decade below the least of ``values`` (0) to the greatest (1)."""
    low, high = math.log10(min(values)) - 1, math.log10(max(values))
    return (math.log10(value) - low) / (high - low)


def _colour(side: str) -> str:
    if side.startswith("MLflow"):
        return _MLFLOW
    return _FASTTRACKML if side in {r.FASTTRACKML, r.FASTTRACKML_ON_A_FILE} else _OURS
