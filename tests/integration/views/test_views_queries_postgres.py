"""Questions to views on Postgres: filters against a second implementation, pages against SQLite, hostile input."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tests.projections.test_filters as sqlite
from runfold_events.contract import events as e
from runfold_events.contract import limits
from runfold_events.contract.columns import Cell, Column
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.sync import run_sync
from runfold_projections.model import RunQuery, RunView
from runfold_projections.stores.postgres import PostgresViewStore, ViewTimeouts
from runfold_projections.testing.history import WORKSPACE, floats, table
from runfold_services.stack import Stack
from tests.projections.filter_model import Expression, expressions, holds, text_of
from tests.support.postgres_store import as_service
from tests.support.postgres_views import TEMPLATE, Folded
from tests.support.stack import StackForTest

T = TypeVar("T")
CHEAP = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def dsn(run_stack: Stack) -> Generator[str]:
    mine = StackForTest(run_stack)
    yield mine.database(TEMPLATE)
    mine.close()


@pytest.fixture(scope="module")
def some_runs(dsn: str) -> Generator[Folded]:
    """The runs that the filters' own tests know, on Postgres."""
    folded = Folded(dsn, sqlite.some_runs().source)
    folded.catch_up()
    yield folded
    folded.close()


def answer(folded: Folded, query: RunQuery) -> list[RunView]:
    return folded.run(folded.views.runs(WORKSPACE, query)).rows


def refusal_of(folded: Folded, query: RunQuery) -> Invalid | None:
    """The one error that a query may give; None when it was answered."""
    try:
        answer(folded, query)
    except Invalid as error:
        return error
    return None


@given(expressions())
@settings(CHEAP, max_examples=120)
def test_filters_agree_with_a_second_implementation(some_runs: Folded, expression: Expression) -> None:
    query = RunQuery(filter=text_of(expression), include_archived=True, limit=1_000, order_by="number")
    expected = [row.run_id for row in sqlite.all_rows() if holds(expression, row)]
    assert [row.run_id for row in answer(some_runs, query)] == expected


@given(sqlite.SOUP | st.text(max_size=60) | st.text(alphabet="()nota=<>\"'.1 ", max_size=60))
@settings(CHEAP, max_examples=120)
@example("not " * 2_000 + "archived = true")
@example('tags."' + "x" * 8_000)
@example('name like "' + "%a" * 4_000 + '"')
@example('name like "' + "\\" * 101 + '"')
@example('created_at > "9999-12-31T23:59:59+00:00" or created_at < "0001-01-01"')
@example("duration_s > 9223372036854775807 or number < -9223372036854775808")
@example("rejections = 1e400 or number in (1, 2.5, 1e400) or duration_s = 0.1")
@example("archived in (true, false) and not archived = true")
@example('metrics.a = "x" or metrics.a = 1 or metrics.a.min > 0.5 or metrics.a in (1, "x", true)')
def test_any_text_gives_rows_or_invalid_soon(some_runs: Folded, text: str) -> None:
    started = time.monotonic()
    error = refusal_of(some_runs, RunQuery(filter=text))
    assert error is None or error.field == "filter"
    assert time.monotonic() - started < 2


@given(sqlite.SOUP | st.text(max_size=40))
@settings(CHEAP, max_examples=40)
def test_any_order_fields_and_page_give_rows_or_invalid(some_runs: Folded, text: str) -> None:
    for query in (
        RunQuery(order_by=text),
        RunQuery(fields=(text,)),
        RunQuery(page=text),
        RunQuery(experiment=text, run_type=text),
        RunQuery(tags={text: text}, property_keys=(text,)),
        RunQuery(parent_run_id=text),
        RunQuery(ancestor_run_id=text),
    ):
        error = refusal_of(some_runs, query)
        assert error is None or error.field


ORDERS = [
    *("created_at", "run_id", "status", "number", "name", "display_name", "duration_s", "archived"),
    *(
        "tags.a",
        "params.a",
        'params."b c"',
        "properties.true",
        "metrics.a",
        "metrics.a.max",
        "metrics.a.count",
    ),
]


@pytest.mark.parametrize("order_by", [sign + order for order in ORDERS for sign in ("", "-")])
def test_lists_stand_in_the_order_of_sqlite_and_pages_are_their_pieces(
    some_runs: Folded, order_by: str
) -> None:
    """Numbers before texts, what has none last: the two databases compare values alike."""
    query = RunQuery(order_by=order_by, include_archived=True, limit=1_000)
    expected = run_sync(sqlite.some_runs().views.runs(WORKSPACE, query)).rows

    assert repr(answer(some_runs, query)) == repr(expected)  # a NaN equals nothing

    for limit in (1, 7):
        found: list[str] = []
        page: str | None = None
        while True:
            part = RunQuery(order_by=order_by, include_archived=True, limit=limit, page=page)
            answered = some_runs.run(some_runs.views.runs(WORKSPACE, part))
            found += [row.run_id for row in answered.rows]
            page = answered.next
            if page is None:
                break
        assert found == [row.run_id for row in expected]


