"""The part of the ``Views`` port's suite that is about curves: answers are held against all points, one by one."""

from __future__ import annotations

import math
import random
import struct
from array import array
from collections.abc import Sequence
from typing import Any

import pytest

from runfold_events.contract.columns import Column, pack_floats, pack_integers
from runfold_events.contract.errors import Invalid, LimitExceeded, NotFound
from runfold_events.contract.metrics import NO_STEP, Series
from runfold_projections.metrics import curve_chunks
from runfold_projections.model import Axis, Curve, CurveQuery, RunQuery
from runfold_projections.testing.history import START_US, WORKSPACE, floats, table
from runfold_projections.testing.views_scene import Scene, ViewsSuite

_FIRST_MS = START_US // 1_000


def integers(data: bytes | None) -> list[int]:
    """A packed column of i64."""
    assert data is not None
    return list(struct.unpack(f"<{len(data) // 8}q", data))


def reals(data: bytes) -> list[float]:
    """A packed column of f64."""
    return list(struct.unpack(f"<{len(data) // 8}d", data))


def series(values: Sequence[float], steps: Sequence[int], times_ms: Sequence[int] | None = None) -> Series:
    """Points of ``loss``; where no times are given a millisecond apart by their steps."""
    times = [_FIRST_MS + step for step in steps] if times_ms is None else times_ms
    return Series(
        name="loss",
        times=pack_integers(array("q", times)),
        steps=pack_integers(array("q", steps)),
        columns={"loss": pack_floats(array("d", values))},
    )


class Bucket:
    """One bucket of a curve, as plain numbers."""

    def __init__(self, curve: Curve, place: int) -> None:
        buckets = curve.buckets
        assert buckets is not None
        self.x = integers(buckets.x_first)[place], integers(buckets.x_last)[place]
        self.count, self.nan_count = integers(buckets.count)[place], integers(buckets.nan_count)[place]
        self.least, self.greatest = reals(buckets.min)[place], reals(buckets.max)[place]
        self.mean = reals(buckets.mean)[place]
        self.first, self.last = reals(buckets.first)[place], reals(buckets.last)[place]


