"""Statuses on a terminal: by name, with a colour and a symbol, so that neither colour nor font is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from runfold_events.contract.statuses import Status


class Look(NamedTuple):
    """How one status is drawn; ``plain`` is for terminals that cannot show ``symbol``."""

    symbol: str
    plain: str
    style: str


LOOKS: Final[dict[Status, Look]] = {
    Status.NOT_STARTED: Look("○", "o", "dim"),
    Status.UNAPPROVED: Look("◇", "?", "yellow"),
    Status.PAUSING: Look("◑", "=", "yellow"),
    Status.PAUSED: Look("◐", "=", "yellow"),
    Status.STARTING: Look("◔", ".", "cyan"),
    Status.PROVISIONING: Look("◔", ".", "cyan"),
    Status.PREPARING: Look("◔", ".", "cyan"),
    Status.QUEUED: Look("◌", ".", "cyan"),
    Status.RUNNING: Look("▶", ">", "bold blue"),
    Status.NOT_RESPONDING: Look("!", "!", "bold magenta"),
    Status.CANCEL_REQUESTED: Look("⊖", "-", "yellow"),
    Status.FINALIZING: Look("◕", ".", "cyan"),
    Status.CANCELED: Look("⊘", "-", "yellow"),
    Status.COMPLETED: Look("✓", "+", "green"),
    Status.FAILED: Look("✗", "x", "bold red"),
}


def is_plain(console: Console) -> bool:
    """True where the terminal's encoding lacks our symbols."""
    return not console.encoding.lower().startswith("utf")


def status_text(status: Status, *, plain: bool = False) -> Text:
    """Symbol and name of a status."""
    look = LOOKS[status]
    return Text(f"{look.plain if plain else look.symbol} {status}", style=look.style)


def roll_up(counts: Mapping[Status, int], *, plain: bool = False, named: bool = True) -> Text:
    """Counts by status in one line, in the order of the enumeration; statuses without runs are left out."""
    parts: list[Text] = []
    for status in Status:
        count = counts.get(status, 0)
        if count:
            look = LOOKS[status]
            symbol = look.plain if plain else look.symbol
            parts.append(
                Text(f"{symbol} {count:,} {status}" if named else f"{symbol} {count:,}", style=look.style)
            )
    return Text("   " if named else "  ").join(parts) if parts else Text("none", style="dim")
