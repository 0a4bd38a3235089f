"""JSON or msgpack, in and out. JSON carries NaN and infinities as strings; msgpack carries floats as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.errors import RunfoldError
from runfold_projections.model import MetricSummary, Page, RunView, SeriesData

_MSGPACK_NAMES: Final = frozenset({MSGPACK, "application/x-msgpack", "application/vnd.msgpack"})
_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def request_format(content_type: str | None) -> str:
    """``JSON`` or ``MSGPACK`` for a Content-Type.

    Raises:
        RunfoldError: ``unsupported_media_type``; also for a body without a Content-Type, which is what a web page
            of another origin could send without asking.
    """
    name = (content_type or "").partition(";")[0].strip().lower()
    if name == JSON:
        return JSON
    if name in _MSGPACK_NAMES:
        return MSGPACK
    raise RunfoldError(
        f"Content-Type must be {JSON} or {MSGPACK}, not {name[:80]!r}",
        code="unsupported_media_type",
        facts={"field": "Content-Type", "limit": [JSON, MSGPACK], "size": name[:80]},
    )


def answer_format(accept: str | None, *others: str) -> str:
    """``MSGPACK``, or one of ``others``, where ``Accept`` names it before any JSON, else ``JSON``."""
    for part in (accept or "").lower().split(","):
        name = part.partition(";")[0].strip()
        if name in _MSGPACK_NAMES:
            return MSGPACK
        if name == JSON or name in others:
            return name
    return JSON


def encode(value: Any, media: str) -> bytes:
    """``value`` in the format of an answer. Large answers take time: call this off the event loop."""
    if media == MSGPACK:
        return _msgpack.encode(value)
    return _json.encode(with_text_for_non_finite(value))


def with_text_for_non_finite(value: Any) -> Any:
    """``value`` with NaN and infinities as text, where views can hold them; unchanged objects are not copied."""
    match value:
        case Page():
            return replace(value, rows=[_run(row) for row in value.rows])
        case RunView():
            return _run(value)
        case list():
            return [with_text_for_non_finite(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case SeriesData():
            return _series(value)
        case _:
            return value


def _run(run: RunView) -> RunView:
    metrics = summaries(run.metrics)
    return run if metrics is run.metrics else replace(run, metrics=metrics)


def summaries(metrics: Mapping[str, MetricSummary]) -> Mapping[str, MetricSummary]:
    """Summaries with NaN and infinities as text; the same mapping when it has none."""
    changed = {
        name: replace(
            summary,
            latest=finite_or_text(summary.latest),
            min=finite_or_text(summary.min),
            max=finite_or_text(summary.max),
        )
        for name, summary in metrics.items()
        if not (_is_finite(summary.latest) and _is_finite(summary.min) and _is_finite(summary.max))
    }
    return {**metrics, **changed} if changed else metrics


def _series(series: SeriesData) -> SeriesData:
    columns = {name: _column(values) for name, values in series.columns.items()}
    if all(columns[name] is values for name, values in series.columns.items()):
        return series
    return replace(series, columns=columns)


def _column(values: list[Any]) -> list[Any]:
    """A sum over a column is finite only if all its numbers are, and costs a tenth of looking at each."""
    try:
        if math.isfinite(sum(values)):
            return values
    except (TypeError, OverflowError):
        pass  # texts, absent values or integers beyond any float: look at each
    return [finite_or_text(value) for value in values]


def _is_finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def finite_or_text(value: Any) -> Any:
    """``value``; NaN and infinities as JSON carries them."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
