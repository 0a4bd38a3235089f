"""The audit trail of a run for people: who did what, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.text import Text

from runfold.cli.render.columns import Column, table
from runfold.cli.render.statuses import is_plain
from runfold.cli.render.text import local_time, styled
from runfold_projections.model import HistoryEntry

_COLUMNS: Final = (
    Column("#", right=True),
    Column("WHEN", drop=1),
    Column("DOOR", drop=2),
    Column("WHO, WHAT", wrap=True, cells_min=30),
)
TSV_COLUMNS: Final = ("stream_seq", "recorded_at", "actor", "actor_source", "door", "type", "words")
REJECTED: Final = "run.command_rejected"


def history_table(console: Console, entries: Sequence[HistoryEntry]) -> RenderableType:
    """One line per event; refusals stand out and name both values."""
    if not entries:
        return Text("no events", style="dim")
    plain = is_plain(console)
    return table(console, _COLUMNS, [_row(entry, plain=plain) for entry in entries])


def _row(entry: HistoryEntry, *, plain: bool) -> list[Text]:
    return [
        Text(str(entry.stream_seq), style="dim"),
        Text(local_time(entry.recorded_at), style="dim"),
        styled(entry.door, "dim"),
        _what(entry, plain=plain),
    ]


def _what(entry: HistoryEntry, *, plain: bool) -> Text:
    words = styled(entry.words)
    if entry.type == REJECTED:
        words = Text.assemble(("x " if plain else "✗ ", "bold red"), (words.plain, "red"))
    return words


def refused_values(entry: HistoryEntry) -> tuple[Any, Any] | None:
    """The value that stands and the one that was attempted, of a refusal that names both."""
    facts: dict[str, Any] = (entry.body or {}).get("facts") or {}
    return (facts["current"], facts["attempted"]) if {"current", "attempted"} <= facts.keys() else None
