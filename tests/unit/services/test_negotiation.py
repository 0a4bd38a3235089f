"""JSON or msgpack, and what becomes of NaN and infinities in each."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from runfold_events.contract.commands import CreateRun
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.errors import RunfoldError
from runfold_projections.model import MetricSummary, Page, SeriesData
from runfold_services.api.negotiation import answer_format, encode, request_format, with_text_for_non_finite
from tests.support.fake_backend import run_view, summary


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("text/html", JSON),
        ("application/json", JSON),
        ("application/msgpack", MSGPACK),
        ("application/x-msgpack", MSGPACK),
        ("Application/MsgPack; q=1", MSGPACK),
        ("application/msgpack, application/json;q=0.5", MSGPACK),
        ("application/json, application/msgpack", JSON),
    ],
)
def test_the_answer_is_msgpack_where_the_client_names_it_first(accept: str | None, expected: str) -> None:
    assert answer_format(accept) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", JSON),
        ("application/json; charset=utf-8", JSON),
        ("APPLICATION/JSON", JSON),
        ("application/msgpack", MSGPACK),
        ("application/vnd.msgpack", MSGPACK),
    ],
)
def test_a_request_says_what_it_is(content_type: str, expected: str) -> None:
    assert request_format(content_type) == expected


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x" * 500],
)
def test_what_a_web_page_could_send_without_asking_is_refused(content_type: str | None) -> None:
    with pytest.raises(RunfoldError) as refused:
        request_format(content_type)
    assert refused.value.code == "unsupported_media_type"
    assert refused.value.facts["field"] == "Content-Type"


def series(**columns: list[Any]) -> SeriesData:
    count = len(next(iter(columns.values())))
    return SeriesData(
        run_id="r",
        name="loss",
        kind="scalar",
        count=count,
        steps=list(range(count)),
        times_ms=list(range(count)),
        columns=columns,
    )


def test_json_says_non_finite_numbers_as_text_and_msgpack_as_they_are() -> None:
    data = [
        series(loss=[1.5, math.nan, math.inf, -math.inf, None, -0.0], name=["a", "NaN", "", "b", "c", "d"])
    ]

    told = msgspec.json.decode(encode(data, JSON))[0]["columns"]
    assert told["loss"] == [1.5, "NaN", "Infinity", "-Infinity", None, -0.0]
    assert math.copysign(1, told["loss"][5]) == -1
    assert told["name"] == ["a", "NaN", "", "b", "c", "d"]
    kept = msgspec.msgpack.decode(encode(data, MSGPACK))[0]["columns"]["loss"]
    assert math.isnan(kept[1])
    assert kept[2:4] == [math.inf, -math.inf]


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], [1e308, 1e308], [True, False], [1, 2**62], [None, 1.0], ["a", "b"], []]
)
def test_columns_without_non_finite_numbers_stay_equal(values: list[Any]) -> None:
    assert msgspec.json.decode(encode([series(v=values)], JSON))[0]["columns"]["v"] == values


def test_finite_columns_are_not_copied() -> None:
    data = series(v=[0.5] * 10)
    assert with_text_for_non_finite(data) is data


def test_summaries_of_runs_and_pages_say_non_finite_numbers_too() -> None:
    run = run_view(CreateRun(run_id="r", experiment="e"), "w", metrics={"loss": summary(math.nan)})
    told = msgspec.json.decode(encode(run, JSON))["metrics"]["loss"]
    assert (told["latest"], told["min"], told["max"]) == ("NaN", "NaN", "NaN")
    page = msgspec.json.decode(
        encode(Page([run, run_view(CreateRun(run_id="s", experiment="e"), "w")]), JSON)
    )
    assert page["rows"][0]["metrics"]["loss"]["latest"] == "NaN"
    assert page["rows"][1]["metrics"] == {}


def test_a_latest_value_that_is_text_stays_text() -> None:
    run = run_view(
        CreateRun(run_id="r", experiment="e"), "w", metrics={"note": MetricSummary(latest="NaN", count=1)}
    )
    assert msgspec.json.decode(encode(run, JSON))["metrics"]["note"]["latest"] == "NaN"
