"""Batches that are folded together are joined: what comes out is what each alone would have brought."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runfold_events.contract.columns import Column, Dtype, pack_floats, pack_integers
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.events import METRICS_LOGGED
from runfold_events.contract.ids import run_stream
from runfold_events.contract.metrics import NO_STEP, MetricBatch, Series, encode_batch
from runfold_events.sync import run_sync
from runfold_projections.decoding import PIECE_POINTS_MAX, Gathering, Piece
from runfold_projections.testing.history import WORKSPACE, MemorySource
from tests.projections.support import Folded, refolded

FORMS = ("plain", "raw", "packed")
STREAM = run_stream(WORKSPACE, "r")


def column_of(form: str, values: array[Any]) -> Column:
    dtype: Dtype = "f64" if values.typecode == "d" else "i64"
    if form == "plain":
        return Column(dtype=dtype, values=[None if value == NO_STEP else value for value in values])
    if form == "raw":
        return Column(dtype=dtype, codec="raw", count=len(values), data=values.tobytes())
    return pack_floats(values) if dtype == "f64" else pack_integers(values)


@st.composite
def series(draw: st.DrawFn) -> Series:
    """With few different steps and times, so that ties are common; packed from 32 points on."""
    count = draw(st.sampled_from([1, 1, 1, 2, 5, 40, 300]))
    seed = draw(st.integers(0, 5))
    values = array("d", (((seed + i) * 7) % 11 - 0.5 * seed for i in range(count)))
    if draw(st.booleans()):
        values[-1] = float("nan")
    name = draw(st.sampled_from(["a", "a.b"]))
    column = draw(st.sampled_from([name, name, "b"]))
    steps = draw(st.sampled_from([None, "some", "none"]))
    numbers = array("q", ((seed * i) % 3 for i in range(count)))
    if steps == "none":
        numbers[0] = NO_STEP
    return Series(
        name=name,
        kind=draw(st.sampled_from(["scalar", "scalar", "row"])),
        times=column_of(
            draw(st.sampled_from(("plain", "packed"))), array("q", (i % 2 for i in range(count)))
        ),
        steps=None if steps is None else column_of("packed" if count > 32 else "plain", numbers),
        columns={column: column_of(draw(st.sampled_from(FORMS)), values)},
    )


BATCHES = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(1, 4),
        st.lists(series(), min_size=1, max_size=3),
        st.sampled_from([JSON, MSGPACK]),
    ),
    max_size=8,
)


def body_of(found: list[Series], content_type: str) -> bytes:
    """A batch; in JSON a plain NaN is a text."""
    if content_type == MSGPACK:
        return encode_batch(found)
    batch = msgspec.to_builtins(MetricBatch(series=found))
    for one in batch["series"]:
        for column in one["columns"].values():
            if "values" in column:
                column["values"] = [value if value == value else "NaN" for value in column["values"]]  # noqa: PLR0124
    return msgspec.json.encode(batch)


def point(step: int | None, value: float, kind: Any = "scalar") -> Series:
    return Series(
        name="a",
        kind=kind,
        times=Column(dtype="i64", values=[0]),
        steps=None if step is None else Column(dtype="i64", values=[step]),
        columns={"a": Column(dtype="f64", values=[value])},
    )


@given(BATCHES)
@example([(2, 1, [point(3, 0.5)], JSON), (1, 9, [point(3, 0.25)], JSON), (1, 2, [point(2, 7.0)], JSON)])
@example([(2, 1, [point(3, 0.5)], JSON), (1, 9, [point(3, 0.25)], MSGPACK), (1, 2, [point(2, 7.0)], JSON)])
@example([(1, 4, [point(None, 0.5)], JSON), (1, 2, [point(None, 0.25)], JSON), (1, 3, [point(1, 9.0)], JSON)])
@example([(1, 4, [point(None, 0.5)], MSGPACK), (1, 2, [point(None, 0.25)], MSGPACK)])
@example([(1, 1, [point(1, 0.5), point(1, 0.75)], MSGPACK), (1, 2, [point(None, 0.25, "row")], MSGPACK)])
def test_together_as_one_by_one(batches: list[tuple[int, int, list[Series], str]]) -> None:
    """Points, who sent them, and which is the latest, in every order of numbers and writers."""
    folded = Folded()
    folded.history.experiment()
    folded.history.create("r")
    for writer, number, found, content_type in batches:
        folded.history.append_body(
            STREAM,
            METRICS_LOGGED,
            body_of(found, content_type),
            content_type=content_type,
            writer_id=UUID(int=writer),
            writer_seq=number,
        )
    assert refolded(folded.source) == refolded(folded.source, batch_events_max=1)


def gathered(bodies: list[bytes]) -> list[Piece]:
    source = MemorySource()
    folded = Folded(source)
    gathering = Gathering()
    for body in bodies:
        event = folded.history.append_body(STREAM, METRICS_LOGGED, body, content_type=MSGPACK)
        gathering.add(event, body)
    return gathering.pieces()


def test_points_that_come_one_by_one_are_one_piece_up_to_a_bound() -> None:
    pieces = gathered([encode_batch([point(step, 0.5 * step)]) for step in range(PIECE_POINTS_MAX + 2)])
    assert [piece.series.count for piece in pieces] == [PIECE_POINTS_MAX, 2]
    assert [(piece.partition, piece.pos) for piece in pieces] == [(0, 0), (0, PIECE_POINTS_MAX)]
    assert [source[1] for piece in pieces for source in piece.sources] == list(range(1, PIECE_POINTS_MAX + 3))
    assert pieces[1].series.columns["a"][1] == array(
        "d", [0.5 * PIECE_POINTS_MAX, 0.5 * (PIECE_POINTS_MAX + 1)]
    )


def test_packed_columns_are_one_piece_with_the_bounds_of_all() -> None:
    def batch(first: int) -> bytes:
        numbers = array("q", range(first, first + 100))
        packed = pack_integers(numbers)
        values = pack_floats(array("d", map(float, numbers)))
        return encode_batch([Series(name="a", times=packed, steps=packed, columns={"a": values})])

    (piece,) = gathered([batch(first) for first in (100, 0, 200)])
    assert piece.series.count == 300
    assert piece.series.times[100] == 0
    bounds = piece.series.bounds["a"]
    assert (bounds.least, bounds.greatest) == (0.0, 299.0)


def broken_pairs() -> Iterator[tuple[str, Series, Series]]:
    """Two series that are no table each, and would be one together."""
    one, two = Column(dtype="i64", values=[1]), Column(dtype="i64", values=[1, 2])
    value, values = Column(dtype="f64", values=[1.0]), Column(dtype="f64", values=[1.0, 2.0])
    yield (
        "values",
        Series(name="a", times=one, columns={"a": values}),
        Series(name="a", times=two, columns={"a": value}),
    )
    yield (
        "steps",
        Series(name="a", times=one, steps=two, columns={"a": value}),
        Series(name="a", times=two, steps=one, columns={"a": values}),
    )
    long, short = struct.pack("<2d", 1, 2), b""
    yield (
        "bytes",
        Series(name="a", times=one, columns={"a": Column(dtype="f64", codec="raw", count=1, data=long)}),
        Series(name="a", times=one, columns={"a": Column(dtype="f64", codec="raw", count=1, data=short)}),
    )
    wrong = Series(name="a", times=Column(dtype="f64", values=[1]), columns={"a": value})
    yield "type of times", wrong, wrong


@pytest.mark.parametrize(
    ("first", "second"), [pair[1:] for pair in broken_pairs()], ids=[p[0] for p in broken_pairs()]
)
def test_what_is_wrong_with_two_is_not_made_right_by_joining_them(first: Series, second: Series) -> None:
    """The views stop before the first one, wherever it stands among others."""
    folded = Folded()
    folded.history.experiment()
    folded.history.create("r")
    for found in (point(1, 0.5), first, second, point(2, 0.5)):
        folded.history.append_body(STREAM, METRICS_LOGGED, encode_batch([found]), content_type=MSGPACK)
    folded.catch_up()
    states = {state.projection: state for state in run_sync(folded.views.states())}
    bad = len(folded.source.events[0]) - 3
    assert {name: states[name].position for name in ("runs", "metrics")} == {"runs": bad, "metrics": bad}
    assert states["history"].position == bad + 3
