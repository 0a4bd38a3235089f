"""A second, tiny implementation of the filter language: expressions as data, their text, and what they say of a run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from msgspec import Struct

from runfold_projections.model import RunView

OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}
_KEYS: Final = ("a", "b c", "true", 'q"x')
_GROUPS: Final = ("tags", "properties", "params", "metrics")
_TEXT_ATTRIBUTES: Final = ("run_id", "name", "display_name", "created_by", "target", "run_type", "experiment")
_NUMBER_ATTRIBUTES: Final = ("number", "rejections", "duration_s")

TEXTS: Final = (
    "",
    "a",
    "A",
    "ab",
    "fan",
    "Fantasy",
    "10",
    "1e1",
    "true",
    "100%",
    "x_y",
    "[a]*?",
    "é",
    'say "x"',
    "it's",
    "\\",
)
NUMBERS: Final = (0, 1, -1, 10, 0.5, -0.0, 1e300, 2**60, 2**60 + 1)


class Leaf(Struct, frozen=True):
    """One condition."""

    group: str
    key: str
    aggregate: str
    test: str  # an operator, like, ilike, in, null or has
    values: tuple[Any, ...]
    negated: bool


class Tree(Struct, frozen=True):
    """and, or, not."""

    word: str
    items: tuple[Any, ...]


Expression = Leaf | Tree


def holds(expression: Expression, run: RunView) -> bool:
    """What the expression says of a run."""
    if isinstance(expression, Tree):
        found = [holds(item, run) for item in expression.items]
        return (
            not found[0]
            if expression.word == "not"
            else all(found)
            if expression.word == "and"
            else any(found)
        )
    present, value = _lookup(expression, run)
    if expression.test == "has":
        return present
    if expression.test == "null":
        return (value is None) != expression.negated
    if value is None:
        return False
    if expression.test in OPERATORS:
        return _compare(expression, value, expression.test, expression.values[0])
    if expression.test == "in":
        found_any = any(_compare(expression, value, "=", literal) for literal in expression.values)
        return found_any != expression.negated
    text = _as_text(expression, value)
    if text is None:
        return False
    return _like(text, expression.values[0], expression.test == "ilike") != expression.negated


def _lookup(leaf: Leaf, run: RunView) -> tuple[bool, Any]:
    if leaf.group == "attribute":
        if leaf.key == "duration_s":
            ended = run.started_at is not None and run.ended_at is not None
            return ended, (run.ended_at - run.started_at).total_seconds() if ended else None  # type: ignore[operator]
        value = getattr(run, leaf.key)
        return value is not None, value
    values: dict[str, Any] = getattr(run, leaf.group)
    if leaf.key not in values:
        return False, None
    value = values[leaf.key]
    return True, getattr(value, leaf.aggregate) if leaf.group == "metrics" else value


def _compare(leaf: Leaf, value: Any, operator: str, literal: Any) -> bool:
    if isinstance(literal, bool) and not isinstance(value, bool) and leaf.group == "attribute":
        return False
    if isinstance(literal, bool):
        literal = "true" if literal else "false"
        text = ("true" if value else "false") if isinstance(value, bool) else _as_text(leaf, value)
        return text is not None and OPERATORS[operator](text, literal)
    if isinstance(literal, str):
        text = _as_text(leaf, value)
        return text is not None and OPERATORS[operator](text, literal)
    number = _as_number(value)
    return number is not None and OPERATORS[operator](number, literal)


def _as_number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", value, re.IGNORECASE):
            return None
        return int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
    return None if math.isnan(value) else value


def _as_text(leaf: Leaf, value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if leaf.group == "metrics":
        return (
            "NaN" if isinstance(value, float) and math.isnan(value) and leaf.aggregate == "latest" else None
        )
    return repr(value)


def _like(text: str, pattern: str, ignore_case: bool) -> bool:
    expression, at = "", 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\" and at + 1 < len(pattern):
            at += 1
            expression += re.escape(pattern[at])
        else:
            expression += {"%": ".*", "_": "."}.get(character, re.escape(character))
        at += 1
    flags = re.DOTALL | (re.IGNORECASE | re.ASCII if ignore_case else 0)
    if ignore_case:  # the letters A to Z alone
        text, expression = _ascii_lower(text), _ascii_lower(expression)
        flags = re.DOTALL
    return re.fullmatch(expression, text, flags) is not None


def _ascii_lower(text: str) -> str:
    return "".join(c.lower() if "A" <= c <= "Z" else c for c in text)


# Text


def text_of(expression: Expression) -> str:
    """The expression in the language, with more parentheses than needed."""
    if isinstance(expression, Tree):
        inner = [f"({text_of(item)})" for item in expression.items]
        return f"not {inner[0]}" if expression.word == "not" else f" {expression.word} ".join(inner)
    field = _field_text(expression)
    if expression.test == "has":
        return f"has({field})"
    maybe_not = "not " if expression.negated else ""
    if expression.test == "null":
        return f"{field} is {maybe_not}null"
    if expression.test == "in":
        return f"{field} {maybe_not}in ({', '.join(map(_literal, expression.values))})"
    if expression.test in OPERATORS:
        return f"{field} {expression.test} {_literal(expression.values[0])}"
    return f"{field} {maybe_not}{expression.test} {_literal(expression.values[0])}"


def _field_text(leaf: Leaf) -> str:
    if leaf.group == "attribute":
        return leaf.key
    key = leaf.key if leaf.key.isidentifier() else '"' + leaf.key.replace('"', '""') + '"'
    return f"{leaf.group}.{key}" + ("" if leaf.aggregate == "latest" else f".{leaf.aggregate}")


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


# Strategies

texts: Final = st.sampled_from(TEXTS)
numbers: Final = st.sampled_from(NUMBERS)
patterns: Final = st.lists(
    st.sampled_from(["%", "_", "a", "A", "\\", "fan", "\\%", "1", "[", "*", "é"]), max_size=4
).map("".join)


@st.composite
def leaves(draw: st.DrawFn) -> Leaf:
    """Any condition that the language allows."""
    group = draw(st.sampled_from(("attribute", *_GROUPS)))
    aggregate = "latest"
    if group == "attribute":
        kind = draw(st.sampled_from(("text", "number", "boolean")))
        key = {"text": _TEXT_ATTRIBUTES, "number": _NUMBER_ATTRIBUTES, "boolean": ("archived",)}[kind]
        name = draw(st.sampled_from(key))
    else:
        name = draw(st.sampled_from(_KEYS))
        kind = "any"
        if group == "metrics":
            aggregate = draw(st.sampled_from(("latest", "min", "max", "count")))
            kind = "any" if aggregate == "latest" else "number"
    values = {
        "text": texts,
        "number": numbers,
        "boolean": st.booleans(),
        "any": texts | numbers | st.booleans(),
    }[kind]
    tests = ["null", "in", "=", "!=", *(["<", "<=", ">", ">="] if kind != "boolean" else [])]
    tests += ["like", "ilike"] if kind in ("text", "any") else []
    tests += ["has"] if group != "attribute" else []
    test = draw(st.sampled_from(tests))
    if test in ("<", "<=", ">", ">=") and kind == "any":
        values = texts | numbers
    count = draw(st.integers(1, 3)) if test == "in" else 1
    chosen = [draw(patterns if test in ("like", "ilike") else values) for _ in range(count)]
    negated = test in ("null", "in", "like", "ilike") and draw(st.booleans())
    return Leaf(group, name, aggregate, test, tuple(chosen), negated)


def expressions() -> st.SearchStrategy[Any]:
    """Conditions joined by and, or and not."""
    return st.recursive(
        leaves(),
        lambda inner: (
            st.builds(
                Tree,
                word=st.sampled_from(("and", "or")),
                items=st.lists(inner, min_size=1, max_size=3).map(tuple),
            )
            | st.builds(Tree, word=st.just("not"), items=st.tuples(inner))
        ),
        max_leaves=6,
    )
