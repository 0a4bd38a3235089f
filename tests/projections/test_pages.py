"""Keyset pages: complete, without doubles, whatever the order and whatever comes in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold_events.contract import events as e
from runfold_events.contract.columns import Column
from runfold_events.contract.errors import Invalid
from runfold_events.sync import run_sync
from runfold_projections.filters.fields import ATTRIBUTES
from runfold_projections.model import Page, RunQuery, RunView
from runfold_projections.testing.history import WORKSPACE, MemorySource, floats, table
from tests.projections.support import Folded

VALUES: list[Any] = [1.5, None, 3, "text", 1.5, "TEXT", None, -2, "x" * 300, "x" * 300 + "y", True, 10]
ORDERS = [
    *ATTRIBUTES,
    *("tags.k", "params.k", "properties.k", "metrics.m", "metrics.m.min", "metrics.m.max", "metrics.m.count"),
]


def fill(folded: Folded, count: int = 25) -> None:
    folded.history.experiment()
    for i in range(count):
        value = VALUES[i % len(VALUES)]
        text = value if isinstance(value, str) else None
        folded.history.create(
            f"r{i * 7 % 31:02}", tags={} if i % 4 else {"k": text}, name=text, start=i % 2 == 0
        )
        run = f"r{i * 7 % 31:02}"
        folded.history.run(run, e.ParamsLogged(params={"k": value}))
        if value is not None:
            folded.history.metrics(run, table("m", {"m": Column(dtype="any", values=[value])}, [i]))
        if i % 3 == 0:
            folded.history.complete(run)


@pytest.fixture(scope="module", params=[1, 4])
def folded(request: pytest.FixtureRequest) -> Folded:
    folded = Folded(MemorySource(request.param))
    fill(folded)
    return folded


def ask(folded: Folded, **query: Any) -> Page:
    return run_sync(folded.views.runs(WORKSPACE, RunQuery(**query)))


def all_pages(
    folded: Folded, limit: int, between: Callable[[], None] | None = None, **query: Any
) -> list[RunView]:
    rows: list[RunView] = []
    page: str | None = None
    while True:
        found = ask(folded, limit=limit, page=page, **query)
        rows += found.rows
        page = found.next
        if page is None:
            return rows
        assert len(found.rows) == limit
        if between is not None:
            between()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_pages_of_any_order_are_the_whole_list(folded: Folded, order: str, descending: bool) -> None:
    order_by = f"-{order}" if descending else order
    whole = ask(folded, order_by=order_by, limit=1_000).rows

    assert len({row.run_id for row in whole}) == 25
    for limit in (1, 7, 24, 25):
        assert all_pages(folded, limit, order_by=order_by) == whole


def key_of(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool):
        return (1, "true" if value else "false")
    if isinstance(value, int | float):
        return (0, value)
    return (1, value[:256])


@pytest.mark.parametrize("descending", [False, True])
def test_numbers_stand_before_texts_and_nothing_last(folded: Folded, descending: bool) -> None:
    rows = ask(folded, order_by="params.k desc" if descending else "params.k asc", limit=100).rows
    values = [row.params["k"] for row in rows]
    kinds = [2 if value is None else key_of(value)[0] for value in values]

    assert kinds == sorted(kinds)
    for kind in (0, 1):
        keys = [key_of(value)[1] for value in values if value is not None and key_of(value)[0] == kind]
        assert keys == sorted(keys, reverse=descending)


def test_equals_stand_in_the_order_of_their_creation(folded: Folded) -> None:
    rows = ask(folded, order_by="archived", limit=100).rows
    if folded.source.partitions == 1:
        assert [row.number for row in rows] == list(range(1, 26))
        assert [row.number for row in ask(folded, order_by="-archived", limit=100).rows] == list(
            range(25, 0, -1)
        )


@given(st.sampled_from(["-created_at", "run_id", "-metrics.m", "params.k"]), st.integers(1, 6), st.booleans())
@settings(max_examples=25)
def test_what_comes_between_pages_doubles_and_hides_nothing(
    order_by: str, limit: int, at_front: bool
) -> None:
    folded = Folded()
    fill(folded, 15)
    there = {row.run_id for row in ask(folded, limit=100).rows}
    added = 0

    def add() -> None:
        nonlocal added
        if added == 10:  # what always comes behind the present page is read for ever
            return
        added += 1
        run = f"{'a' if at_front else 'z'}{added}"
        folded.history.create(run)
        folded.history.metrics(run, floats("m", [100.0 if at_front else -100.0]))
        folded.history.run(run, e.ParamsLogged(params={"k": added}))

    seen = [row.run_id for row in all_pages(folded, limit, add, order_by=order_by)]

    assert len(seen) == len(set(seen))
    assert there <= set(seen)


def test_a_cursor_is_good_for_its_own_query_alone(folded: Folded) -> None:
    first = ask(folded, limit=5, filter="number > 3", fields=("status",))
    assert first.next is not None

    assert ask(folded, limit=9, filter="number > 3", page=first.next).rows  # size and fields may change
    for other in (
        {"filter": "number > 4"},
        {"filter": "number > 3", "order_by": "created_at"},
        {"filter": "number > 3", "experiment": "exp"},
        {},
    ):
        with pytest.raises(Invalid, match="page does not continue this query"):
            ask(folded, page=first.next, **other)
    with pytest.raises(Invalid):
        run_sync(folded.views.runs("elsewhere", RunQuery(filter="number > 3", page=first.next)))
    stranger = Folded(MemorySource(epoch=UUID(int=99)))
    with pytest.raises(Invalid):
        ask(stranger, filter="number > 3", page=first.next)


def test_every_changed_cursor_is_refused(folded: Folded) -> None:
    page = ask(folded, limit=5).next
    assert page is not None
    for i, character in enumerate(page[:-1]):  # the last one may carry bits that say nothing
        other = page[:i] + ("A" if character != "A" else "B") + page[i + 1 :]
        with pytest.raises(Invalid, match="page"):
            ask(folded, page=other)
    for other in ("", "!", "é", page[:-4], page + "AAAA", "x" * 10_000, "\ud800"):
        with pytest.raises(Invalid):
            ask(folded, page=other)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_limits_of_a_page(folded: Folded, limit: int) -> None:
    with pytest.raises(Invalid) as caught:
        ask(folded, limit=limit)
    assert (caught.value.field, caught.value.limit, caught.value.size) == ("limit", 1_000, limit)


def test_counting_does_not_mind_the_page(folded: Folded) -> None:
    def count(**query: Any) -> int:
        return run_sync(folded.views.count(WORKSPACE, RunQuery(**query)))

    assert count(limit=3) == 25
    assert count(filter="params.k > 2") == len(ask(folded, filter="params.k > 2", limit=100).rows) > 0


def test_only_what_is_asked_for_is_loaded(folded: Folded) -> None:
    folded.history.metrics("r00", floats("other", [1.0]))
    row = ask(folded, fields=("status", "metrics.m", "params.nope", "tags"), filter='run_id = "r00"').rows[0]
    whole = ask(folded, filter='run_id = "r00"').rows[0]

    assert (row.status, row.run_id, row.number) == (whole.status, "r00", whole.number)
    assert (row.metrics, row.params, row.tags) == ({"m": whole.metrics["m"]}, {}, whole.tags)
    assert set(whole.metrics) == {"m", "other"}
    assert ask(folded, fields=("status",)).rows[0].metrics == {}
    assert set(ask(folded, fields=("metrics",), filter='run_id = "r00"').rows[0].metrics) == {"m", "other"}
    with pytest.raises(Invalid, match="there is no field 'nope'"):
        ask(folded, fields=("nope",))
    with pytest.raises(Invalid) as caught:
        ask(folded, fields=("status",) * 101)
    assert caught.value.field == "fields"


def test_the_tree_and_the_compatible_filters_narrow() -> None:
    folded = Folded()
    history = folded.history
    history.experiment()
    history.experiment("other")
    history.create("root", tags={"a": "1", "none": None}, properties={"p": "x"}, run_type="script")
    history.create("child", "root", tags={"a": "1"})
    history.create("grandchild", "child")
    history.create("elsewhere", experiment="other", tags={"a": "2"})
    history.create("hidden")
    history.run("hidden", e.RunArchived())
    history.complete("child")

    def found(**query: Any) -> list[str]:
        return [row.run_id for row in ask(folded, order_by="number", **query).rows]

    assert found() == ["root", "elsewhere"]
    assert found(include_archived=True) == ["root", "elsewhere", "hidden"]
    assert found(include_children=True) == ["root", "child", "grandchild", "elsewhere"]
    assert found(parent_run_id="root") == ["child"]
    assert found(ancestor_run_id="root") == ["child", "grandchild"]
    assert found(ancestor_run_id="root", parent_run_id="child") == ["grandchild"]
    assert found(experiment="other") == ["elsewhere"]
    assert found(run_type="script") == ["root"]
    assert found(include_children=True, status=("Completed",)) == ["child"]
    assert found(include_children=True, tags={"a": "1"}) == ["root", "child"]
    assert found(include_children=True, tags={"a": "ignored"}, tag_keys=("a",)) == [
        "root",
        "child",
        "elsewhere",
    ]
    assert found(tags={"none": None}) == ["root"]
    assert found(tags={"a": None}) == []
    assert found(tag_keys=("none",), properties={"p": "x"}) == ["root"]
    assert found(property_keys=("q",)) == []
    assert found(filter=f'created_at < "{datetime.now(UTC).isoformat()}"', include_archived=True) == found(
        include_archived=True
    )
