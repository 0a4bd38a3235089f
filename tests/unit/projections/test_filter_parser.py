"""Texts, their trees, and errors that say where and why."""

from __future__ import annotations

from typing import Any

import pytest

from runfold_events.contract.errors import Invalid
from runfold_projections.filters.fields import Field
from runfold_projections.filters.nodes import And, Compare, Has, In, IsNull, Like, Node, Not, Or
from runfold_projections.filters.parser import parse_field, parse_filter
from runfold_projections.filters.patterns import glob, like


def attribute(name: str) -> Field:
    return Field("attribute", name)


def tag(key: str) -> Field:
    return Field("tag", key)


def metric(key: str, aggregate: Any = "latest") -> Field:
    return Field("metric", key, aggregate)


LR = Compare(Field("param", "lr"), "<", 0.01)
RUNNING = Compare(attribute("status"), "=", "Running")
TREES: list[tuple[str, Node]] = [
    ('status = "Running"', RUNNING),
    ("status='Running'", RUNNING),
    ("params.lr<.01", LR),
    ("params.lr < 1e-2", LR),
    ("number = -3", Compare(attribute("number"), "=", -3)),
    ("number == +3", Compare(attribute("number"), "=", 3)),
    ("number <> 3.0", Compare(attribute("number"), "!=", 3.0)),
    ("number > 99999999999999999999", Compare(attribute("number"), ">", 1e20)),
    ("number > 1e999", Compare(attribute("number"), ">", float("inf"))),
    ("duration_s >= 1.5", Compare(attribute("duration_s"), ">=", 1_500_000.0)),
    ("archived = TRUE", Compare(attribute("archived"), "=", True)),
    ('created_at > "1970-01-01"', Compare(attribute("created_at"), ">", 0)),
    ('created_at > "1970-01-01T02:00:00.5+02:00"', Compare(attribute("created_at"), ">", 500_000)),
    ('name = "say ""x"""', Compare(attribute("name"), "=", 'say "x"')),
    ("name = 'it''s'", Compare(attribute("name"), "=", "it's")),
    (r'name = "back\slash\"', Compare(attribute("name"), "=", "back\\slash\\")),
    ('tags.a != "x"', Compare(tag("a"), "!=", "x")),
    ("tags.3d = 1", Compare(tag("3d"), "=", 1)),
    ("tags.data-set/v1.2 = 1", Compare(tag("data-set/v1.2"), "=", 1)),
    ('tags."two words" = 1', Compare(tag("two words"), "=", 1)),
    ("tags.`and` = 1", Compare(tag("and"), "=", 1)),
    ("tags.and = 1", Compare(tag("and"), "=", 1)),
    ('tags.a."b c".d = 1', Compare(tag("a.b c.d"), "=", 1)),
    ("tags.a.min = 1", Compare(tag("a.min"), "=", 1)),
    ("metrics.loss.min = 1", Compare(metric("loss", "min"), "=", 1)),
    ("metrics.a.b.count = 1", Compare(metric("a.b", "count"), "=", 1)),
    ("metrics.loss.latest = 1", Compare(metric("loss"), "=", 1)),
    ("metrics.min = 1", Compare(metric("min"), "=", 1)),
    ('metrics."loss.min" = 1', Compare(metric("loss.min"), "=", 1)),
    ('metrics.loss."min" = 1', Compare(metric("loss.min"), "=", 1)),
    ("metrics.MIN.max = 1", Compare(metric("MIN", "max"), "=", 1)),
    ('name like "fan%"', Like(attribute("name"), "fan%")),
    ('name NOT ILIKE "fan%"', Like(attribute("name"), "fan%", ignore_case=True, negated=True)),
    ('status like "C%"', Like(attribute("status"), "C%")),
    ("number in (1, 2)", In(attribute("number"), (1, 2))),
    ('tags.a not in ("x",1,true)', In(tag("a"), ("x", 1, True), negated=True)),
    ("tags.a is null", IsNull(tag("a"))),
    ("tags.a Is Not Null", IsNull(tag("a"), negated=True)),
    ("tags.a = null", IsNull(tag("a"))),
    ("name != null", IsNull(attribute("name"), negated=True)),
    ("has(tags.x)", Has(tag("x"))),
    ("HAS ( metrics.x )", Has(metric("x"))),
    ("not number = 1", Not(Compare(attribute("number"), "=", 1))),
    ("not not number = 1", Compare(attribute("number"), "=", 1)),
    ("((number = 1))", Compare(attribute("number"), "=", 1)),
]


@pytest.mark.parametrize(("text", "tree"), TREES, ids=[text for text, _ in TREES])
def test_text_becomes_tree(text: str, tree: Node) -> None:
    assert parse_filter(text) == tree
    assert parse_filter(f"  {text}\n") == tree


def test_and_binds_stronger_than_or_and_not_strongest() -> None:
    a, b, c = (Compare(attribute("number"), "=", i) for i in (1, 2, 3))
    assert parse_filter("number = 1 or number = 2 and number = 3") == Or((a, And((b, c))))
    assert parse_filter("(number = 1 or number = 2) and number = 3") == And((Or((a, b)), c))
    assert parse_filter("not number = 1 and number = 2") == And((Not(a), b))
    assert parse_filter("not (number = 1 and number = 2)") == Not(And((a, b)))
    assert parse_filter("number = 1 AND number = 2 And number = 3") == And((a, b, c))


