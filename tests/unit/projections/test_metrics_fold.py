"""Chunks and tails: what is kept of points, and that it comes back as it was."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold_events.contract.columns import Column, Dtype, pack_floats, pack_integers
from runfold_events.contract.metrics import Series
from runfold_events.sync import run_sync
from runfold_projections.metrics import chunks, codec, queries
from runfold_projections.metrics.chunks import CHUNK_POINTS
from runfold_projections.model import SeriesData
from runfold_projections.projection import FoldError
from runfold_projections.stores.sqlite import SqliteTables
from runfold_projections.testing.history import WORKSPACE, floats, table
from tests.projections.support import Folded, refolded


@pytest.fixture
def folded() -> Folded:
    folded = Folded()
    folded.history.experiment()
    folded.history.create("r")
    return folded


def read(folded: Folded, name: str = "loss", **options: Any) -> SeriesData:
    return run_sync(folded.views.metrics(WORKSPACE, "r", names=(name,), **options))[0]


def test_the_metrics_of_a_family_take_as_many_questions_as_those_of_two(
    folded: Folded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a network each question is a journey; their number must not grow with the children."""
    asked: list[str] = []
    tables = SqliteTables

    def counted(name: str) -> Any:
        original = getattr(tables, name)

        async def call(self: SqliteTables, statement: str, *rest: Any) -> Any:
            asked.append(statement)
            return await original(self, statement, *rest)

        return call

    def questions() -> list[str]:
        asked.clear()
        found = run_sync(folded.views.metrics(WORKSPACE, "r", recursive=True))
        assert len(found) == 2 * children
        assert {(one.run_id, one.name) for one in found} == {
            (f"c{child}", name) for child in range(children) for name in ("loss", "acc")
        }
        return list(asked)

    children = 0
    seen: list[list[str]] = []
    for wanted in (2, 30):
        for child in range(children, wanted):
            folded.history.create(f"c{child}", parent="r")
            folded.history.log(f"c{child}", "loss", [1.0 * child, 2.0])
            folded.history.log(f"c{child}", "acc", [0.5])
        children = wanted
        folded.catch_up()
        with monkeypatch.context() as patched:
            for name in ("fetch", "fetch_many", "fetch_compiled"):
                patched.setattr(tables, name, counted(name))
            seen.append(questions())

    assert seen[0] == seen[1]


