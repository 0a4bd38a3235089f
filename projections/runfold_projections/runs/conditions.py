"""What runs of a list must fulfil, as a condition on a run's row ``r``."""

from __future__ import annotations

from collections.abc import Sequence

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_projections.filters.compile import Sql, compile_filter, exists, joined
from runfold_projections.filters.nodes import Node
from runfold_projections.filters.parser import parse_filter
from runfold_projections.filters.tokens import is_storable
from runfold_projections.model import RunQuery
from runfold_projections.runs.search import search_condition


def filter_of(query: RunQuery) -> Node | None:
    """The tree of the query's filter; None when it has none.

    Raises:
        Invalid: the filter is none.
    """
    return parse_filter(query.filter) if query.filter is not None and query.filter.strip() else None


def conditions(workspace: str, query: RunQuery, node: Node | None) -> Sql:
    """Everything that a run must fulfil; ``node`` is the tree of the filter."""
    check_storable(workspace, "workspace")
    parts = [Sql("r.workspace = ?", workspace)]
    parts.extend(_scope(workspace, query))
    for column, value in (("experiment", query.experiment), ("run_type", query.run_type)):
        if value is not None:
            parts.append(Sql(f"r.{column} = ?", check_storable(value, column)))
    if query.status:
        marks = ", ".join("?" for _ in query.status)
        statuses = [check_storable(str(status), "status") for status in query.status]
        parts.append(Sql(f"r.status IN ({marks})", *statuses))
    if not query.include_archived:
        parts.append(Sql("r.archived = 0"))
    parts.extend(_labels("tag", "tags", query.tags, query.tag_keys))
    parts.extend(_labels("property", "properties", query.properties, query.property_keys))
    if node is not None:
        parts.append(compile_filter(node))
    searched = None if query.search is None else search_condition(query.search)
    if searched is not None:
        parts.append(searched)
    return joined("AND", parts)


def check_storable(value: str, field: str) -> str:
    """A text that the store can be asked for."""
    if not is_storable(value):
        raise Invalid(
            f"{field} holds a NUL character or a lone surrogate",
            facts={"field": field, "limit": "UTF-8 without NUL"},
        )
    return value


def _scope(workspace: str, query: RunQuery) -> list[Sql]:
    """Where in the tree: below a run, or at the top, or anywhere."""
    parts: list[Sql] = []
    if query.parent_run_id is not None:
        parts.append(Sql("r.parent_run_id = ?", check_storable(query.parent_run_id, "parent_run_id")))
    if query.ancestor_run_id is not None:
        below = "SELECT a.run_key FROM {p}ancestor a WHERE a.workspace = ? AND a.ancestor_run_id = ?"
        ancestor = check_storable(query.ancestor_run_id, "ancestor_run_id")
        parts.append(Sql(f"r.run_key IN ({below})", workspace, ancestor))
    if not parts and not query.include_children:
        parts.append(Sql("r.parent_run_id IS NULL"))
    return parts


def _labels(kind: str, field: str, values: dict[str, str | None], keys: Sequence[str]) -> list[Sql]:
    if len(values) + len(keys) > limits.FILTER_NODES_MAX:
        raise LimitExceeded(
            f"{field}: at most {limits.FILTER_NODES_MAX} keys",
            facts={"field": field, "limit": limits.FILTER_NODES_MAX, "size": len(values) + len(keys)},
        )
    head = "SELECT 1 FROM {p}label x WHERE x.run_key = r.run_key AND x.kind = ? AND x.key = ?"
    parts: list[Sql] = []
    for key, value in values.items():
        check_storable(key, field)
        if key in keys:
            continue
        if value is None:
            parts.append(exists(Sql(f"{head} AND x.text IS NULL", kind, key)))
        else:
            parts.append(exists(Sql(f"{head} AND x.text = ?", kind, key, check_storable(value, field))))
    parts.extend(exists(Sql(head, kind, check_storable(key, field))) for key in keys)
    return parts
