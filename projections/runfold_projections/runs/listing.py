"""Lists of runs: conditions, order, keyset pages, and only the fields that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_projections.filters.compile import Sql, joined
from runfold_projections.filters.fields import Field
from runfold_projections.filters.parser import parse_field
from runfold_projections.filters.tokens import check_text
from runfold_projections.model import MetricSummary, Page, RunGroups, RunQuery
from runfold_projections.projection import Row, ViewSnapshot
from runfold_projections.runs.conditions import conditions, filter_of
from runfold_projections.runs.cursor import Cursor, decode_cursor, encode_cursor, fingerprint
from runfold_projections.runs.grouping import group_field, group_query, groups_of
from runfold_projections.runs.order import parse_order
from runfold_projections.runs.plan import is_narrowed, leading_condition, page_rows, rows_below
from runfold_projections.runs.queries import COLUMNS, read_summaries, run_view, summaries
from runfold_projections.spelling import Keys

HEAVY: Final = ("description", "error", "tags", "properties", "params")
_GROUP_FIELDS: Final = {"tag": "tags", "property": "properties", "param": "params", "metric": "metrics"}


async def page(view: ViewSnapshot, workspace: str, query: RunQuery, epoch: UUID) -> Page:
    """One page of the runs that match, in order."""
    if not 1 <= query.limit <= limits.PAGE_ROWS_MAX:
        raise LimitExceeded(
            f"limit must be from 1 to {limits.PAGE_ROWS_MAX}; got {query.limit}",
            facts={"field": "limit", "limit": limits.PAGE_ROWS_MAX, "size": query.limit},
        )
    wanted = parse_fields(query.fields)
    order = parse_order(workspace, query.order_by)
    where, is_led = await _where(view, workspace, query)
    seal = fingerprint(epoch, workspace, query)
    cursor = None if query.page is None else decode_cursor(query.page, seal)
    if query.ancestor_run_id is not None and order.is_by_creation and not is_led:
        rows = await rows_below(view, workspace, query, order, cursor, query.limit + 1)
    else:
        along_index = order.index is not None and not is_led and not await is_narrowed(view, workspace, query)
        rows = await page_rows(view, where, order, cursor, query.limit + 1, along_index=along_index)
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    following = encode_cursor(Cursor(*rows[-1]), seal) if more else None
    return Page(rows=await _load(view, [row[0] for row in rows], wanted), next=following)


async def count(view: ViewSnapshot, workspace: str, query: RunQuery) -> int:
    """How many runs match."""
    where, _ = await _where(view, workspace, query)
    text = f"SELECT count(*) FROM {{p}}run r WHERE {where.text}"  # noqa: S608  # parts of our own; values are bound
    rows = await view.fetch_compiled(text, where.parameters)
    return int(rows[0][0])


async def groups(view: ViewSnapshot, workspace: str, query: RunQuery, by: str) -> RunGroups:
    """How many of the runs that match have which value of the field ``by``."""
    field = group_field(by)
    where, _ = await _where(view, workspace, query)
    asked = group_query(field, where)
    return groups_of([tuple(row) for row in await view.fetch_compiled(asked.text, asked.parameters)])


async def _where(view: ViewSnapshot, workspace: str, query: RunQuery) -> tuple[Sql, bool]:
    """All conditions, and whether one of them leads to few runs."""
    node = filter_of(query)
    where = conditions(workspace, query, node)
    leading = await leading_condition(view, workspace, query, node)
    return (where, False) if leading is None else (joined("AND", [leading, where]), True)


# Fields


class Wanted(Struct, frozen=True):
    """What to load of each run: columns of its row, keys of its groups (None: all), names of its metrics."""

    columns: tuple[str, ...]
    keys: dict[str, frozenset[str]]  # by group field; a group that is not in here is not narrowed
    metrics: tuple[str, ...] | None  # None: all


EVERYTHING: Final = Wanted(COLUMNS, {}, None)


def parse_fields(fields: Sequence[str]) -> Wanted:
    """Read ``fields``.

    Raises:
        Invalid: a path that names nothing.
        LimitExceeded: too many.
    """
    if not fields:
        return EVERYTHING
    if len(fields) > limits.FIELDS_MAX:
        raise LimitExceeded(
            f"fields may name {limits.FIELDS_MAX}; there are {len(fields)}",
            facts={"field": "fields", "limit": limits.FIELDS_MAX, "size": len(fields)},
        )
    whole: set[str] = set()
    keys: dict[str, set[str]] = {}
    for text in fields:
        check_text(text, "fields")
        if text in _WHOLE:
            whole.add(text)
            continue
        found = _field(text)
        if found.group == "attribute":
            whole.add(found.key)
        else:
            keys.setdefault(_GROUP_FIELDS[found.group], set()).add(found.key)
    columns = tuple(c for c in COLUMNS if c not in HEAVY or c in whole or c in keys)
    narrowed = {group: frozenset(names) for group, names in keys.items() if group not in whole}
    metrics = None if "metrics" in whole else tuple(sorted(narrowed.pop("metrics", ())))
    return Wanted(columns, narrowed, metrics)


_WHOLE: Final = frozenset(
    {"tags", "properties", "params", "metrics", "error", "path", "experiment_id", "workspace"}
)


def _field(text: str) -> Field:
    try:
        return parse_field(text)
    except Invalid as error:
        message = error.message.replace("filter", f"fields, {text[:80]!r}", 1)
        raise Invalid(message, facts={**error.facts, "field": "fields"}) from None


async def _load(view: ViewSnapshot, run_keys: Sequence[int], wanted: Wanted) -> list[Any]:
    """The views of runs, in the order of their keys."""
    if not run_keys:
        return []
    columns = ", ".join(wanted.columns)
    text = f"SELECT {columns} FROM {{p}}run WHERE {{among run_key ?}}"  # noqa: S608  # names of COLUMNS
    rows = await view.fetch_compiled(text, [Keys(run_keys)])
    by_key = {row[0]: row for row in rows}
    metrics = await _metrics(view, run_keys, wanted)
    return [_view(by_key[key], metrics.get(key, {}), wanted) for key in run_keys]


async def _metrics(
    view: ViewSnapshot, run_keys: Sequence[int], wanted: Wanted
) -> dict[int, dict[str, MetricSummary]]:
    if wanted.metrics is None:
        return await read_summaries(view, await view.fetch_compiled(_ANSWERS, [Keys(run_keys)]))
    named = [(key, name) for key in run_keys for name in wanted.metrics]
    return summaries(await view.fetch_many("metric_of_run", named))


_ANSWERS: Final = (
    "SELECT run_key, count(*) - count(answer), {joined answer name} "
    "FROM {p}metric WHERE {among run_key ?} GROUP BY run_key"
)


def _view(row: Row, metrics: dict[str, MetricSummary], wanted: Wanted) -> Any:
    found = run_view(row, metrics, wanted.columns)
    for group, keys in wanted.keys.items():
        values = getattr(found, group)
        for key in [key for key in values if key not in keys]:
            del values[key]  # decoded for this answer alone
    return found
