"""Runs for people: lists, the card of one run, trees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from runfold.cli.render import data as plain_data
from runfold.cli.render.columns import Column, table
from runfold.cli.render.metrics import summary_table
from runfold.cli.render.statuses import is_plain, roll_up, status_text
from runfold.cli.render.text import ABSENT, elapsed, full_time, local_time, plural, safe, styled, value
from runfold_events.contract.statuses import Status
from runfold_projections.model import ChildCounts, RunView

# The columns of `-o tsv`: these names, in this order, for ever.
TSV_COLUMNS: Final[tuple[str, ...]] = (
    "run_id",
    "experiment",
    "number",
    "status",
    "display_name",
    "parent_run_id",
    "created_at",
    "started_at",
    "ended_at",
)

_LIST: Final = (
    Column("STATUS"),
    Column("RUN"),
    Column("NAME", drop=2, cells_min=10),
    Column("EXPERIMENT", drop=3, cells_min=10),
    Column("CREATED", drop=1),
    Column("TOOK", drop=4, right=True),
)
_INSIDE: Final = 13  # cells of the key column of a card


def title(run: RunView) -> str:
    """What people call the run; empty where nobody named it. Of a child's ``parent>child`` the last part."""
    if run.display_name:
        return run.display_name
    own = (run.name or "").rpartition(">")[2]
    return "" if own == f"run_{run.run_id}" else own


def runs_table(console: Console, runs: Sequence[RunView], *, fields: tuple[str, ...] = ()) -> RenderableType:
    """One line per run; ``fields`` replace everything but status and id."""
    if not runs:
        return Text("no runs match", style="dim")
    if fields:
        return _fields_table(console, runs, fields)
    rows = [
        [
            status_text(run.status, plain=is_plain(console)),
            styled(run.run_id),
            styled(title(run)),
            styled(run.experiment),
            Text(local_time(run.created_at)),
            Text(elapsed(run.started_at, run.ended_at)),
        ]
        for run in runs
    ]
    # A column that says nothing, or the same everywhere, is left to those that differ.
    shown = [
        index
        for index, column in enumerate(_LIST)
        if not (column.title == "NAME" and not any(title(run) for run in runs))
    ]
    return table(console, [_LIST[i] for i in shown], [[row[i] for i in shown] for row in rows])


def _fields_table(console: Console, runs: Sequence[RunView], fields: tuple[str, ...]) -> RenderableType:
    asked = [field for field in fields if field not in {"run_id", "status"}]
    titles = _field_titles(asked)
    columns = [Column("RUN")]
    columns += [Column(titles[field], drop=place, cells_min=16) for place, field in enumerate(asked, 1)]
    rows = [[styled(run.run_id), *(_field_cell(run, field) for field in asked)] for run in runs]
    if "status" in fields:
        columns = [Column("STATUS"), *columns]
        rows = [
            [status_text(run.status, plain=is_plain(console)), *row]
            for run, row in zip(runs, rows, strict=True)
        ]
    return table(console, columns, rows)


def _field_titles(fields: Sequence[str]) -> dict[str, str]:
    """Fields without their group, where that leaves no two alike."""
    short = {field: field.partition(".")[2] or field.upper() for field in fields}
    taken = Counter(short.values())
    return {field: title if taken[title] == 1 else field for field, title in short.items()}


def _field_cell(run: RunView, field: str) -> Text:
    name, _, key = field.partition(".")
    found = getattr(run, name, None)
    if isinstance(found, datetime):
        return Text(local_time(found))
    if name == "metrics" and key in run.metrics:
        return Text(value(run.metrics[key].latest))
    if name == "name":
        return styled(title(run))
    data = plain_data.at(plain_data.run_data(run), field)
    return styled(value(_short(data)))


def _short(data: Any) -> Any:
    entries, items = plain_data.as_dict(data), plain_data.as_list(data)
    if entries is not None:
        plain = [f"{key}={value(item)}" for key, item in entries.items() if plain_data.as_dict(item) is None]
        return ", ".join(plain) if plain else f"{len(entries):,} in all"
    return data if items is None else ", ".join(map(str, items))


def card(console: Console, run: RunView, counts: ChildCounts) -> RenderableType:
    """Everything about one run."""
    head = status_text(run.status, plain=is_plain(console))
    if title(run):
        head = Text("  ").join([head, styled(title(run), "bold")])
    parts: list[RenderableType] = [head, "", _facts(run, counts, plain=is_plain(console))]
    for name, entries in (("tags", run.tags), ("properties", run.properties), ("params", run.params)):
        if entries:
            parts += ["", _entries(name, entries)]
    if run.metrics:
        parts += ["", Text("metrics", style="bold"), summary_table(console, run.metrics)]
    return Group(*parts)


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", width=_INSIDE, no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _facts(run: RunView, counts: ChildCounts, *, plain: bool) -> Table:
    grid = _grid()
    for key, shown in _fact_rows(run, counts, plain=plain):
        grid.add_row(key, shown)
    return grid


