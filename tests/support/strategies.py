"""Hypothesis strategies for every command and event, made from their fields' types alone; and for damaged bytes."""

from __future__ import annotations

from enum import EnumType
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from hypothesis import strategies as st
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import fields

TEXTS: Final = st.text(max_size=8)
INTEGERS: Final = st.integers(-(2**63), 2**63 - 1)
FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False)
JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)

_LEAVES: Final[dict[Any, st.SearchStrategy[Any]]] = {
    str: TEXTS,
    int: INTEGERS,
    float: FLOATS,
    bool: st.booleans(),
    bytes: st.binary(max_size=8),
    type(None): st.none(),
    UUID: st.uuids(),
    UnsetType: st.just(UNSET),
    Any: JSON_VALUES,
}


@st.composite
def damaged(draw: st.DrawFn, body: bytes, changes_max: int) -> bytearray:
    """``body`` with up to ``changes_max`` bytes put in at random places."""
    found = bytearray(body)
    for _ in range(draw(st.integers(1, changes_max))):
        found[draw(st.integers(0, len(found) - 1))] = draw(st.integers(0, 255))
    return found


def structs(kind: type[Struct], raw: st.SearchStrategy[Raw] | None = None) -> st.SearchStrategy[Any]:
    """Any value of a Struct; ``raw`` gives the bytes of its raw fields."""
    hints = get_type_hints(kind)
    leaves = _LEAVES | ({} if raw is None else {Raw: raw})
    return st.builds(kind, **{field.name: _of(hints[field.name], leaves) for field in fields(kind)})


def _of(kind: Any, leaves: dict[Any, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    if kind in leaves:
        return leaves[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of([_of(argument, leaves) for argument in arguments])
    if origin is dict:
        return st.dictionaries(_of(arguments[0], leaves), _of(arguments[1], leaves), max_size=4)
    if origin is tuple:
        parts = [_of(argument, leaves) for argument in arguments if argument is not Ellipsis]
        return st.lists(parts[0], max_size=4).map(tuple) if Ellipsis in arguments else st.tuples(*parts)
    if isinstance(kind, EnumType):
        return st.sampled_from(list[Any](kind))
    return structs(kind)