def bits(values: list[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def fill(folded: Folded, sizes: list[int]) -> list[float]:
    """Batches of these sizes; returns all values."""
    values: list[float] = []
    for size in sizes:
        batch = [math.sin(len(values) + i) for i in range(size)]
        folded.history.log("r", "loss", batch, len(values))
        values.extend(batch)
    return values


@pytest.mark.parametrize(
    "sizes",
    [
        [4_095],
        [4_096],
        [4_097],
        [4_095, 1],
        [4_095, 2],
        [1, 4_095, 1],
        [4_096, 4_096],
        [3_000, 3_000, 3_000],
        [10_000],
        [5, 20_000, 5],
        [1_000] * 9,
    ],
)
@pytest.mark.parametrize("batch_events_max", [1, 3, 100])
def test_chunks_are_cut_at_4096_points_whatever_the_batches(sizes: list[int], batch_events_max: int) -> None:
    folded = Folded(batch_events_max=batch_events_max)
    folded.history.experiment()
    folded.history.create("r")
    values = fill(folded, sizes)

    dump = folded.dump()
    total = sum(sizes)

    assert [row[1:3] for row in dump["metrics.chunk"]] == [
        (i, CHUNK_POINTS) for i in range(total // CHUNK_POINTS)
    ]
    assert sum(row[2] for row in dump["metrics.tail"]) == total % CHUNK_POINTS
    assert dump == refolded(folded.source)
    series = read(folded)
    assert (series.count, bits(series.columns["loss"])) == (total, bits(values))
    assert series.steps == list(range(total))


def tail_bytes(folded: Folded) -> int:
    """What the tails take that are in the tables."""

    async def measure() -> int:
        async with folded.store.snapshot() as session:
            view = session.of((await session.catalogue()).active["metrics"])
            return sum(len(row[0]) for row in await view.fetch_compiled("SELECT body FROM {p}tail", ()))

    return run_sync(measure())


def test_a_long_column_stays_in_the_tail_as_it_was_sent(folded: Folded) -> None:
    """Beside those that were not packed, and bit for bit, before its points are sealed and after."""
    count = 1_500  # so that two are a tail, and of the third a part is left over
    odd_nan = struct.unpack("<d", b"\x01\x02\x03\x04\x05\x06\xf8\x7f")[0]
    written = [odd_nan, -0.0, math.inf, *(0.5 * i for i in range(3, count))]
    whole = [i * i - 7 for i in range(count)]
    columns = {
        "packed": pack_floats(array("d", written)),
        "whole": pack_integers(array("q", whole)),
        "plain": Column(dtype="f64", values=[1.0 * i for i in range(count)]),
        "flag": Column(dtype="bool", codec="raw", count=count, data=bytes([1, 0, 0] * (count // 3))),
        "text": Column(dtype="str", values=[f"{i % 10}" for i in range(count)]),
    }
    for batches in (1, 2, 3):
        points = array("q", range(count * (batches - 1), count * batches))
        axis = pack_integers(points)
        folded.history.metrics("r", Series(name="t", times=axis, steps=axis, columns=columns))
        folded.catch_up()
        found = read(folded, "t")
        assert found.count == count * batches
        assert bits(found.columns["packed"]) == bits(written * batches)
        assert found.columns["whole"] == whole * batches
        assert found.columns["plain"] == [1.0 * i for i in range(count)] * batches
        assert found.columns["flag"] == [True, False, False] * (count // 3) * batches
        assert found.columns["text"] == [f"{i % 10}" for i in range(count)] * batches
        assert folded.dump() == refolded(folded.source)


def test_a_tail_of_packed_columns_takes_what_they_take(folded: Folded) -> None:
    count = 1_000
    event = folded.history.log("r", "loss", [1.0 / (1 + i) for i in range(count)])
    folded.catch_up()
    assert event.body is not None
    assert tail_bytes(folded) < len(event.body) + 200 < 2 * 8 * count


def test_a_tail_of_joined_batches_keeps_times_and_steps_narrow(folded: Folded) -> None:
    values = fill(folded, [100] * 10)
    folded.catch_up()
    assert tail_bytes(folded) < 12 * len(values)
    found = read(folded)
    assert found.steps == list(range(len(values)))
    assert bits(found.columns["loss"]) == bits(values)
    assert folded.dump() == refolded(folded.source, batch_events_max=1)


def test_one_tail_row_per_batch_and_series(folded: Folded) -> None:
    folded.history.metrics("r", floats("a", [1.0, 2.0]), floats("b", [3.0]))
    folded.history.metrics("r", floats("a", [4.0], 2), floats("a", [5.0], 3))

    tails = folded.rows("metrics.tail")

    assert [(row[1], row[2]) for row in tails] == [(0, 2), (2, 1), (3, 1), (0, 1)]
    assert read(folded, "a").columns["a"] == [1.0, 2.0, 4.0, 5.0]


def test_summaries_of_a_chunk_are_over_numbers(folded: Folded) -> None:
    values = [math.nan, *(float(i) for i in range(4_094)), math.nan]
    folded.history.log("r", "loss", values)
    folded.history.metrics(
        "r", table("t", {"t": Column(dtype="str", values=[*"x" * CHUNK_POINTS])}, range(CHUNK_POINTS))
    )

    number, text = folded.rows("metrics.column")

    # name, count, numbers, nan_count, min, max, mean, first, last
    assert number[2:11] == ("loss", 4_096, 4_094, 2, 0, 4_093, 2_046.5, None, None)
    assert text[2:11] == ("t", 4_096, 0, 0, None, None, None, None, None)
    with_steps, without = folded.rows("metrics.chunk")
    assert with_steps[5:8] == (0, 4_095, 0)  # least and greatest step, points that have none
    assert without[5:8] == (None, None, 4_096)


SPECIAL = [
    math.nan,
    -math.nan,
    struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_DEAD_BEEF))[0],
    struct.unpack("<d", struct.pack("<Q", 0xFFF0_0000_0000_0001))[0],
    math.inf,
    -math.inf,
    0.0,
    -0.0,
    5e-324,
    1.7976931348623157e308,
]


def test_every_bit_of_a_float_survives_tail_and_chunk(folded: Folded) -> None:
    folded.history.log("r", "loss", SPECIAL)
    assert bits(read(folded).columns["loss"]) == bits(SPECIAL)

    many = SPECIAL * 900
    folded.history.log("r", "loss", many, len(SPECIAL))
    assert bits(read(folded).columns["loss"]) == bits(SPECIAL + many)
    assert len(folded.rows("metrics.chunk")) == 2


CELLS: dict[Dtype, list[Any]] = {
    "f64": [1.5, -2.0, 3.0],
    "i64": [1, -(2**63), 2**63 - 1],
    "bool": [True, False, True],
    "str": ["", "é", "x" * 100],
    "any": [None, 1, "two"],
}


@pytest.mark.parametrize("more", [0, 1_400])
def test_columns_keep_types_and_gaps(folded: Folded, more: int) -> None:
    """Batches of one name may differ in their columns and types; each cell comes back as it was sent."""
    time = 0
    expected: dict[str, list[Any]] = {"x": [], "y": []}
    for _ in range(1 + more // 3):
        for dtype, cells in CELLS.items():
            columns = {"x": Column(dtype=dtype, values=cells)}
            if dtype != "bool":
                columns["y"] = Column(dtype="i64", values=[7, 8, 9])
            folded.history.metrics("r", table("row", columns, [time, time + 1, time + 2], kind="row"))
            time += 3
            expected["x"] += cells
            expected["y"] += [None] * 3 if dtype == "bool" else [7, 8, 9]

    series = read(folded, "row")

    assert series.kind == "row"
    assert series.columns == expected
    assert [type(v) for v in series.columns["x"]] == [type(v) for v in expected["x"]]
    info = run_sync(folded.views.series(WORKSPACE, "r"))
    assert [(one.name, one.count, one.columns) for one in info] == [("row", time, ("x", "y"))]


@pytest.mark.parametrize("filler", [0, 5_000])
def test_steps_may_be_missing_repeated_and_in_any_order(folded: Folded, filler: int) -> None:
    steps: list[int | None] = [5, None, -3, 5, -(2**63) + 1, 2**63 - 1]
    column = Column(dtype="f64", values=[float(i) for i in range(6)])
    if filler:
        folded.history.metrics("r", floats("loss", [0.0] * filler, None, time_ms=-filler))
    folded.history.metrics("r", table("loss", {"loss": column}, range(6), steps))

    assert read(folded).steps == [None] * filler + steps


def test_points_come_in_order_of_time_writer_number_and_index(folded: Folded) -> None:
    def send(writer: int, number: int, times: list[int], value: float) -> None:
        column = Column(dtype="f64", values=[value + i / 10 for i in range(len(times))])
        folded.history.metrics(
            "r", table("loss", {"loss": column}, times), writer_id=UUID(int=writer), writer_seq=number
        )

    send(2, 1, [10, 20], 1.0)
    send(1, 9, [10, 5], 2.0)
    send(1, 3, [10, 10], 3.0)

    series = read(folded)

    assert series.times_ms == [5, 10, 10, 10, 10, 20]
    assert series.columns["loss"] == [2.1, 3.0, 3.1, 2.0, 1.0, 1.1]


@given(st.data())
def test_many_points_are_ordered_as_few_are(data: st.DataObject) -> None:
    """The order that NumPy makes is the plain one."""
    folded = Folded()
    folded.history.experiment()
    folded.history.create("r")
    expected: list[tuple[int, int, int, int, float]] = []
    for number in range(1, data.draw(st.integers(1, 5)) + 1):
        writer = data.draw(st.integers(1, 2))
        times = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
        values = [number + i / 10 for i in range(len(times))]
        expected += [(t, writer, number, i, v) for i, (t, v) in enumerate(zip(times, values, strict=True))]
        folded.history.metrics(
            "r",
            table("loss", {"loss": Column(dtype="f64", values=list(values))}, times),
            writer_id=UUID(int=writer),
            writer_seq=number,
        )
    for least in (0, queries.NUMPY_FROM_POINTS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(queries, "NUMPY_FROM_POINTS", least)
            assert read(folded).columns["loss"] == [one[-1] for one in sorted(expected)]


def test_the_last_points_are_the_latest_also_when_they_came_early(folded: Folded) -> None:
    late = [float(i) for i in range(10)]
    folded.history.metrics("r", floats("loss", late, None, time_ms=10_000_000))
    for start in range(0, 20_000, 5_000):
        folded.history.metrics("r", floats("loss", [0.5] * 5_000, None, time_ms=start))
    everything = read(folded)

    for points_max in (1, 10, 11, 4_096, 9_000, 20_009, 20_010, 50_000):
        series = read(folded, points_max=points_max)
        assert series.times_ms == everything.times_ms[-points_max:]
        assert series.columns["loss"] == everything.columns["loss"][-points_max:]
        assert series.count == min(points_max, 20_010)


def test_the_last_points_of_an_orderly_series_load_few_chunks(
    folded: Folded, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folded, [1_000] * 41)
    unpacked: list[Any] = []
    original = chunks.unpack_column

    def counting(packed_parts: Sequence[bytes]) -> Any:
        unpacked.append(packed_parts)
        return original(packed_parts)

    monkeypatch.setattr(queries, "unpack_column", counting)

    assert read(folded, points_max=10).steps == list(range(40_990, 41_000))
    assert len(unpacked) == 0
    assert read(folded, points_max=5_000).steps[0] == 36_000
    assert len(unpacked) == 2


def test_a_float32_like_loss_takes_little_room(folded: Folded) -> None:
    """At most 4.5 bytes a point, steps and times included; the figure of the storage goal."""
    import numpy as np

    random = np.random.default_rng(7)
    count = 20 * CHUNK_POINTS
    steps = np.arange(count)
    values = (np.exp(-steps / 30_000) + random.normal(0, 0.01, count)).astype(np.float32).astype(np.float64)
    times = 1_700_000_000_000 + np.cumsum(random.integers(30, 45, count))
    for start in range(0, count, 1_000):
        piece = slice(start, start + 1_000)
        folded.history.metrics(
            "r",
            Series(
                name="loss",
                times=pack_integers(array("q", times[piece].tolist())),
                steps=pack_integers(array("q", steps[piece].tolist())),
                columns={"loss": pack_floats(array("d", values[piece].tolist()))},
            ),
        )
    folded.catch_up()

    async def size() -> int:
        async with folded.store.snapshot() as session:
            view = session.of((await session.catalogue()).active["metrics"])
            axes = "SELECT sum(length(times) + length(steps) + length(sources)) FROM {p}chunk"
            columns = await view.fetch_compiled("SELECT sum(length(body)) FROM {p}column", ())
            return int((await view.fetch_compiled(axes, ()))[0][0] + columns[0][0])

    assert run_sync(size()) / count < 4.5


def test_unknown_codecs_and_wrong_sizes_are_refused() -> None:
    packed = codec.pack_floats(bytes(8) * 100)
    assert codec.unpack_floats(packed, 100) == bytes(800)
    with pytest.raises(FoldError, match="codec"):
        codec.unpack_floats(b"\x07" + packed[1:], 100)
    with pytest.raises(FoldError, match="values"):
        codec.unpack_floats(packed, 101)
    with pytest.raises(FoldError, match="bytes"):
        codec.unpack_bytes(b"\x00abc", 4)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_integers_pack_and_unpack(values: list[int]) -> None:
    raw = array("q", values).tobytes()
    assert codec.unpack_integers(codec.pack_integers(raw), len(values)) == raw
    assert codec.unpack_floats(codec.pack_floats(raw), len(values)) == raw
    assert codec.unpack_bytes(codec.pack_bytes(raw), len(raw)) == raw


def test_golden_packed_columns_stay_readable() -> None:
    """Bytes written by the first release: decoders stay for ever."""
    integers = array("q", range(1_000, 1_040)).tobytes()
    packed = bytes.fromhex("0128b52ffd6040006d000020e801030002001340c51f8005")
    assert codec.unpack_integers(packed, 40) == integers
    assert codec.unpack_integers(b"\x00" + integers, 40) == integers
    packed = bytes.fromhex("0128b52ffd604000750000200000f83f0310004a51de358505")
    assert codec.unpack_floats(packed, 40) == array("d", [1.5] * 40).tobytes()
