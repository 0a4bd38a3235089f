"""Runs that match, counted by what they have in one field."""

from __future__ import annotations

from typing import Final

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid
from runfold_events.contract.statuses import Status
from runfold_projections.filters.compile import Sql
from runfold_projections.filters.fields import Field
from runfold_projections.filters.parser import parse_field
from runfold_projections.model import RunGroup, RunGroups

ATTRIBUTES: Final = frozenset({"experiment", "status", "created_by", "target", "run_type"})


def group_field(text: str) -> Field:
    """The field that ``by`` names.

    Raises:
        Invalid: it names none, or one that runs are not grouped by.
    """
    try:
        field = parse_field(text, "by")
    except Invalid as error:
        raise Invalid(
            error.message.replace("filter", "by", 1), facts={**error.facts, "field": "by"}
        ) from None
    if field.group == "metric" or (field.group == "attribute" and field.key not in ATTRIBUTES):
        allowed = ["tags.key", "params.key", "properties.key", *sorted(ATTRIBUTES)]
        raise Invalid(
            f"runs are grouped by {', '.join(allowed)}; got {text[:80]!r}",
            facts={"field": "by", "limit": allowed, "size": text[:80]},
        )
    return field


def group_query(field: Field, where: Sql) -> Sql:
    """(value, status, count) of all groups, as a query; one group more than the bound, to see that there are more."""
    value, join = f"r.{field.key}", Sql("")
    if field.group != "attribute":
        value = "o.text"
        join = Sql(
            "LEFT JOIN {p}label o ON o.run_key = r.run_key AND o.kind = ? AND o.key = ?",
            field.group,
            field.key,
        )
    return Sql(
        f"SELECT {value}, r.status, count(*) FROM {{p}}run r {join.text} WHERE {where.text} "  # noqa: S608  # parts of our own
        f"GROUP BY {value}, r.status ORDER BY count(*) DESC, {value}, r.status LIMIT ?",
        *join.parameters,
        *where.parameters,
        limits.GROUP_ROWS_MAX + 1,
    )


def groups_of(rows: list[tuple[str | None, str, int]]) -> RunGroups:
    """The groups with the most runs first."""
    complete = len(rows) <= limits.GROUP_ROWS_MAX
    found: dict[str | None, dict[Status, int]] = {}
    for value, status, count in rows[: limits.GROUP_ROWS_MAX]:
        found.setdefault(value, {})[Status(status)] = count
    groups = [RunGroup(value=value, count=sum(runs.values()), runs=runs) for value, runs in found.items()]
    groups.sort(key=lambda group: (-group.count, group.value is None, group.value or ""))
    return RunGroups(groups=groups, complete=complete)
