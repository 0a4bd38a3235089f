"""What a checker found: violations by kind, and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

Figure = int | float | Sequence[int | float]

KEPT_OF_KIND_MAX: Final = 20

# Kinds of violations
HOLE: Final = "hole"  # positions of a partition are not dense
PLACE: Final = "place"  # an event is not where its stream belongs
CHAIN: Final = "chain"  # bytes are not what they were when they were recorded
DUPLICATE: Final = "duplicate"  # a command or a record took effect more than once
ORDER: Final = "order"  # a writer's commands took effect in another order than it sent them
LOST: Final = "lost"  # acknowledged and not stored
MISSING: Final = "missing"  # not stored although a later command of its writer was
UNSENT: Final = "unsent"  # stored and sent by nobody
EFFECT: Final = "effect"  # stored as something else than what was sent
ANSWER: Final = "answer"  # an answer named an event that is not there
REFUSED: Final = "refused"  # by the ledger and without an event, although it broke no rule
LOG: Final = "log"  # the command log and the store disagree
TOPIC: Final = "topic"  # the events topic and the store disagree
VIEW: Final = "view"  # a view is not what a replay gives
DOUBLED: Final = "doubled"  # a view counts more than there is
PROCESS: Final = "process"  # a role did not end well when it was told to
JOURNAL: Final = "journal"  # the load itself did not do what it should


class Findings:
    """Collects; knows nothing of what it collects."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.kept: dict[str, list[str]] = {}
        self.figures: dict[str, Any] = {}

    def add(self, kind: str, what: str) -> None:
        """One violation."""
        self.counts[kind] += 1
        kept = self.kept.setdefault(kind, [])
        if len(kept) < KEPT_OF_KIND_MAX:
            kept.append(what)

    @property
    def is_clean(self) -> bool:
        """Nothing is wrong."""
        return not self.counts

    def render(self) -> str:
        """For people: the figures, then what is wrong."""
        width = max(map(len, self.figures), default=0)
        lines = [f"{name:<{width}}  {_shown(value)}" for name, value in self.figures.items()]
        lines.append("no violation" if self.is_clean else "VIOLATIONS")
        for kind, count in sorted(self.counts.items()):
            lines.append(f"{kind}: {count}")
            lines += [f"  {what}" for what in self.kept[kind][:5]]
        return "\n".join(lines)

    def to_json(self) -> bytes:
        """For programs."""
        found = {"violations": dict(self.counts), "examples": self.kept, "figures": self.figures}
        return msgspec.json.format(msgspec.json.encode(found), indent=2)


def _shown(value: Figure) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return " ".join(map(_shown, value))