def buckets_of(curve: Curve) -> list[Bucket]:
    """The buckets of a curve that has more points than were asked for."""
    assert (curve.exact, curve.points) == (False, None)
    assert curve.buckets is not None
    return [Bucket(curve, place) for place in range(len(curve.buckets.count) // 8)]


class CurvesContract(ViewsSuite):
    """Everything that holds of curves for any adapter."""

    def curve(self, scene: Scene, run_id: str = "beside", **query: Any) -> Curve:
        """The only curve of a run."""
        query.setdefault("names", ("loss",))
        (found,) = self.ask(scene.views.curves(WORKSPACE, CurveQuery(runs=(run_id,), **query)))
        return found

    def log(self, scene: Scene, values: Sequence[float], steps: Sequence[int], batch: int = 900) -> None:
        """Points of ``beside``, in batches, folded a few at a time."""
        for start in range(0, len(values), batch):
            part = slice(start, start + batch)
            scene.history.metrics("beside", series(values[part], steps[part]))
        self.ask(scene.views.reach(None))

    def test_a_curve_of_few_points_is_exact(self, filled: Scene) -> None:
        filled.history.metrics("child", series([math.nan, -0.0], [2, 1], [5, 6]))

        curve = self.curve(filled, "child")

        assert (curve.run_id, curve.name, curve.column, curve.kind) == ("child", "loss", "loss", "scalar")
        assert (curve.x, curve.dtype, curve.exact, curve.buckets) == ("step", "f64", True, None)
        assert (curve.total, curve.count, curve.nan_count) == (5, 5, 1)
        assert curve.points is not None
        assert integers(curve.points.x) == integers(curve.points.steps) == [0, 1, 1, 2, 2]
        values = reals(curve.points.values)
        assert values[:2] == [0.9, 0.5]
        assert math.copysign(1, values[2]) == -1
        assert values[3] == 0.7
        assert math.isnan(values[4])
        assert integers(curve.points.times_ms) == [_FIRST_MS, _FIRST_MS + 1, 6, _FIRST_MS + 2, 5]
        by_time = self.curve(filled, "child", x="time")
        assert by_time.points is not None
        assert integers(by_time.points.x) == [5, 6, _FIRST_MS, _FIRST_MS + 1, _FIRST_MS + 2]

    def test_curves_come_by_run_then_by_metric(self, filled: Scene) -> None:
        def asked(**query: Any) -> list[tuple[str, str]]:
            found = self.ask(filled.views.curves(WORKSPACE, CurveQuery(**query)))
            return [(curve.run_id, curve.name) for curve in found]

        assert asked(runs=("root", "child")) == [("root", "best"), ("child", "loss"), ("child", "acc")]
        assert asked(runs=("child", "root", "child"), names=("acc", "best")) == [
            ("child", "acc"),
            ("root", "best"),
        ]
        below = RunQuery(filter='tags.kind = "trial"', include_children=True)
        assert asked(query=below, names=("loss",)) == [("child", "loss")]
        assert asked(runs=("root",), names=("nothing", "\x00")) == []
        assert asked(runs=("root",), names=("\x00",)) == []

    def test_a_curve_of_many_points_comes_in_buckets_that_hold_each_once(self, filled: Scene) -> None:
        values = [math.sin(i / 50) for i in range(9_000)]
        values[10] = math.nan
        self.log(filled, values, range(9_000))

        curve = self.curve(filled, points_max=100)

        buckets = buckets_of(curve)
        assert (curve.total, curve.count, curve.nan_count) == (9_000, 9_000, 1)
        assert [bucket.count for bucket in buckets] == [90] * 100
        for place, bucket in enumerate(buckets):
            self.check(bucket, values[place * 90 : place * 90 + 90])
            assert bucket.x == (place * 90, place * 90 + 89)

    def check(self, bucket: Bucket, values: Sequence[float]) -> None:
        """A bucket says of ``values`` what is so."""
        numbers = [value for value in values if not math.isnan(value)]
        assert (bucket.count, bucket.nan_count) == (len(values), len(values) - len(numbers))
        assert (bucket.least, bucket.greatest) == (min(numbers), max(numbers))
        assert bucket.mean == pytest.approx(math.fsum(numbers) / len(numbers))
        assert struct.pack("<2d", bucket.first, bucket.last) == struct.pack("<2d", values[0], values[-1])

    def test_sealed_chunks_are_the_first_zoom_level(self, filled: Scene) -> None:
        """Where fewer buckets are asked for than would cut each chunk in two, no point is looked at."""
        values = [float(i % 1_000) for i in range(4_096 * 3 + 10)]
        self.log(filled, values, range(len(values)))

        coarse = buckets_of(self.curve(filled, points_max=4))
        assert [bucket.count for bucket in coarse] == [4_096, 4_096, 4_096, 10]
        for place, bucket in enumerate(coarse):
            self.check(bucket, values[place * 4_096 : place * 4_096 + 4_096])
        two = buckets_of(self.curve(filled, points_max=2))
        assert [bucket.count for bucket in two] == [8_192, 4_106]
        self.check(two[1], values[8_192:])

    def test_a_range_cuts_the_axis(self, filled: Scene) -> None:
        values = [float(i) for i in range(9_000)]
        self.log(filled, values, [2 * i for i in range(9_000)])

        some = self.curve(filled, start=8_191, stop=8_201)
        assert some.points is not None
        assert integers(some.points.x) == [8_192, 8_194, 8_196, 8_198, 8_200]
        assert reals(some.points.values) == [4_096.0, 4_097.0, 4_098.0, 4_099.0, 4_100.0]
        time = self.curve(filled, x="time", start=_FIRST_MS + 17_990)
        assert (time.count, time.exact) == (5, True)
        index = self.curve(filled, x="index", start=4_000, stop=4_200)
        assert index.points is not None
        assert integers(index.points.x) == list(range(4_000, 4_200))
        wide = buckets_of(self.curve(filled, start=100, stop=17_000, points_max=500))
        assert sum(bucket.count for bucket in wide) == 8_450
        assert (wide[0].x[0], wide[-1].x[1]) == (100, 16_998)
        assert self.curve(filled, start=18_000).count == 0
        assert self.curve(filled, start=5, stop=5).exact

    def test_the_last_points_are_those_furthest_along_the_axis(self, filled: Scene) -> None:
        values = [float(i) for i in range(9_000)]
        self.log(filled, values, [9_000 - i for i in range(9_000)])

        last = self.curve(filled, last=3)
        assert last.points is not None
        assert integers(last.points.x) == [8_998, 8_999, 9_000]
        assert reals(last.points.values) == [2.0, 1.0, 0.0]
        assert reals(self.curve(filled, x="index", last=2).points.values) == [8_998.0, 8_999.0]  # type: ignore[union-attr]
        before = self.curve(filled, last=2, stop=10)
        assert before.points is not None
        assert integers(before.points.x) == [8, 9]

    @pytest.mark.parametrize("points_max", [3, 200, 20_000])
    def test_steps_in_any_order_lose_no_point(self, filled: Scene, points_max: int) -> None:
        """What buckets say is exact whatever the order; they may overlap where chunks do."""
        rng = random.Random(points_max)
        steps = [rng.randrange(5_000) for _ in range(9_000)]
        values = [rng.choice([math.nan, math.inf, -0.0, rng.gauss(0, 1)]) for _ in steps]
        self.log(filled, values, steps)
        numbers = [value for value in values if not math.isnan(value)]

        curve = self.curve(filled, points_max=points_max)

        assert (curve.count, curve.nan_count) == (9_000, 9_000 - len(numbers))
        if points_max > 9_000:
            assert curve.points is not None
            expected = sorted(zip(steps, values, strict=True), key=lambda pair: pair[0])
            assert integers(curve.points.x) == [step for step, _ in expected]
            packed = struct.pack("<9000d", *(value for _, value in expected))
            assert curve.points.values == packed
            return
        buckets = buckets_of(curve)
        assert len(buckets) == points_max
        assert sum(bucket.count for bucket in buckets) == 9_000
        assert min(bucket.least for bucket in buckets) == min(numbers)
        assert [bucket.x[0] for bucket in buckets] == sorted(bucket.x[0] for bucket in buckets)
        assert (buckets[0].x[0], max(bucket.x[1] for bucket in buckets)) == (min(steps), max(steps))
        part = self.curve(filled, points_max=points_max, start=1_000, stop=1_500)
        inside = sum(1_000 <= step < 1_500 for step in steps)
        assert part.count == inside

    @pytest.mark.parametrize("axis", ["step", "time", "index"])
    def test_a_part_of_a_long_series_is_the_same_though_its_other_chunks_are_not_read(
        self, filled: Scene, axis: Axis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = random.Random(axis)
        self.log_in_disorder(filled, rng)
        bounds = [None, -(2**63), 0, *(rng.randrange(26_000) for _ in range(9)), 2**63 - 1]
        if axis == "time":
            bounds = [None if bound is None else min(bound + _FIRST_MS, 2**63 - 1) for bound in bounds]
        for _ in range(60):
            query = CurveQuery(
                runs=("beside",),
                x=axis,
                start=rng.choice(bounds),
                stop=rng.choice(bounds),
                last=rng.choice([None, 1, 700, 4_500]),
                points_max=5_000,
            )
            monkeypatch.setattr(curve_chunks, "LONG_CHUNKS", 10**9)
            whole = self.ask(filled.views.curves(WORKSPACE, query))
            monkeypatch.setattr(curve_chunks, "LONG_CHUNKS", 0)
            assert self.ask(filled.views.curves(WORKSPACE, query)) == whole, query

    def log_in_disorder(self, scene: Scene, rng: random.Random) -> None:
        """Points of ``beside``: those of ``row`` have two columns, one of them early, and most have no step."""
        steps = [max(0, place + rng.randrange(-3_000, 3_000)) for place in range(22_000)]
        self.log(scene, [rng.choice([math.nan, float(step)]) for step in steps], steps)
        for first in range(0, 14_000, 2_000):
            values = [float(place) for place in range(first, first + 2_000)]
            cells: dict[str, Column] = {"a": Column(dtype="f64", values=list(values))}
            if first < 8_000:
                cells["b"] = Column(dtype="any", values=[rng.choice([None, 1.5, "x"]) for _ in values])
            some = [None if first == 4_000 or rng.random() < 0.7 else int(value) for value in values]
            times = [_FIRST_MS + int(value) for value in values]
            scene.history.metrics("beside", table("row", cells, times, some, kind="table"))
        self.ask(scene.views.reach(None))

    def test_without_steps_points_are_counted_and_with_some_the_others_are_left_out(
        self, filled: Scene
    ) -> None:
        filled.history.metrics("beside", floats("loss", [1.0, 2.0], None))
        plain = self.curve(filled)
        assert (plain.x, plain.count) == ("index", 2)
        assert plain.points is not None
        assert (integers(plain.points.x), plain.points.steps) == ([0, 1], None)

        filled.history.metrics("beside", series([3.0], [7]))
        mixed = self.curve(filled)
        assert (mixed.x, mixed.total, mixed.count) == ("step", 3, 1)
        assert integers(self.curve(filled, x="time").points.steps) == [NO_STEP, NO_STEP, 7]  # type: ignore[union-attr]

        self.log(filled, [0.5] * 5_000, range(5_000))
        assert (self.curve(filled).total, self.curve(filled, points_max=2).count) == (5_003, 5_001)

    def test_only_numbers_are_drawn_and_integers_stay_integers(self, filled: Scene) -> None:
        cells: dict[str, Column] = {
            "i": Column(dtype="i64", values=[2**63 - 1, -5]),
            "s": Column(dtype="str", values=["1", "2"]),
            "b": Column(dtype="bool", values=[True, False]),
            "a": Column(dtype="any", values=[None, 3]),
        }
        filled.history.metrics("beside", table("row", cells, [1, 2], kind="table"))

        found = self.ask(filled.views.curves(WORKSPACE, CurveQuery(runs=("beside",))))

        assert [(curve.column, curve.count) for curve in found] == [("i", 2), ("s", 0), ("b", 0), ("a", 1)]
        whole, _, _, mixed = found
        assert whole.dtype == "i64"
        assert whole.points is not None
        assert integers(whole.points.values) == [2**63 - 1, -5]
        assert mixed.points is not None
        assert (reals(mixed.points.values), integers(mixed.points.x)) == ([3.0], [1])

    def test_infinities_and_nothing_but_nan(self, filled: Scene) -> None:
        values = [math.inf, -math.inf] * 2_048 + [math.nan] * 4_096 + [1e308] * 4_096
        self.log(filled, values, range(len(values)))

        first, second, third = buckets_of(self.curve(filled, points_max=3))

        assert (first.least, first.greatest, math.isnan(first.mean)) == (-math.inf, math.inf, True)
        assert (second.count, second.nan_count, math.isnan(second.least)) == (4_096, 4_096, True)
        assert third.least == 1e308
        assert third.mean == pytest.approx(1e308)

    def test_queries_for_curves_that_are_none(self, filled: Scene) -> None:
        def ask(**query: Any) -> None:
            self.ask(filled.views.curves(WORKSPACE, CurveQuery(**query)))

        for query in (
            {},
            {"runs": ("root",), "query": RunQuery()},
            {"runs": ("root",), "points_max": 0},
            {"runs": ("root",), "points_max": 10, "last": 11},
            {"runs": ("root",), "start": 2**63},
        ):
            with pytest.raises(Invalid):
                ask(**query)
        for run_id in ("nobody", "\ud800"):
            with pytest.raises(NotFound):
                ask(runs=("root", run_id))
        with pytest.raises(LimitExceeded) as caught:
            ask(runs=("root", "child"), points_max=500_000)
        assert caught.value.facts["limit"] == 333_333
        with pytest.raises(LimitExceeded):
            ask(runs=tuple(map(str, range(1_001))))
