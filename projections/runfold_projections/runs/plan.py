"""How to find a page: along an index that narrows, or along the order itself.

A database without statistics cannot know whether a tag is on three runs or on all of them. So each condition that an
index of labels or metrics answers is counted, up to a bound: the rarest one below it leads, and the rest is checked run
by run. Else, a list that is sorted by a metric or label and not narrowed otherwise is read along that index.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from runfold_projections.filters.compile import Sql, value_column, value_test
from runfold_projections.filters.fields import Field
from runfold_projections.filters.nodes import And, Compare, In, Node
from runfold_projections.model import RunQuery
from runfold_projections.projection import Row, ViewSnapshot
from runfold_projections.runs.conditions import conditions, filter_of
from runfold_projections.runs.cursor import Cursor
from runfold_projections.runs.order import Order

LEADING_RUNS_MAX: Final = 1_000  # a condition that more runs fulfil narrows too little to lead
_CANDIDATES_MAX: Final = 8


async def page_rows(
    view: ViewSnapshot, where: Sql, order: Order, cursor: Cursor | None, rows_max: int, *, along_index: bool
) -> list[Row]:
    """(run_key, rank, value) of the rows of a page, in order."""
    if order.index is None or not along_index:
        return await _sorted_rows(view, where, order, cursor, rows_max)
    rows: list[Row] = []
    if cursor is None or cursor.rank == 0:
        rows = await view.fetch_compiled(*_select_along_index(where, order, order.index, cursor, rows_max))
        cursor = Cursor(run_key=0, rank=0, value=None)
    if len(rows) < rows_max:  # numbers are at an end: what has a text or nothing comes next
        rows += await _sorted_rows(view, where, order, cursor, rows_max - len(rows))
    return rows


async def rows_below(
    view: ViewSnapshot, workspace: str, query: RunQuery, order: Order, cursor: Cursor | None, rows_max: int
) -> list[Row]:
    """The same of runs below one, in the order of their creation: a page of ten thousand costs what it holds."""
    direction, beyond = ("DESC", "<") if order.descending else ("ASC", ">")
    after = Sql("")
    if cursor is not None:
        after = Sql(f"AND (o.created_at, o.run_key) {beyond} (?, ?)", cursor.value, cursor.run_key)
    # What the ancestor asks for is fulfilled by its rows, which are the ones that are read.
    where = conditions(
        workspace, replace(query, ancestor_run_id=None, include_children=True), filter_of(query)
    )
    text = (  # parts of our own; what the user gave is bound
        "SELECT r.run_key, 0, o.created_at FROM {p}ancestor o CROSS JOIN {p}run r "  # noqa: S608
        f"WHERE o.workspace = ? AND o.ancestor_run_id = ? {after.text} AND r.run_key = o.run_key AND {where.text} "
        f"ORDER BY o.created_at {direction}, o.run_key {direction} LIMIT ?"
    )
    parameters = [workspace, query.ancestor_run_id, *after.parameters, *where.parameters, rows_max]
    return await view.fetch_compiled(text, parameters)


async def _sorted_rows(
    view: ViewSnapshot, where: Sql, order: Order, cursor: Cursor | None, rows_max: int
) -> list[Row]:
    rows = await view.fetch_compiled(*_select(where, order, cursor, rows_max))
    return [(key, rank, text if rank == 1 else value) for key, rank, value, text in rows]


async def is_narrowed(view: ViewSnapshot, workspace: str, query: RunQuery) -> bool:
    """True when the place in the tree, or the experiment, leads to few runs already."""
    places: list[Sql] = []
    if query.ancestor_run_id is not None:
        below = "SELECT 1 FROM {p}ancestor a WHERE a.workspace = ? AND a.ancestor_run_id = ?"
        places.append(Sql(below, workspace, query.ancestor_run_id))
    for column, value in (("parent_run_id", query.parent_run_id), ("experiment", query.experiment)):
        if value is not None:
            of_runs = f"SELECT 1 FROM {{p}}run r WHERE r.workspace = ? AND r.{column} = ?"  # noqa: S608  # a name of ours
            places.append(Sql(of_runs, workspace, value))
    for place in places:
        if await _count(view, place) <= LEADING_RUNS_MAX:
            return True
    return False


async def _count(view: ViewSnapshot, rows: Sql) -> int:
    """How many rows there are, one more than :data:`LEADING_RUNS_MAX` standing for all beyond."""
    text = f"SELECT count(*) FROM ({rows.text} LIMIT ?) few"  # noqa: S608  # parts of our own; values are bound
    found = await view.fetch_compiled(text, [*rows.parameters, LEADING_RUNS_MAX + 1])
    return int(found[0][0])


def _select(where: Sql, order: Order, cursor: Cursor | None, rows_max: int) -> tuple[str, list[Any]]:
    after = Sql("") if cursor is None else order.after(cursor)
    text = (  # parts of our own; what the user gave is bound
        f"SELECT r.run_key, {order.rank}, {order.value}, {order.text} "  # noqa: S608
        f"FROM {{p}}run r {order.join.text} WHERE {where.text} {after.text} ORDER BY {order.by} LIMIT ?"
    )
    return text, [*order.join.parameters, *where.parameters, *after.parameters, rows_max]


def _select_along_index(
    where: Sql, order: Order, index: Sql, cursor: Cursor | None, rows_max: int
) -> tuple[str, list[Any]]:
    direction, beyond = ("DESC", "<") if order.descending else ("ASC", ">")
    after = Sql("")
    if cursor is not None:
        after = Sql(f"AND (o.number, o.run_key) {beyond} (?, ?)", cursor.value, cursor.run_key)
    text = (  # parts of our own; what the user gave is bound
        f"SELECT r.run_key, 0, o.number FROM {index.text} "  # noqa: S608
        f"AND o.number IS NOT NULL AND {where.text} {after.text} "
        f"ORDER BY o.number {direction}, o.run_key {direction} LIMIT ?"
    )
    return text, [*index.parameters, *where.parameters, *after.parameters, rows_max]


async def leading_condition(
    view: ViewSnapshot, workspace: str, query: RunQuery, node: Node | None
) -> Sql | None:
    """A condition on ``r`` that follows from the query and leads to few runs; None when there is none."""
    best: tuple[int, Sql] | None = None
    for number, rows in enumerate(_candidates(workspace, query, node)):
        if number == _CANDIDATES_MAX:
            break
        count = await _count(view, rows)
        if count <= LEADING_RUNS_MAX and (best is None or count < best[0]):
            best = (count, Sql(f"r.run_key IN ({rows.text})", *rows.parameters))
    return None if best is None else best[1]


def _candidates(workspace: str, query: RunQuery, node: Node | None) -> Iterator[Sql]:
    """Queries for run keys, each of which every run of the answer is among."""
    for kind, values in (("tag", query.tags), ("property", query.properties)):
        for key, value in values.items():
            if value is not None and key not in (query.tag_keys if kind == "tag" else query.property_keys):
                yield _rows_of(
                    workspace, Field("tag" if kind == "tag" else "property", key), Sql("{is x.text ?}", value)
                )
    for item in node.items if isinstance(node, And) else () if node is None else (node,):
        test = _test_of(item)
        if test is not None:
            yield _rows_of(workspace, *test)


def _test_of(node: Node) -> tuple[Field, Sql] | None:
    """The field and the test on its row ``x``, where an index finds what fulfils it."""
    if isinstance(node, Compare) and node.operator != "!=":
        field, value = node.field, node.value
    elif isinstance(node, In) and not node.negated:
        field, value = node.field, node.values[0]
        if len({value_column(field, one) for one in node.values}) > 1:
            return None
    else:
        return None
    if field.group == "attribute" or field.aggregate != "latest":
        return None
    column = value_column(field, value)
    if field.group == "metric" and column != "number":
        return None
    return field, value_test(node, f"x.{column}")


def _rows_of(workspace: str, field: Field, test: Sql) -> Sql:
    if field.group == "metric":
        head = "SELECT x.run_key FROM {p}metric x WHERE x.workspace = ? AND {is x.name ?}"
        return Sql(f"{head} AND {test.text}", workspace, field.key, *test.parameters)
    head = "SELECT x.run_key FROM {p}label x WHERE x.workspace = ? AND x.kind = ? AND x.key = ?"
    return Sql(f"{head} AND {test.text}", workspace, field.group, field.key, *test.parameters)
