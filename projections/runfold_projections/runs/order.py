"""The order of a list, and where a page goes on in it.

Values come first in the asked direction, numbers before texts; what has no value comes last in both directions. Rows
that are equal so far stand in the order of their creation, in the same direction. Texts count by their first 256
characters.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from runfold_events.contract.errors import Invalid
from runfold_projections.filters.compile import Sql, attribute_column
from runfold_projections.filters.fields import Field
from runfold_projections.filters.parser import parse_field
from runfold_projections.runs.cursor import Cursor

_ALWAYS: Final = frozenset(
    {
        "run_id",
        "experiment",
        "number",
        "status",
        "created_at",
        "updated_at",
        "created_by",
        "root_run_id",
        "target",
    }
    | {"archived", "erased", "rejections", "lost_commands", "lost_values"}
)
_LONG: Final = frozenset({"name", "display_name", "description", "status_details", "cancel_reason"})
TEXT_CHARS: Final = 256


class Order(Struct, frozen=True):
    """How to sort: an optional join that brings the value, the rank and the value itself."""

    join: Sql
    rank: str  # 0 for numbers and plain values, 1 for texts, 2 for nothing; a constant where all have a value
    value: str  # of rank 0
    descending: bool
    text: str = "NULL"  # the value of rank 1, null for other ranks
    index: Sql | None = (
        None  # the tables to read along the order, as far as numbers go; None: there is no such index
    )

    @property
    def is_by_creation(self) -> bool:
        """The order of most lists."""
        return self.value == attribute_column("created_at")

    @property
    def by(self) -> str:
        """The ORDER BY terms."""
        direction = "DESC" if self.descending else "ASC"
        rank = "" if self.rank == "0" else f"{self.rank}, "
        text = "" if self.text == "NULL" else f"{self.text} {direction}, "
        return f"{rank}{self.value} {direction}, {text}r.run_key {direction}"

    def after(self, cursor: Cursor) -> Sql:
        """The further condition that a row comes after ``cursor``; without a value: after all that has its rank."""
        beyond = "<" if self.descending else ">"
        if cursor.rank == 2:
            return Sql(f"AND {self.rank} = 2 AND r.run_key {beyond} ?", cursor.run_key)
        within = f"({self.text if cursor.rank == 1 else self.value}, r.run_key) {beyond} (?, ?)"
        if self.rank == "0":
            return Sql(f"AND {within}", cursor.value, cursor.run_key)
        if cursor.value is None:
            return Sql(f"AND {self.rank} > ?", cursor.rank)
        return Sql(
            f"AND ({self.rank} > ? OR ({self.rank} = ? AND {within}))",
            cursor.rank,
            cursor.rank,
            cursor.value,
            cursor.run_key,
        )


def parse_order(workspace: str, text: str) -> Order:
    """Read ``order_by``: a field path with a leading ``-`` or a trailing `` desc`` or `` asc``.

    Raises:
        Invalid: it names no field.
    """
    path, descending = text.strip(), False
    if path.startswith("-"):
        path, descending = path[1:], True
    elif path.lower().endswith(" desc"):
        path, descending = path[:-5], True
    elif path.lower().endswith(" asc"):
        path = path[:-4]
    try:
        return _order(workspace, parse_field(path, "order_by"), descending)
    except Invalid as error:
        raise Invalid(
            error.message.replace("filter", "order_by", 1), facts={**error.facts, "field": "order_by"}
        ) from None


def _order(workspace: str, field: Field, descending: bool) -> Order:
    if field.group == "attribute":
        column = attribute_column(field.key)
        value = f"substr({column}, 1, {TEXT_CHARS})" if field.key in _LONG else column
        rank = "0" if field.key in _ALWAYS else f"(CASE WHEN {column} IS NULL THEN 2 ELSE 0 END)"
        return Order(Sql(""), rank, value, descending)
    if field.group == "metric":
        table, key, parameters = "metric", "{is o.name ?}", [field.key]
    else:
        table, key, parameters = "label", "o.kind = ? AND o.key = ?", [field.group, field.key]
    join = Sql(f"LEFT JOIN {{p}}{table} o ON o.run_key = r.run_key AND {key}", *parameters)
    if field.aggregate != "latest":
        column = f"o.{field.aggregate}"
        return Order(join, f"(CASE WHEN {column} IS NULL THEN 2 ELSE 0 END)", column, descending)
    rank = "(CASE WHEN o.number IS NOT NULL THEN 0 WHEN o.text IS NOT NULL THEN 1 ELSE 2 END)"
    text = f"(CASE WHEN o.number IS NULL THEN substr(o.text, 1, {TEXT_CHARS}) END)"
    # CROSS JOIN keeps SQLite from turning the tables round.
    index = Sql(
        f"{{p}}{table} o CROSS JOIN {{p}}run r WHERE r.run_key = o.run_key AND o.workspace = ? AND {key}",
        workspace,
        *parameters,
    )
    return Order(join, rank, "o.number", descending, text, index)
