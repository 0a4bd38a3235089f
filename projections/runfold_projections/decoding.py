"""The series of metric batches as folds see them: those of many batches gathered, joined and unpacked together.

What a fold does for a series costs the same for a point as for thousands. So where batches of one fold go on with a
series in the same form, their points are one piece, be it one that hundreds of batches brought a point each of.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.columns import NUMBER_BYTES, Codec, Column, Dtype, Packed, Values
from runfold_events.contract.envelope import PublicEvent
from runfold_events.contract.metrics import (
    DecodedSeries,
    MetricBatch,
    OpenSeries,
    PlainSeries,
    Series,
    as_integers,
    open_parsed,
    parse_batch,
    plain_series,
)
from runfold_projections.arithmetic import Bounds, undo_together

SENT_FROM_POINTS: Final = 256
PIECE_POINTS_MAX: Final = 4_096  # of joined batches; one batch may have more
# Of batches with series so short, and no more of them than keep the bounds of a batch, the columns are joined as they
# were sent and checked once.
_SHORT_POINTS_MAX: Final = 64
_SHORT_SERIES_MAX: Final = limits.METRIC_POINTS_PER_BATCH_MAX // _SHORT_POINTS_MAX
_PARTITION_SHIFT: Final = 52
_ORDINAL_BITS: Final = 14  # a batch has at most METRIC_SERIES_PER_BATCH_MAX = 10,000 series

SentColumn = tuple[Codec, bytes]
Source = tuple[bytes, int, int, int]  # writer, its number, index of the first point, how many


class Sent(Struct, frozen=True, gc=False):
    """The packed columns of a series as its batch brought them; None and left out are those that were plain."""

    times: SentColumn | None
    steps: SentColumn | None
    columns: dict[str, SentColumn]


class FoldSeries(DecodedSeries, frozen=True, kw_only=True, gc=False):
    """One series, with what became known of it while it was unpacked."""

    time_bounds: Bounds | None = None
    step_bounds: Bounds | None = None
    bounds: dict[str, Bounds]  # by column
    sent: Sent | None = None  # of one batch, of :data:`SENT_FROM_POINTS` points and more


class Piece(Struct, frozen=True, gc=False):
    """Points of one series that come one behind the other, of one batch or of several of one form."""

    stream: str
    place: int  # of the first batch's series among all series of all batches: partition, position and ordinal
    sources: list[Source]  # who sent which points
    series: FoldSeries

    @property
    def partition(self) -> int:
        return self.place >> _PARTITION_SHIFT

    @property
    def pos(self) -> int:
        """Of the first batch."""
        return (self.place & ((1 << _PARTITION_SHIFT) - 1)) >> _ORDINAL_BITS


class _Draft(Struct):
    """A piece while batches are added to it."""

    stream: str
    place: int
    form: object  # what two batches must have in common to be joined; None: nothing can be
    count: int
    sources: list[Source]
    plain: list[PlainSeries] = []  # with which nothing is wrong
    series: list[Series] = []  # short ones, as they were sent
    opened: list[OpenSeries] = []


class Gathering:
    """Metric batches in the order of their positions, on their way into pieces."""

    def __init__(self) -> None:
        self._drafts: list[_Draft] = []
        self._last: dict[tuple[str, str], _Draft] = {}  # by stream and series

    def add(self, event: PublicEvent, body: bytes) -> None:
        """Take in one metric batch.

        Raises:
            Invalid, LimitExceeded: this is none.
        """
        place = event.partition << _PARTITION_SHIFT | event.pos << _ORDINAL_BITS
        plain = plain_series(event.content_type, body)
        form: object
        if plain is not None:
            for ordinal, one in enumerate(plain):
                form = _PLAIN_WITHOUT_STEPS if one.steps is None else _PLAIN
                self._draft(event, place | ordinal, one.name, form, len(one.times.values)).plain.append(one)
            return
        batch = parse_batch(event.content_type, body)
        if _is_short(batch):
            for ordinal, short in enumerate(batch.series):
                count = len(short.times.values or ())
                self._draft(event, place | ordinal, short.name, _form_of(short), count).series.append(short)
            return
        for ordinal, opened in enumerate(open_parsed(batch)):
            if opened.count:
                form = _packed_form(opened)
                self._draft(event, place | ordinal, opened.name, form, opened.count).opened.append(opened)

    def forget(self, stream: str) -> None:
        """Drop what was gathered of an erased run."""
        self._drafts = [draft for draft in self._drafts if draft.stream != stream]
        self._last = {key: draft for key, draft in self._last.items() if key[0] != stream}

    def pieces(self) -> list[Piece]:
        """All that was gathered, in the order in which it began.

        Raises:
            Invalid, LimitExceeded: something is wrong with a column of one of the batches.
        """
        opened = [_opened(draft) for draft in self._drafts]
        return [
            Piece(draft.stream, draft.place, draft.sources, series)
            for draft, series in zip(self._drafts, _unpack(opened), strict=True)
        ]

    def _draft(self, event: PublicEvent, place: int, name: str, form: object, count: int) -> _Draft:
        """The one that a series goes into, which it was counted in."""
        key = (event.stream, name)
        source = (event.writer_id.bytes, event.writer_seq, 0, count)
        draft = self._last.get(key)
        if draft is not None and form == draft.form is not None and draft.count + count <= PIECE_POINTS_MAX:
            draft.count += count
            draft.sources.append(source)
            return draft
        draft = self._last[key] = _Draft(event.stream, place, form, count, [source])
        self._drafts.append(draft)
        return draft


def _opened(draft: _Draft) -> list[OpenSeries]:
    """What was gathered in a draft; raises what :meth:`Gathering.pieces` does."""
    if draft.plain:
        return [_joined_plain(draft.plain)]
    return draft.opened or open_parsed(MetricBatch(series=[_joined(draft)]))


# Plain series, joined as they were read

_PLAIN: Final = "plain"
_PLAIN_WITHOUT_STEPS: Final = "plain, without steps"


def _joined_plain(found: Sequence[PlainSeries]) -> OpenSeries:
    times, values = array("q"), array("d")
    name = found[0].name
    for one in found:
        times.fromlist(one.times.values)
        values.fromlist(one.columns[name].values)
    steps: array[int] | None = None
    if found[0].steps is not None:
        steps = array("q")
        for one in found:
            steps.fromlist([] if one.steps is None else one.steps.values)
    return OpenSeries(name, "scalar", len(times), times, steps, {name: ("f64", values)}, "")


# Short series, joined as they were sent


def _is_short(batch: MetricBatch) -> bool:
    return len(batch.series) <= _SHORT_SERIES_MAX and all(map(_is_short_series, batch.series))


def _is_short_series(series: Series) -> bool:
    """True for a few numbers of one name whose columns agree in type and number: what is wrong is in their cells."""
    times, steps, columns = series.times, series.steps, series.columns
    count = _plain_count(times, "i64")
    values = columns.get(series.name)
    if values is None or len(columns) != 1 or not 0 < count <= _SHORT_POINTS_MAX:
        return False
    if steps is not None and _plain_count(steps, "i64") != count:
        return False
    if values.codec != "raw":
        return _plain_count(values, "f64") == count
    data = values.data
    return (
        values.dtype == "f64"
        and values.count == count
        and data is not None
        and len(data) == count * NUMBER_BYTES
        and values.values is None
    )


def _plain_count(column: Column, dtype: Dtype) -> int:
    """The number of values of a plain column of one type; 0 of one that is anything else."""
    values = column.values
    is_plain = column.codec is None and column.data is None and column.count is None
    return len(values) if values is not None and is_plain and column.dtype == dtype else 0


def _form_of(series: Series) -> tuple[object, ...]:
    return series.kind, series.steps is None, series.columns[series.name].codec, series.description


def _joined(draft: _Draft) -> Series:
    """The series of a draft as one, with which everything is wrong that is wrong with one of them."""
    found = draft.series
    first = found[0]
    if len(found) == 1:
        return first
    name = first.name
    return Series(
        name=name,
        kind=first.kind,
        description=first.description,
        times=_joined_column([series.times for series in found]),
        steps=None
        if first.steps is None
        else _joined_column([s.steps for s in found if s.steps is not None]),
        columns={name: _joined_column([series.columns[name] for series in found])},
    )


def _joined_column(columns: Sequence[Column]) -> Column:
    first = columns[0]
    if first.codec is None:
        values = [value for column in columns for value in column.values or ()]
        return Column(dtype=first.dtype, values=values)
    data = b"".join([column.data or b"" for column in columns])
    return Column(dtype=first.dtype, codec=first.codec, count=sum([c.count or 0 for c in columns]), data=data)


# Packed series, joined while they are unpacked


def _packed_form(series: OpenSeries) -> object:
    """What makes series of packed columns one stretch; None of what is kept as its batch sent it, or not all packed."""
    if series.count >= SENT_FROM_POINTS:
        return None
    form: list[object] = [series.kind, series.count]
    for name, column in _columns(series):
        if not isinstance(column, Packed):
            return None
        form += (name, column.dtype, column.codec)
    return form


def _columns(series: OpenSeries) -> Iterator[tuple[str | None, Values | Packed]]:
    yield None, series.times
    if series.steps is not None:
        yield None, series.steps
    for name, (_, column) in series.columns.items():
        yield name, column


def _unpack(stretches: Sequence[Sequence[OpenSeries]]) -> list[FoldSeries]:
    """Each stretch as one series."""
    packed = [column for stretch in stretches for column in _packed(stretch)]
    undone = iter(undo_together(packed))
    return [_unpacked(stretch, undone) for stretch in stretches]


def _packed(stretch: Sequence[OpenSeries]) -> Iterator[list[Packed]]:
    """What is to be undone, in the order in which :func:`_unpacked` takes it."""
    for columns in zip(*map(_columns, stretch), strict=True):
        found = [column for _, column in columns if isinstance(column, Packed)]
        if found:
            yield found


def _unpacked(stretch: Sequence[OpenSeries], undone: Iterator[Any]) -> FoldSeries:
    def take(column: Values | Packed) -> tuple[Values, Bounds | None]:
        if not isinstance(column, Packed):
            return column, None
        one = next(undone)
        return one.values, one.bounds

    series = stretch[0]
    times, time_bounds = take(series.times)
    steps, step_bounds = (None, None) if series.steps is None else take(series.steps)
    columns: dict[str, tuple[Dtype, Values]] = {}
    bounds: dict[str, Bounds] = {}
    for name, (dtype, column) in series.columns.items():
        values, known = take(column)
        columns[name] = (dtype, values)
        if known is not None:
            bounds[name] = known
    return FoldSeries(
        name=series.name,
        kind=series.kind,
        count=series.count * len(stretch),
        times=as_integers(times),
        steps=None if steps is None else as_integers(steps),
        columns=columns,
        description=series.description,
        time_bounds=time_bounds,
        step_bounds=step_bounds,
        bounds=bounds,
        sent=_sent(series) if series.count >= SENT_FROM_POINTS else None,
    )


def _sent(series: OpenSeries) -> Sent:
    return Sent(
        _sent_column(series.times),
        _sent_column(series.steps),
        {
            name: (column.codec, column.data)
            for name, (_, column) in series.columns.items()
            if isinstance(column, Packed)
        },
    )


def _sent_column(column: Values | Packed | None) -> SentColumn | None:
    return (column.codec, column.data) if isinstance(column, Packed) else None
