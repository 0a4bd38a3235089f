"""Compile a filter's tree to SQL over the tables of ``runs``. Every value of the user becomes a parameter.

Conditions are true or false, never null, so that ``not`` means what it says: a comparison with something that a run
does not have is false. Placeholders are plain ``?``, ``{p}`` stands for the tables' prefix, ``r`` is the run's row.
What databases spell differently stands in the words of :mod:`runfold_projections.spelling`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from runfold_projections.filters.fields import Field
from runfold_projections.filters.nodes import (
    And,
    Compare,
    Has,
    In,
    IsNull,
    Like,
    Literal_,
    Node,
    Not,
    Or,
)
from runfold_projections.spelling import Pattern

DURATION: Final = "(r.ended_at - r.started_at)"
_METRIC_COLUMNS: Final = {"min": "min", "max": "max", "count": "count"}


class Sql:
    """SQL text with its parameters in order."""

    __slots__ = ("parameters", "text")

    def __init__(self, text: str, *parameters: Any) -> None:
        self.text = text
        self.parameters = list(parameters)


def joined(word: str, parts: list[Sql]) -> Sql:
    """Parts in parentheses, joined by ``and`` or ``or``."""
    out = Sql(f"({f' {word} '.join(part.text for part in parts)})")
    for part in parts:
        out.parameters.extend(part.parameters)
    return out


def compile_filter(node: Node) -> Sql:
    """A condition on the run's row ``r``."""
    if isinstance(node, And):
        return joined("AND", [compile_filter(item) for item in node.items])
    if isinstance(node, Or):
        return joined("OR", [compile_filter(item) for item in node.items])
    if isinstance(node, Not):
        inner = compile_filter(node.item)
        return Sql(f"(NOT {inner.text})", *inner.parameters)
    return _leaf(node)


def attribute_column(name: str) -> str:
    """The expression of an attribute. ``name`` is one of ``fields.ATTRIBUTES``, never a text of the user."""
    return DURATION if name == "duration_s" else f"r.{name}"


def _leaf(node: Compare | Like | In | IsNull | Has) -> Sql:
    if isinstance(node, Has):
        return _exists(node.field, Sql(""))
    if isinstance(node, IsNull):
        present = _present(node.field)
        return present if node.negated else Sql(f"(NOT {present.text})", *present.parameters)
    if isinstance(node, Compare):
        return _matching(node.field, partial(_compare, node), node.value)
    if isinstance(node, Like):
        return _matching(node.field, partial(_like, node), "")
    return _in(node)


def _present(field: Field) -> Sql:
    if field.group == "attribute":
        return Sql(f"({attribute_column(field.key)} IS NOT NULL)")
    if field.group == "metric" and field.aggregate != "latest":
        return _exists(field, Sql(f" AND x.{_METRIC_COLUMNS[field.aggregate]} IS NOT NULL"))
    return _exists(field, Sql(" AND (x.number IS NOT NULL OR x.text IS NOT NULL)"))


def _matching(field: Field, test: Callable[[str], Sql], value: Literal_) -> Sql:
    """``test`` of the column that holds what ``value`` is compared with; false where that is null."""
    if field.group == "attribute":
        column = attribute_column(field.key)
        tested = test(column)
        return Sql(f"({column} IS NOT NULL AND {tested.text})", *tested.parameters)
    column = f"x.{value_column(field, value)}"
    tested = test(column)
    return _exists(field, Sql(f" AND {column} IS NOT NULL AND {tested.text}", *tested.parameters))


def _in(node: In) -> Sql:
    """One test per column that the values are compared with; with ``not``, the run must have some value."""
    columns: dict[str, list[Literal_]] = {}
    for value in node.values:
        column = "" if node.field.group == "attribute" else value_column(node.field, value)
        columns.setdefault(column, []).append(value)
    parts = [_matching(node.field, partial(_in_list, values), values[0]) for values in columns.values()]
    found = joined("OR", parts)
    if not node.negated:
        return found
    present = _present(node.field)
    return joined("AND", [present, Sql(f"(NOT {found.text})", *found.parameters)])


def _exists(field: Field, condition: Sql) -> Sql:
    """A condition on the label or metric row ``x`` of the run."""
    if field.group == "metric":
        head = "SELECT 1 FROM {p}metric x WHERE x.run_key = r.run_key AND {is x.name ?}"
        return exists(Sql(f"{head}{condition.text}", field.key, *condition.parameters))
    head = "SELECT 1 FROM {p}label x WHERE x.run_key = r.run_key AND x.kind = ? AND x.key = ?"
    return exists(Sql(f"{head}{condition.text}", field.group, field.key, *condition.parameters))


def exists(rows: Sql) -> Sql:
    """True where there are rows, which is asked run by run.

    The offset keeps Postgres from making a join of it: it takes kind, key and text for independent of each other, and
    so a tag that is on every tenth run for one that leads to a single row.
    """
    return Sql(f"(EXISTS ({rows.text} LIMIT 1 OFFSET 0))", *rows.parameters)


def value_test(node: Compare | In, column: str) -> Sql:
    """The test of a comparison on the column that its values are compared with."""
    return _compare(node, column) if isinstance(node, Compare) else _in_list(list(node.values), column)


def value_column(field: Field, value: Literal_) -> str:
    """The column of a label or metric that holds what ``value`` is compared with."""
    if field.group == "metric" and field.aggregate != "latest":
        return _METRIC_COLUMNS[field.aggregate]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number else "text"


def _compare(node: Compare, column: str) -> Sql:
    value = _bound(column, node.value)
    if node.operator == "=" and column == "x.text":
        return Sql("{is x.text ?}", value)
    return Sql(f"({column} {node.operator} ?)", value)


def _in_list(values: list[Literal_], column: str) -> Sql:
    marks = ", ".join("?" for _ in values)
    return Sql(f"({column} IN ({marks}))", *(_bound(column, value) for value in values))


def _bound(column: str, value: Literal_) -> Any:
    """A boolean is 0 or 1 in a run's row, and the text true or false in a label or metric."""
    if isinstance(value, bool):
        return int(value) if column.startswith("r.") else "true" if value else "false"
    return value


def _like(node: Like, column: str) -> Sql:
    word = "ilike" if node.ignore_case else "like"
    test = Sql(f"({{{word} {column} ?}})", Pattern(node.pattern, node.ignore_case))
    return Sql(f"(NOT {test.text})", *test.parameters) if node.negated else test