ERRORS = [
    ("", 1, "expected a field such as status or metrics.loss, found the end"),
    ("status", 7, "expected an operator: = != < <= > >= like in is, found the end"),
    ("status =", 9, "expected a number, a text in quotes, true, false or null, found the end"),
    ("= 1", 1, "expected a field such as status or metrics.loss, found ="),
    ("1 = 1", 1, "expected a field such as status or metrics.loss, found 1"),
    ('"a" = 1', 1, "expected a field such as status or metrics.loss, found the text 'a'"),
    ("statsu = 1", 1, "there is no field 'statsu'; did you mean status?"),
    ("Status = 1", 1, "there is no field 'Status'; did you mean status?"),
    ("metric.x = 1", 1, "there is no field 'metric'; did you mean metrics.?"),
    ("zzz = 1", 1, "there is no field 'zzz'"),
    ("metrics = 1", 9, "expected . and a key after metrics, found ="),
    ("metrics. = 1", 10, "expected a key; odd ones stand in quotes, found ="),
    ("status.x = 1", 7, "expected an operator after status, found ."),
    ("status ~ 1", 8, "unexpected character '~'"),
    ("number = 1 2", 12, "expected and, or, or the end, found 2"),
    ("number = 1)", 11, "expected and, or, or the end, found )"),
    ("number = 1 and", 15, "expected a field such as status or metrics.loss, found the end"),
    ("number = 1a", 10, "a number such as 3, -0.5 or 1e-3 was expected"),
    ("number = 1.2.3", 10, "a number such as 3, -0.5 or 1e-3 was expected"),
    ("number = -", 10, "a number such as 3, -0.5 or 1e-3 was expected"),
    ('name = "x', 8, 'the text that begins here has no closing "'),
    (
        "name = `x`",
        8,
        "expected a number, a text in quotes, true, false or null, found the text 'x'; values stand in \" or '",
    ),
    ("name = 1", 8, "name is compared with a text in quotes, not with 1"),
    ("number = 'x'", 10, "number is compared with a number, not with 'x'"),
    ("metrics.loss.max = 'x'", 20, "loss is compared with a number, not with 'x'"),
    ("duration_s = true", 14, "duration_s is compared with a number, not with true"),
    ("archived = 1", 12, "archived is compared with true or false, not with 1"),
    ("archived > true", 10, "> needs a number, a time or a text; true has no order"),
    ('status < "Running"', 8, "< needs a number, a time or a text; Running has no order"),
    ('status = "running"', 10, "there is no status 'running'; did you mean Running?"),
    ("created_at > 5", 14, "created_at is compared with a text in quotes, not with 5"),
    ('created_at > "soon"', 14, "expected a time such as \"2024-05-01T12:00:00Z\", found 'soon'"),
    ('created_at like "2024%"', 17, "like compares texts; created_at is a time"),
    ('metrics.loss.min like "x"', 23, "like compares texts; loss is a number"),
    ("name like x", 11, 'expected a pattern in quotes, such as "fan%", found x'),
    ("name liek 'x'", 6, "expected an operator: = != < <= > >= like in is, found liek; did you mean like?"),
    ("number in 1", 11, "expected ( after in, found 1"),
    ("number in ()", 12, "expected a number, a text in quotes, true, false or null, found )"),
    ("number in (1 2)", 14, "expected ) or , after a value of in, found 2"),
    ("number is 1", 11, "expected null after is, found 1"),
    ("number > null", 10, "expected a value: null can be compared with = and != alone, found null"),
    ("has(status)", 5, "has() is for tags, properties, params and metrics, not status"),
    ("has(tags.x", 11, "expected ) after the field of has(), found the end"),
    ("number = 1 or or", 15, "there is no field 'or'"),
]


@pytest.mark.parametrize(("text", "column", "problem"), ERRORS, ids=[text for text, *_ in ERRORS])
def test_errors_name_the_place(text: str, column: int, problem: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_filter(text)
    assert caught.value.message == f"filter, at column {column}: {problem}"
    assert (caught.value.facts["field"], caught.value.facts["column"]) == ("filter", column)


def test_field_paths() -> None:
    assert parse_field("status") == attribute("status")
    assert parse_field("metrics.loss.max") == metric("loss", "max")
    with pytest.raises(Invalid, match="expected and, or, or the end"):
        parse_field("status x")


@pytest.mark.parametrize(
    ("pattern", "as_glob", "as_like"),
    [
        ("fan%", "fan*", "fan%"),
        ("%%", "*", "%"),
        ("a_b", "a?b", "a_b"),
        ("a*?[x]", "a[*][?][[]x]", "a*?[x]"),
        (r"100\%", "100%", r"100\%"),
        (r"a\_b", "a_b", r"a\_b"),
        (r"a\\b", r"a\b", r"a\\b"),
        (r"a\x", "ax", "ax"),
        ("end\\", "end\\", "end\\\\"),
    ],
)
def test_patterns_in_both_spellings(pattern: str, as_glob: str, as_like: str) -> None:
    assert (glob(pattern), like(pattern)) == (as_glob, as_like)