def test_names_and_texts_of_any_legal_length_are_folded_and_found(stack: StackForTest) -> None:
    """Longer than an entry of an index may be, and not to be compressed."""

    def hostile(characters: int, seed: int) -> str:
        return "".join(chr(0x20000 + (i * 7919 + seed * 104_729) % 0xA000) for i in range(characters))

    folded = Folded(stack.database(TEMPLATE))
    history = folded.history
    name, column = hostile(limits.METRIC_NAME_CHARS_MAX, 1), hostile(limits.METRIC_COLUMN_NAME_CHARS_MAX, 2)
    key, value = hostile(limits.TAG_KEY_CHARS_MAX, 3), hostile(limits.TAG_VALUE_CHARS_MAX, 4)
    history.experiment(hostile(limits.EXPERIMENT_NAME_CHARS_MAX, 5))
    history.create("r", tags={key: value}, experiment=hostile(limits.EXPERIMENT_NAME_CHARS_MAX, 5))
    history.create("other", tags={key: value[:-1]})
    history.run("r", e.ParamsLogged(params={key: hostile(limits.PARAM_VALUE_CHARS_MAX, 6)}))
    history.metrics(
        "r", table(name, {column: Column(dtype="f64", values=list[Cell]([0.5] * 5_000))}, range(5_000))
    )
    history.metrics("r", floats(name[:-1] + "x", [1.5]))

    run = folded.run(folded.views.run(WORKSPACE, "r"))
    assert run.metrics[f"{name}.{column}"].latest == 0.5
    assert folded.run(folded.views.metrics(WORKSPACE, "r", names=(name,)))[0].count == 5_000
    assert [r.run_id for r in answer(folded, RunQuery(tags={key: value}))] == ["r"]
    assert [r.run_id for r in answer(folded, RunQuery(filter=f'tags."{key}" = "{value}"'))] == ["r"]
    by_metric = RunQuery(filter=f'metrics."{name}.{column}" < 1', order_by=f'metrics."{name}.{column}"')
    assert [r.run_id for r in answer(folded, by_metric)] == ["r"]
    assert [s.error for s in folded.run(folded.views.states())] == [None] * len(folded.views.projections)
    folded.close()


NUMBERS = [
    0.1,
    1e300,
    5e-324,
    2.0**60,
    float(2**53 + 2),
    123456789.123456789,
    -1e-300,
    1.7976931348623157e308,
]


def test_numbers_are_kept_and_compared_exactly(stack: StackForTest) -> None:
    folded = Folded(stack.database(TEMPLATE))
    whole = [2**53 + 1, 2**60 + 1, 2**63 - 1, -(2**63)]
    cells: list[Cell] = [*NUMBERS, float("inf"), float("-inf"), *whole]
    for index, number in enumerate(cells):
        folded.history.create(f"r{index}")
        folded.history.metrics(f"r{index}", table("m", {"m": Column(dtype="any", values=[number])}, [1]))

    for index, number in enumerate(NUMBERS):
        summary = folded.run(folded.views.run(WORKSPACE, f"r{index}")).metrics["m"]
        assert (summary.latest, summary.min, summary.max) == (number, number, number)
        assert [r.run_id for r in answer(folded, RunQuery(filter=f"metrics.m = {number!r}"))] == [f"r{index}"]
    for index, number in enumerate(whole, len(NUMBERS) + 2):
        assert [r.run_id for r in answer(folded, RunQuery(filter=f"metrics.m = {number}"))] == [f"r{index}"]
    ordered = answer(folded, RunQuery(order_by="metrics.m"))
    values = [row.metrics["m"].latest for row in ordered]
    assert values == sorted(values, key=lambda value: value if isinstance(value, int | float) else 0)
    folded.close()


def test_a_query_that_takes_too_long_is_ended(stack: StackForTest) -> None:
    folded = Folded(stack.database(TEMPLATE), timeouts=ViewTimeouts(statement_ms=50))
    folded.catch_up()

    async def ask() -> None:
        async with folded.store.snapshot() as session:
            runs = session.of((await session.catalogue()).active["runs"])
            await runs.fetch_compiled("SELECT pg_sleep(?)", [5.0])

    started = time.monotonic()
    with pytest.raises(Unavailable):
        folded.run(ask())
    assert time.monotonic() - started < 2
    folded.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM runfold.events",
        "CREATE TABLE runfold.mine (x int)",
        "DROP SCHEMA runfold_views CASCADE",
        "CREATE TABLE public.mine (x int)",
        "CREATE SCHEMA mine",
    ],
)
def test_the_service_role_makes_tables_in_the_schema_of_views_alone(dsn: str, statement: str) -> None:
    async def attack() -> None:
        connection = await asyncpg.connect(as_service(dsn))
        try:
            await connection.execute("CREATE TABLE runfold_views.mine (x int); DROP TABLE runfold_views.mine")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(attack())


def test_a_database_without_a_place_for_views_is_refused(stack: StackForTest) -> None:
    with pytest.raises(Invalid, match="create_views_schema"):
        asyncio.run(PostgresViewStore.open(stack.database()))


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        asyncio.run(PostgresViewStore.open("postgresql://nobody@127.0.0.1:1/nothing"))


def drive(folded: Folded, *questions: Coroutine[Any, Any, T]) -> list[T]:
    async def together() -> list[T]:
        return list(await asyncio.gather(*questions))

    return folded.run(together())


def test_many_ask_at_once(some_runs: Folded) -> None:
    query = RunQuery(order_by="-metrics.a", include_archived=True)
    expected = answer(some_runs, query)
    pages = drive(some_runs, *(some_runs.views.runs(WORKSPACE, query) for _ in range(20)))
    assert all(repr(page.rows) == repr(expected) for page in pages)
