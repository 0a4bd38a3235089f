"""Filters over views: they agree with a second implementation, and nothing hostile gets more than an error."""

from __future__ import annotations

import math
import time
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runfold_events.contract import events as e
from runfold_events.contract import limits
from runfold_events.contract.columns import Cell, Column
from runfold_events.contract.errors import Invalid
from runfold_events.sync import run_sync
from runfold_projections.filters.tokens import check_text
from runfold_projections.model import RunQuery, RunView
from runfold_projections.projection import Parameters, Row
from runfold_projections.stores.sqlite import SqliteTables
from runfold_projections.testing.history import WORKSPACE, table
from tests.projections.filter_model import NUMBERS, TEXTS, Expression, expressions, holds, text_of
from tests.projections.support import Folded

PARAMS = (*TEXTS, *NUMBERS, True, False, None)
# Least and greatest are shown as floats, so what no float can say is left out.
METRICS: tuple[Cell, ...] = (*(n for n in NUMBERS if n == float(n)), *TEXTS, True, math.nan, math.inf)


@cache
def some_runs() -> Folded:
    """Runs that have, lack, or have null for what filters ask."""
    folded = Folded()
    history = folded.history
    history.experiment()
    for i in range(40):
        run = f"r{i}"
        keys = [key for bit, key in enumerate(("a", "b c", "true", 'q"x')) if (i + 3) >> bit & 1]
        texts = {key: (*TEXTS, None)[(i * 7 + len(key)) % (len(TEXTS) + 1)] for key in keys}
        history.create(
            run,
            tags=texts,
            properties={key: TEXTS[(i * 5) % len(TEXTS)] for key in keys},
            name=(*TEXTS, None)[i % (len(TEXTS) + 1)],
            display_name="A" if i % 2 else None,
        )
        history.run(
            run, e.ParamsLogged(params={key: PARAMS[(i * 3 + len(key)) % len(PARAMS)] for key in keys})
        )
        for key in keys:
            cells: list[Cell] = [METRICS[(i + j) % len(METRICS)] for j in (len(key), 2 * len(key))]
            history.metrics(run, table(key, {key: Column(dtype="any", values=cells)}, [1, 2]))
        if i % 3 == 0:
            history.complete(run)
        if i % 5 == 0:
            history.run(run, e.RunArchived())
    return folded


def matching(text: str) -> list[str]:
    query = RunQuery(
        filter=text, include_archived=True, include_children=True, limit=1_000, order_by="number"
    )
    return [row.run_id for row in run_sync(some_runs().views.runs(WORKSPACE, query)).rows]


@cache
def all_rows() -> list[RunView]:
    query = RunQuery(include_archived=True, limit=1_000, order_by="number")
    return run_sync(some_runs().views.runs(WORKSPACE, query)).rows


@given(expressions())
@settings(max_examples=400)
def test_filters_agree_with_a_second_implementation(expression: Expression) -> None:
    text = text_of(expression)
    assert matching(text) == [row.run_id for row in all_rows() if holds(expression, row)]


PIECES = """
    status tags metrics . loss ( ) = != < like in not and or is null has 1 -1e999 1. true , created_at -- ; %
    duration_s archived min \\ é ¹ ٣ ' " `k` "x" "2024-01-01" "Running" 999999999999999999999999999999
"""
WORDS = [*PIECES.split(), "\x00", "\ud800"]
SOUP = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@given(SOUP | st.text(max_size=60) | st.text(alphabet="()nota=<>\"'.1 ", max_size=60))
@settings(max_examples=600)
@example("not " * 2_000 + "archived = true")
@example("(" * 8_000)
@example('tags."' + "x" * 8_000)
@example("1" * 8_000)
@example('name like "' + "%a" * 4_000 + '"')
@example("tags." + ".".join(["a"] * 4_000) + ' = "x"')
@example("number in (" + ", ".join(["1"] * 2_000) + ")")
@example('created_at > "9999-12-31T23:59:59+00:00" or created_at < "0001-01-01"')
@example('created_at < "0001-01-01T00:00:00+23:59"')
@example("duration_s > 9223372036854775807 or number < -9223372036854775808")
@example("rejections = 1e400")
def test_any_text_gives_rows_or_invalid_soon(text: str) -> None:
    started = time.monotonic()
    error = refusal_of(RunQuery(filter=text))
    assert error is None or (error.field == "filter" and len(str(error)) < 500)
    assert time.monotonic() - started < 2


def refusal_of(query: RunQuery) -> Invalid | None:
    """The one error that a query may give; None when it was answered."""
    try:
        run_sync(some_runs().views.runs(WORKSPACE, query))
    except Invalid as error:
        return error
    return None


@given(SOUP | st.text(max_size=40))
def test_any_order_fields_and_page_give_rows_or_invalid(text: str) -> None:
    for query in (
        RunQuery(order_by=text),
        RunQuery(fields=(text,)),
        RunQuery(page=text),
        RunQuery(experiment=text, run_type=text),
        RunQuery(tags={text: text}, property_keys=(text,)),
        RunQuery(parent_run_id=text),
        RunQuery(ancestor_run_id=text),
    ):
        error = refusal_of(query)
        assert error is None or error.field


def test_what_a_user_writes_is_never_part_of_the_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = SqliteTables.fetch_compiled

    async def spy(self: SqliteTables, sql: str, parameters: Parameters) -> list[Row]:
        seen.append(sql)
        return await original(self, sql, parameters)

    monkeypatch.setattr(SqliteTables, "fetch_compiled", spy)
    word = "zqzq"
    query = RunQuery(
        filter=f'tags.{word} = "{word}" or params.{word} like "{word}%" and metrics.{word} in ("{word}") '
        f"or has(properties.{word}) or name != '{word}' or tags.{word} is null",
        order_by=f"metrics.{word}",
        tags={word: word},
        tag_keys=(word + "2",),
        experiment=word,
        fields=(f"metrics.{word}", f"tags.{word}"),
    )
    run_sync(some_runs().views.runs(WORKSPACE, query))
    run_sync(some_runs().views.count(WORKSPACE, query))

    assert len(seen) >= 2
    assert not [sql for sql in seen if word in sql]


def test_bounds_name_field_limit_and_size() -> None:
    for text, limit in (
        ("x" * (limits.FILTER_CHARS_MAX + 1), limits.FILTER_CHARS_MAX),
        ("(" * 40 + "archived = true" + ")" * 40, limits.FILTER_DEPTH_MAX),
        (" or ".join(["number = 1"] * 300), limits.FILTER_NODES_MAX),
        ("number in (" + ",".join(["1"] * 300) + ")", limits.FILTER_NODES_MAX),
    ):
        with pytest.raises(Invalid) as caught:
            matching(text)
        assert caught.value.code == "limit_exceeded"
        assert (caught.value.field, caught.value.limit) == ("filter", limit)
        assert caught.value.size > limit
    check_text("x" * limits.FILTER_CHARS_MAX, "filter")
