"""A workspace's usage for people."""

from __future__ import annotations

from typing import Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from runfold.cli.render.columns import Column, table
from runfold.cli.render.text import styled
from runfold_services.usage import Meter, Usage

_COLUMNS: Final = (
    Column("QUOTA", cells_min=10),
    Column("A SECOND", right=True),
    Column("FREE NOW", right=True),
    Column("TAKEN", right=True, drop=1),
    Column("REFUSED", right=True, drop=2),
)


def usage_table(console: Console, usage: Usage) -> RenderableType:
    """The runs, then one line per quota; without a server there are none."""
    runs = Text.assemble(styled(usage.workspace), f"  {usage.runs:,} run{'' if usage.runs == 1 else 's'}")
    if not usage.meters:
        return Group(runs, Text("no quotas: they are a server's", style="dim"))
    return Group(runs, Text(), table(console, _COLUMNS, [_row(meter) for meter in usage.meters]))


def _row(meter: Meter) -> list[Text]:
    in_debt = meter.available is not None and meter.available <= 0
    return [
        Text(meter.name.replace("_", " ")),
        Text("no bound" if meter.per_s is None else f"{meter.per_s:,.6g}"),
        Text("" if meter.available is None else f"{meter.available:,.0f}", style="red" if in_debt else ""),
        Text(f"{meter.taken:,}"),
        Text(f"{meter.refused:,}"),
    ]
