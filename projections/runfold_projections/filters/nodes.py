"""The tree of a filter."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from runfold_projections.filters.fields import Field

Literal_ = bool | int | float | str
Operator = Literal["=", "!=", "<", "<=", ">", ">="]


class Compare(Struct, frozen=True):
    """``field op value``; false when the run has no such value. Times are UTC µs, durations µs."""

    field: Field
    operator: Operator
    value: Literal_


class Like(Struct, frozen=True):
    """``field [not] like pattern``; false when the run has no such text."""

    field: Field
    pattern: str
    ignore_case: bool = False
    negated: bool = False


class In(Struct, frozen=True):
    """``field [not] in (…)``; false when the run has no such value."""

    field: Field
    values: tuple[Literal_, ...]
    negated: bool = False


class IsNull(Struct, frozen=True):
    """``field is [not] null``: absent or null."""

    field: Field
    negated: bool = False


class Has(Struct, frozen=True):
    """``has(field)``: the key is there, also with a null value."""

    field: Field


class Not(Struct, frozen=True):
    item: Node


class And(Struct, frozen=True):
    items: tuple[Node, ...]


class Or(Struct, frozen=True):
    items: tuple[Node, ...]


Node = Compare | Like | In | IsNull | Has | Not | And | Or
