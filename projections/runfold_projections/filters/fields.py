"""What a filter, an order or a list of fields can name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct

AttributeType = Literal["text", "number", "boolean", "time", "status"]
Group = Literal["attribute", "tag", "property", "param", "metric"]
Aggregate = Literal["latest", "min", "max", "count"]

ATTRIBUTES: Final[dict[str, AttributeType]] = {
    "run_id": "text",
    "experiment": "text",
    "number": "number",
    "status": "status",
    "status_details": "text",
    "name": "text",
    "display_name": "text",
    "description": "text",
    "created_at": "time",
    "started_at": "time",
    "ended_at": "time",
    "updated_at": "time",
    "duration_s": "number",
    "created_by": "text",
    "parent_run_id": "text",
    "root_run_id": "text",
    "run_type": "text",
    "target": "text",
    "cancel_reason": "text",
    "archived": "boolean",
    "erased": "boolean",
    "rejections": "number",
    "lost_commands": "number",
    "lost_values": "number",
}
GROUPS: Final[dict[str, Group]] = {
    "tags": "tag",
    "properties": "property",
    "params": "param",
    "metrics": "metric",
}
AGGREGATES: Final[dict[str, Aggregate]] = {"latest": "latest", "min": "min", "max": "max", "count": "count"}


class Field(Struct, frozen=True):
    """One thing of a run: an attribute by its name, or a key of a group."""

    group: Group
    key: str
    aggregate: Aggregate = "latest"  # of a metric

    @property
    def attribute_type(self) -> AttributeType | None:
        """The type of an attribute; None for keys of groups, whose values have any type."""
        return ATTRIBUTES[self.key] if self.group == "attribute" else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` when something known is near, else nothing."""
    near = difflib.get_close_matches(word[:80], list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
