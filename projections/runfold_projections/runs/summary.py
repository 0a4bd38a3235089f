"""Latest, least and greatest value of each metric of each run.

Latest is the value with the greatest (step, time, writer_id, writer_seq, point); an absent step sorts lowest. The
order in which batches arrive does not matter.
"""

from __future__ import annotations

import math
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence, Set
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.columns import Values
from runfold_events.contract.metrics import NO_STEP
from runfold_projections.arithmetic import Bounds, numpy_pays
from runfold_projections.decoding import FoldSeries, Piece
from runfold_projections.model import MetricSummary
from runfold_projections.projection import Row, ViewTransaction
from runfold_projections.values import (
    Cell,
    Number,
    as_datetime,
    as_number,
    as_text,
    decode_cells,
    encode_cells,
    float_of,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_json: Final = msgspec.json.Encoder().encode

Order = tuple[int, int, bytes, int, int]  # step, time, writer, number, point


class Summary(Struct, gc=False):
    """What is known of one metric of one run."""

    workspace: str
    kind: str
    place: int = 0  # of the piece that says the kind, the first one
    count: int = 0
    nan_count: int = 0
    min: Number | None = None
    max: Number | None = None
    latest: Cell = None
    order: Order | None = None

    def add_stats(self, count: int, nan_count: int, least: Number | None, greatest: Number | None) -> None:
        self.count += count
        self.nan_count += nan_count
        if least is not None and (self.min is None or least < self.min):
            self.min = least
        if greatest is not None and (self.max is None or greatest > self.max):
            self.max = greatest

    def offer(self, order: Order, value: Cell) -> None:
        """``value`` becomes the latest unless there is a greater one."""
        if self.order is None or order > self.order:
            self.order, self.latest = order, value


class MetricFold:
    """Gathers the summaries of one batch of events."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], Summary] = {}

    def add(self, run_key: int, piece: Piece) -> None:
        """Take in one piece of a series."""
        series = piece.series
        best = _latest_point(piece)
        for column in series.columns:
            name = series.name if column == series.name else f"{series.name}.{column}"
            summary = self._found.get((run_key, name))
            if summary is None:
                workspace = piece.stream.split("/", 1)[0]
                summary = self._found[run_key, name] = Summary(workspace, series.kind, piece.place)
            elif piece.place < summary.place:
                summary.kind, summary.place = series.kind, piece.place
            _add(summary, piece, best, column)

    async def write(self, tx: ViewTransaction, new: Set[int]) -> None:
        """Merge with what the table holds, which has nothing of ``new`` runs."""
        if not self._found:
            return
        # Left out: those with nothing but absent cells.
        found = {key: summary for key, summary in self._found.items() if summary.order is not None}
        known = [key for key in found if key[0] not in new]
        for run_key, name, *stored in await tx.fetch_many("metric_to_fold", known):
            found[run_key, name] = _merged(stored, found[run_key, name])
        rows = [_to_row(run_key, name, summary) for (run_key, name), summary in found.items()]
        await tx.execute_many("write_metric", rows)


def _merged(row: Sequence[Any], new: Summary) -> Summary:
    kind, count, nan_count, least, greatest, latest, step, *rest = row
    merged = Summary(new.workspace, kind, 0, count, nan_count, least, greatest)
    merged.order = (NO_STEP if step is None else step, *rest)
    merged.latest = decode_cells(latest)[0]
    merged.add_stats(new.count, new.nan_count, new.min, new.max)
    if new.order is not None:
        merged.offer(new.order, new.latest)
    return merged


def _to_row(run_key: int, name: str, summary: Summary) -> Row:
    if summary.order is None:
        raise ValueError(f"metric {name} has no value")
    step, time_ms, *rest = summary.order
    shown_step = None if step == NO_STEP else step
    number = as_number(summary.latest)
    text = as_text(summary.latest) if number is None or isinstance(summary.latest, str) else None
    return (
        run_key,
        name,
        summary.workspace,
        summary.kind,
        summary.count,
        summary.nan_count,
        summary.min,
        summary.max,
        encode_cells([summary.latest]),
        number,
        text,
        shown_step,
        time_ms,
        *rest,
        _answer(name, summary, shown_step, time_ms),
    )


def _answer(name: str, summary: Summary, step: int | None, time_ms: int) -> str | None:
    """The summary as questions are answered, a member of a JSON object; None where JSON cannot say it exactly."""
    if not (_is_plain(summary.latest) and _is_plain(summary.min) and _is_plain(summary.max)):
        return None
    shown = MetricSummary(
        latest=summary.latest,
        count=summary.count,
        step=step,
        time=as_datetime(time_ms * 1_000),
        min=_bound(summary.min),
        max=_bound(summary.max),
        nan_count=summary.nan_count,
        kind=sys.intern(summary.kind),  # a default is left out where it is the very same object
    )
    return f"{_json(name).decode()}:{_json(shown).decode()}"


def _bound(value: Number | None) -> float | None:
    """A least or greatest value as a float. The columns know one zero only, whatever was cut into which batch."""
    return None if value is None else float_of(value) + 0.0


def _is_plain(value: Cell) -> bool:
    """False for NaN, infinities and integers beyond 64 bits."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or limits.INT64_MIN <= value <= limits.INT64_MAX


def _add(summary: Summary, piece: Piece, best: int, column: str) -> None:
    series = piece.series
    dtype, values = series.columns[column]
    stats, bounds = _STATS.get(dtype), series.bounds.get(column)
    if bounds is not None:
        summary.add_stats(series.count, 0, bounds.least, bounds.greatest)
    elif stats is None:
        summary.add_stats(len(values), 0, None, None)
    else:
        count, nan_count, least, greatest = stats(values)
        summary.add_stats(count, nan_count, least, greatest)
        if dtype == "any" and values[best] is None:
            best = _latest_present(series, values)
            if best < 0:
                return
    step = NO_STEP if series.steps is None else series.steps[best]
    summary.offer((step, series.times[best], *_senders_of(piece)(best)), values[best])


def _latest_point(piece: Piece) -> int:
    """Index of the latest point."""
    series = piece.series
    if len(piece.sources) == 1:
        return _latest_of_batch(series)
    times, steps = series.times, series.steps
    places: Sequence[int] = range(series.count)
    if steps is not None:
        places = _places_of(_greatest(steps, series.step_bounds), steps)
    if len(places) > 1:
        greatest = max(times[place] for place in places)
        places = [place for place in places if times[place] == greatest]
    if len(places) == 1:
        return places[0]
    return max(places, key=_senders_of(piece))


def _senders_of(piece: Piece) -> Callable[[int], tuple[bytes, int, int]]:
    """Tells of points of a piece who sent each, in which command, and where it was in its series of the batch."""
    ends = list(accumulate(count for _, _, _, count in piece.sources))

    def sender(index: int) -> tuple[bytes, int, int]:
        place = bisect_right(ends, index)
        writer_id, writer_seq, point, count = piece.sources[place]
        return writer_id, writer_seq, point + index - ends[place] + count

    return sender


def _places_of(value: Number, values: array[int]) -> list[int]:
    if not numpy_pays(len(values)):
        return [place for place, found in enumerate(values) if found == value]
    import numpy as np

    return np.flatnonzero(np.frombuffer(values, dtype="<i8") == value).tolist()


def _latest_of_batch(series: FoldSeries) -> int:
    """Index of the point with the greatest (step, time, index)."""
    last = series.count - 1
    times, steps = series.times, series.steps
    if last == 0 or (
        times[last] == _greatest(times, series.time_bounds)
        and (steps is None or steps[last] == _greatest(steps, series.step_bounds))
    ):
        return last
    if steps is None:
        return max(range(series.count), key=lambda i: (times[i], i))
    return max(range(series.count), key=lambda i: (steps[i], times[i], i))


def _greatest(values: array[int], bounds: Bounds | None) -> Number:
    if bounds is not None:
        return bounds.greatest
    if not numpy_pays(len(values)):
        return max(values)
    import numpy as np

    return int(np.frombuffer(values, dtype="<i8").max())


def _latest_present(series: FoldSeries, values: Sequence[Any]) -> int:
    times, steps = series.times, series.steps
    present = [i for i, value in enumerate(values) if value is not None]
    return max(present, key=lambda i: (NO_STEP if steps is None else steps[i], times[i], i), default=-1)


Stats = tuple[int, int, Number | None, Number | None]  # count, NaN count, least, greatest


def _float_stats(values: Values) -> Stats:
    count = len(values)
    if count == 1:
        value = values[0]
        return (1, 0, value, value) if value == value else (1, 1, None, None)  # noqa: PLR0124  # NaN
    if numpy_pays(count):
        return _float_stats_numpy(values)
    values = list(values)  # an array makes its floats anew whenever they are looked at
    total = sum(values)
    if total == total:  # noqa: PLR0124  # no NaN among them; infinities of both signs take the slow way
        return count, 0, min(values), max(values)
    numbers = [value for value in values if value == value]  # noqa: PLR0124
    if not numbers:
        return count, count, None, None
    return count, count - len(numbers), min(numbers), max(numbers)


def _float_stats_numpy(values: Values) -> Stats:
    import numpy as np

    buffer: Any = values  # an array('d'), whose memory NumPy reads in place
    floats: npt.NDArray[np.float64] = np.frombuffer(buffer, dtype="<f8")
    least, greatest = float(floats.min()), float(floats.max())
    if least == least:  # noqa: PLR0124
        return len(floats), 0, least, greatest
    numbers = floats[~np.isnan(floats)]
    nan_count = len(floats) - len(numbers)
    if not len(numbers):
        return len(floats), nan_count, None, None
    return len(floats), nan_count, float(numbers.min()), float(numbers.max())


def _integer_stats(values: Values) -> Stats:
    return len(values), 0, min(values), max(values)


def _any_stats(values: Values) -> Stats:
    present = [value for value in values if value is not None]
    numbers: list[Number] = [
        value
        if not isinstance(value, int) or limits.INT64_MIN <= value <= limits.INT64_MAX
        else float_of(value)
        for value in present
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    nan_count = len(numbers)
    numbers = [value for value in numbers if value == value]  # noqa: PLR0124
    nan_count -= len(numbers)
    return len(present), nan_count, min(numbers, default=None), max(numbers, default=None)


_STATS: Final[dict[str, Callable[[Values], Stats]]] = {
    "f64": _float_stats,
    "i64": _integer_stats,
    "any": _any_stats,
}