def _fact_rows(run: RunView, counts: ChildCounts, *, plain: bool) -> list[tuple[str, Text]]:
    rows = [
        ("run", styled(run.run_id)),
        ("experiment", styled(f"{run.experiment}  #{run.number}")),
        ("workspace", styled(run.workspace)),
    ]
    if run.parent_run_id is not None:
        rows.append(("parent", styled(run.parent_run_id)))
        if run.root_run_id != run.parent_run_id:
            rows.append(("root", styled(run.root_run_id)))
    rows += [("created", styled(f"{full_time(run.created_at)}  by {run.created_by}")), ("took", _took(run))]
    rows += _story_rows(run)
    if counts.direct:
        rows.append(("children", roll_up(counts.direct, plain=plain)))
    if counts.descendants != counts.direct:
        rows.append(("descendants", roll_up(counts.descendants, plain=plain)))
    return rows


def _took(run: RunView) -> Text:
    if run.started_at is None:
        return Text(ABSENT)
    until = f"until {local_time(run.ended_at)}" if run.ended_at else "so far"
    return Text(f"{elapsed(run.started_at, run.ended_at)}  from {local_time(run.started_at)} {until}")


def _story_rows(run: RunView) -> list[tuple[str, Text]]:
    """What only some runs have to tell."""
    rows: list[tuple[str, Text]] = []
    if run.status_details:
        rows.append(("details", styled(run.status_details)))
    if run.description:
        rows.append(("description", styled(run.description)))
    if run.error is not None:
        kind, message = run.error.error_type or run.error.code, run.error.message or "no message"
        # Azure's wording names the type of an exception itself.
        rows.append(("error", styled(message if kind in message else f"{kind}: {message}", "red")))
    if run.cancel_reason:
        rows.append(("canceled", styled(run.cancel_reason, "yellow")))
    if run.rejections:
        rows.append(("refused", Text(f"{plural(run.rejections, 'command')}; see its history", style="red")))
    if run.lost_commands:
        lost = f"{plural(run.lost_commands, 'command')} with {plural(run.lost_values, 'value')} declared lost"
        rows.append(("lost", Text(lost, style="red")))
    marks = [word for word, is_so in (("archived", run.archived), ("erased", run.erased)) if is_so]
    if marks:
        rows.append(("marks", Text(", ".join(marks), style="yellow")))
    return rows


def _entries(name: str, entries: Mapping[str, Any]) -> Group:
    width = min(32, max(_INSIDE, *(len(safe(key)) for key in entries)))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", min_width=width, max_width=width, overflow="fold")
    grid.add_column(overflow="fold")
    for key, entry in entries.items():
        grid.add_row(styled(key), Text(ABSENT, style="dim") if entry is None else styled(value(entry)))
    return Group(Text(name, style="bold"), grid)


def tree(
    console: Console,
    root: RunView,
    descendants: Sequence[RunView],
    counts: Mapping[str, Mapping[Status, int]],
    hidden: int = 0,
) -> RenderableType:
    """The run and what is under it; ``counts`` are the direct children of each run that has any."""
    plain = is_plain(console)
    drawn = Tree(_leaf(root, counts.get(root.run_id, {}), plain=plain), guide_style="dim")
    branches = {root.run_id: drawn}
    for run in descendants:
        above = branches.get(run.parent_run_id or "")
        if above is not None:
            branches[run.run_id] = above.add(_leaf(run, counts.get(run.run_id, {}), plain=plain))
    if hidden:
        drawn.add(
            Text(f"… and {plural(hidden, 'run')} more: --last {len(descendants) + hidden}", style="dim")
        )
    return Group(drawn, "", roll_up(counts.get(root.run_id, {}), plain=plain))


def _leaf(run: RunView, counts: Mapping[Status, int], *, plain: bool) -> Text:
    """What matters most comes first: a narrow terminal cuts the end."""
    parts = [status_text(run.status, plain=plain), styled(run.run_id)]
    if counts:
        parts.append(Text.assemble("[", roll_up(counts, plain=plain, named=False), "]"))
    if title(run):
        parts.append(styled(title(run), "bold"))
    if run.started_at is not None:
        parts.append(Text(elapsed(run.started_at, run.ended_at), style="dim"))
    line = Text("  ").join(parts)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line
