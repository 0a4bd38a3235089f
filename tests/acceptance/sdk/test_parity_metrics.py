"""Rows of the parity table: metrics. Over both transports."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pytest

from runfold import Experiment, Invalid, LimitExceeded, Run
from runfold.exceptions import AzureMLException, UserErrorException
from runfold_events.contract import limits
from tests.support.sdk_handles import in_another_process


@pytest.fixture
def run(experiment: Experiment) -> Run:
    """A run to log into."""
    return experiment.start_logging()


def logged(run: Run, name: str = "m") -> Any:
    """What ``get_metrics`` has of one metric, asked by somebody else."""
    run.flush()
    return in_another_process(run).get_metrics(name).get(name)


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


# ── log ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("MT-01")
def test_one_value_is_itself_and_more_are_a_list_in_order(run: Run) -> None:
    run.log("m", 1.5)
    assert logged(run) == 1.5
    run.log("m", 0.5)
    run.log("m", 2.5)
    assert logged(run) == [1.5, 0.5, 2.5]


@pytest.mark.parity("MT-02")
@pytest.mark.parametrize(
    "value",
    [
        0.1,
        -0.0,
        1e308,
        7,
        0,
        limits.INT64_MIN,
        limits.INT64_MAX,
        True,
        False,
        "text",
        "",
        "é\U0001f600",
        "x" * 4096,
    ],
)
def test_types_come_back_as_they_went(run: Run, value: Any) -> None:
    run.log("m", value)
    found = logged(run)

    assert found == value
    assert type(found) is type(value)
    if isinstance(value, float):
        assert bits(found) == bits(value)


class Colour(Enum):
    RED = 1


class Level(IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


@pytest.mark.parity("MT-03")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.int64(7), 7),
        (np.uint8(255), 255),
        (np.int64(-(2**63)), -(2**63)),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.array(3), 3),
        (np.array([2.5]), 2.5),
        (Level.HIGH, 3),
        (Text("plain"), "plain"),
    ],
)
def test_what_looks_like_a_number_is_one(run: Run, value: Any, expected: Any) -> None:
    run.log("m", value)
    found = logged(run)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [(1, 2), {"a": 1}, Decimal("1.5"), Colour.RED, b"bytes", 1j], ids=repr)
def test_anything_else_is_its_repr_as_in_azure(run: Run, value: Any) -> None:
    run.log("m", value)
    assert logged(run) == repr(value)


@pytest.mark.parity("MT-04")
def test_nan_and_infinities_are_kept_and_none_is_dropped(run: Run) -> None:
    values = [math.nan, math.inf, -math.inf]
    for value in values:
        run.log("m", value)
        run.log("m", None)
    run.log("only none", None)
    found = logged(run)

    assert math.isnan(found[0])
    assert found[1:] == values[1:]
    assert in_another_process(run).get_metrics("only none") == {}


@pytest.mark.parity("MT-05")
@pytest.mark.parametrize(
    "value",
    [[1, 2], [], range(3), (n for n in [1]), {1, 2}, np.array([1, 2])],
    ids=["list", "empty", "range", "generator", "set", "array"],
)
def test_log_takes_no_list(run: Run, value: Any) -> None:
    with pytest.raises(UserErrorException) as caught:
        run.log("m", value)

    assert str(caught.value) == "run.log does not support list type. Use run.log_list instead"
    assert logged(run) is None


BAD: list[tuple[Callable[[Any], object], type[Invalid] | None]] = [
    (lambda run: run.log("m", 2**63), LimitExceeded),
    (lambda run: run.log("m", np.uint64(2**64 - 1)), LimitExceeded),
    (lambda run: run.log("m", "x" * 4097), LimitExceeded),
    (lambda run: run.log("m", "nul\x00"), Invalid),
    (lambda run: run.log("m", "\ud800"), Invalid),
    (lambda run: run.log("", 1), Invalid),
    (lambda run: run.log("x" * 513, 1), LimitExceeded),
    (lambda run: run.log("nul\x00", 1), Invalid),
    (lambda run: run.log(None, 1), Invalid),
    (lambda run: run.log(["m"], 1), Invalid),
    (lambda run: run.log("m", 1, step=1.5), Invalid),
    (lambda run: run.log("m", 1, step="first"), Invalid),
    (lambda run: run.log("m", 1, step=True), Invalid),
    (lambda run: run.log("m", 1, step=2**63), LimitExceeded),
    (lambda run: run.log("m", 1, step=limits.INT64_MIN), LimitExceeded),
    (lambda run: run.log("m", 1, "x" * 1001), LimitExceeded),
    (lambda run: run.log_list("m", 5), Invalid),
    (lambda run: run.log_list("m", "text"), Invalid),
    (lambda run: run.log_list("m", [1, [2]]), Invalid),
    (lambda run: run.log_list("m", [1, 2**63]), LimitExceeded),
    (lambda run: run.log_list("m", np.ones((2, 2))), Invalid),
    (lambda run: run.log_row("m", x=[1]), Invalid),
    (lambda run: run.log_row("m", **{f"c{n}": n for n in range(257)}), LimitExceeded),
    (lambda run: run.log_row("m", **{"": 1}), Invalid),
    (lambda run: run.log_table("m", {}), Invalid),
    (lambda run: run.log_table("m", [1]), Invalid),
    (lambda run: run.log_table("m", {1: [1]}), Invalid),
    (lambda run: run.log_table("m", {"x": [[1]]}), None),
    (lambda run: run.log_params({"a": {"b": 1}}), Invalid),
    (lambda run: run.log_params({"a": [1]}), Invalid),
    (lambda run: run.log_params({"a": math.nan}), Invalid),
    (lambda run: run.log_params({"a": 2**63}), LimitExceeded),
    (lambda run: run.log_params({1: 1}), Invalid),
    (lambda run: run.log_params(None), Invalid),
    (lambda run: run.tag("", "v"), Invalid),
    (lambda run: run.tag("k" * 257, "v"), LimitExceeded),
    (lambda run: run.tag("k", "v" * 5001), LimitExceeded),
    (lambda run: run.set_tags("quality"), Invalid),
    (lambda run: run.set_tags(None), Invalid),
    (lambda run: run.set_tags({str(n): "" for n in range(1001)}), LimitExceeded),
    (lambda run: run.add_properties(["k"]), Invalid),
    (lambda run: run.add_properties({"k": "v" * 10_001}), LimitExceeded),
]


@pytest.mark.parity("LM-01")
@pytest.mark.parametrize(
    ("call", "error"),
    BAD,
)
def test_bad_values_are_refused_by_name_and_take_nothing_along(
    run: Run, call: Callable[[Any], object], error: type[Invalid] | None
) -> None:
    run.log("good", 1.0)
    if error is None:
        call(run)
    else:
        with pytest.raises(error) as caught:
            call(run)
        assert caught.value.field
        assert caught.value.limit
    run.log("good", 2.0)

    assert logged(run, "good") == [1.0, 2.0]
    assert run.rejections() == []
    assert in_another_process(run).get_tags() == {}


@pytest.mark.parity("MT-16")
def test_steps_are_data_and_not_order(run: Run) -> None:
    for step, value in [(5, 1.0), (1, 2.0), (None, 3.0), (5, 4.0), (np.int64(-7), 5.0), (2.0, 6.0)]:
        run.log("m", value, "what it means", step)
    metric = in_another_process(flushed(run)).metrics("m")["m"]

    assert metric.values == logged(run) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert metric.steps == [5, 1, None, 5, -7, 2]
    assert run.summary().metrics["m"].latest == 4.0


def flushed(run: Run) -> Run:
    run.flush()
    return run


@pytest.mark.parity("MT-20")
def test_mixed_kinds_under_one_name_can_be_read(run: Run) -> None:
    run.log("m", 1)
    run.log("m", "z")
    run.log("m", 0.5)
    run.log("m", True)
    assert logged(run) == [1, "z", 0.5, True]
    run.log_table("m", {"x": [1, 2]})
    run.log_row("m", y=3)
    assert logged(run) == {
        "m": [1, "z", 0.5, True, None, None, None],
        "x": [None] * 4 + [1, 2, None],
        "y": [None] * 6 + [3],
    }


# ── lists, rows, tables ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("MT-06")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2.5], [1.0, 2.5]),
        ([1, None, "z"], [1, "z"]),
        (np.arange(3), [0, 1, 2]),
        ((True, False), [True, False]),
        ([np.int64(1), np.float32(0.5)], [1.0, 0.5]),
        ([], None),
    ],
    ids=repr,
)
def test_lists(run: Run, value: Iterable[Any], expected: Any) -> None:
    run.log_list("m", value)
    assert logged(run) == expected


@pytest.mark.parity("MT-06")
def test_a_generator_is_a_list_too(run: Run) -> None:
    run.log_list("Fibonacci", (n * 0.5 for n in range(3)))
    assert logged(run, "Fibonacci") == [0.0, 0.5, 1.0]


def test_lists_and_values_of_one_name_are_one_list(run: Run) -> None:
    run.log_list("m", [1, 2])
    run.log("m", 3)
    run.log_list("m", [4, 5], description="a list")
    assert logged(run) == [1, 2, 3, 4, 5]


@pytest.mark.parity("MT-15")
def test_one_of_anything_is_a_single_value_in_azures_shape(run: Run) -> None:
    run.log_list("list", [1])
    run.log_table("table", {"x": [1], "y": ["a"]})
    run.log_row("row", x=1)
    run.log_row("bare")
    run.flush()

    assert run.get_metrics() == {"list": 1, "table": {"x": 1, "y": "a"}, "row": {"x": 1}, "bare": {}}
    assert {name: (m.kind, len(m)) for name, m in run.metrics().items()} == {
        "list": ("list", 1),
        "table": ("table", 1),
        "row": ("row", 1),
        "bare": ("row", 1),
    }


@pytest.mark.parity("MT-07")
def test_rows(run: Run) -> None:
    for n in range(20):
        run.log_row("cosine", angle=n * 0.1, cos=math.cos(n * 0.1))
    run.log_row("R", "a description", x=1)
    run.log_row("different", x=1, gone=None)
    run.log_row("different", y=2)

    assert logged(run, "cosine") == {
        "angle": [n * 0.1 for n in range(20)],
        "cos": [math.cos(n * 0.1) for n in range(20)],
    }
    assert logged(run, "R") == {"x": 1}
    assert logged(run, "different") == {"x": [1, None], "y": [None, 2]}
    with pytest.raises(
        AzureMLException, match=r"Rows cannot contain list values, column x contains a list\."
    ):
        run.log_row("m", x=[1, 2])


@pytest.mark.parity("MT-08")
def test_tables(run: Run) -> None:
    run.log_table("sine", {"angle": [0.0, 0.1], "sine": (math.sin(0.0), math.sin(0.1))})
    run.log_table("array", {"x": np.arange(3), "name": ["a", "b", None]})
    run.log_table("scalars", {"x": 1, "y": "two"})

    assert logged(run, "sine") == {"angle": [0.0, 0.1], "sine": [0.0, math.sin(0.1)]}
    assert logged(run, "array") == {"x": [0, 1, 2], "name": ["a", "b", None]}
    assert logged(run, "scalars") == {"x": 1, "y": "two"}
    with pytest.raises(AzureMLException) as caught:
        run.log_table("uneven", {"x": [1, 2], "y": [1]})
    assert str(caught.value) == (
        "Columns must have the same length, column x had length 2, however, column y had length 1."
    )


@pytest.mark.parity("MT-10")
def test_three_thousand_rows_of_fifteen_columns(run: Run) -> None:
    for n in range(1_000):
        for name in ("first", "second", "third"):
            run.log_row(name, "a description", **{f"c{column}": n * column for column in range(15)})
    run.complete()
    metrics = run.get_metrics()

    assert set(metrics) == {"first", "second", "third"}
    for columns in metrics.values():
        assert columns == {f"c{column}": [n * column for n in range(1_000)] for column in range(15)}


def test_a_large_table_is_split_and_whole_again(run: Run) -> None:
    table = {"n": list(range(60_000)), "text": ["x" * 50] * 60_000}
    run.log_table("large", table)

    assert logged(run, "large") == table
    with pytest.raises(LimitExceeded, match="one call may log"):
        run.log_list("larger", range(600_000))


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parity("MT-12")
def test_one_metric_by_name(run: Run) -> None:
    run.log("scale factor", 2)
    run.log("other", 3)

    assert run.get_metrics(name="scale factor") == {"scale factor": 2}
    assert run.get_metrics("unknown") == {}
    assert run.get_metrics() == {"scale factor": 2, "other": 3}


@pytest.mark.parity("MT-13")
def test_metrics_of_a_tree(run: Run) -> None:
    child = run.child_run()
    silent = run.child_run()
    grandchild = child.child_run()
    run.log("m", 1)
    child.log("m", 2)
    grandchild.log("n", 3)

    assert run.get_metrics(recursive=True) == {run.id: {"m": 1}, child.id: {"m": 2}, grandchild.id: {"n": 3}}
    assert run.get_metrics("n", recursive=True) == {grandchild.id: {"n": 3}}
    assert child.get_metrics(recursive=True) == {child.id: {"m": 2}, grandchild.id: {"n": 3}}
    assert silent.get_metrics(recursive=True) == {}
    assert run.get_metrics(recursive=True, run_type="azureml.scriptrun") == {}
    assert run.get_metrics(recursive=False, run_type="azureml.scriptrun") == {"m": 1}


@pytest.mark.parity("MT-17")
def test_values_of_several_writers_are_in_order_of_time(run: Run) -> None:
    other = in_another_process(run)
    for n in range(20):
        writer = run if n % 2 else other
        writer.log("m", n)
        _later()
    other.flush()

    assert logged(run) == list(range(20))


def _later() -> None:
    """Until the clock shows another millisecond."""
    import time

    start = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == start:
        pass


def test_typed_columns(run: Run) -> None:
    for step in range(5):
        run.log("loss", 1.0 / (step + 1), step=step)
    run.log("count", 1)
    run.log("word", "a")
    run.log_row("row", x=1, y=None)
    run.log_row("row", x=None, y=0.5)
    metrics = run.metrics()
    loss = metrics["loss"]

    assert loss.to_numpy().dtype == np.float64
    assert loss.to_numpy().tolist() == loss.values == [1.0, 0.5, 1 / 3, 0.25, 0.2]
    assert loss.steps_to_numpy().dtype == np.int64
    assert loss.steps_to_numpy().tolist() == [0, 1, 2, 3, 4]
    assert [int(time) for time in loss.times_to_numpy().astype(np.int64)] == loss.times_ms
    assert [round(time.timestamp() * 1_000) for time in loss.times] == loss.times_ms
    assert metrics["count"].to_numpy().dtype == np.int64
    assert np.isnan(metrics["count"].steps_to_numpy()).all()
    assert metrics["word"].to_numpy().dtype == object
    assert metrics["row"].values == [{"x": 1, "y": None}, {"x": None, "y": 0.5}]
    np.testing.assert_array_equal(metrics["row"].to_numpy("x"), [1.0, np.nan])
    assert repr(loss) == "Metric('loss', kind='scalar', points=5)"
    assert [len(metric) for metric in run.metrics("loss", points_max=2).values()] == [2]
    assert set(run.metrics(recursive=True)) == {run.id}
    with pytest.raises(KeyError):
        metrics["row"].to_numpy()


@pytest.mark.parity("MT-21")
def test_refused_values_do_not_keep_a_run_from_ending(run: Run) -> None:
    for bad in (2**63, "\x00", [1]):
        with pytest.raises(Invalid):
            run.log("m", bad)
    run.log("m", 1)
    run.complete()

    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"m": 1}


def test_values_after_the_end_are_taken(run: Run) -> None:
    run.complete()
    run.log("late", 1)
    assert logged(run, "late") == 1
