"""Single values in view rows: exact bytes, and what they mean as a number or as text for filters."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from runfold_events.contract import limits

Cell = bool | int | float | str | None
Number = int | float

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_NUMBER_CHARS_MAX: Final = 64


def encode_cells(cells: Sequence[Cell]) -> bytes:
    """Bit-exact bytes of any cells; integers beyond 64 bits as a list that holds their decimal text."""
    try:
        return _pack(cells)
    except OverflowError:
        return _pack([[str(c)] if isinstance(c, int) and not _fits(c) else c for c in cells])


def decode_cells(data: bytes) -> list[Cell]:
    """Undo :func:`encode_cells`."""
    cells: list[Cell | list[str]] = _unpack(data)
    return [int(cell[0]) if isinstance(cell, list) else cell for cell in cells]


def _fits(value: int) -> bool:
    return limits.INT64_MIN <= value <= limits.INT64_MAX


def as_number(value: Cell) -> Number | None:
    """What a number literal is compared with: None for NaN, booleans and texts that are no decimal number."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        if len(value) > _NUMBER_CHARS_MAX or not _NUMBER.match(value):
            return None
        value = int(value) if value.lstrip("+-").isdigit() else float(value)
    if isinstance(value, int):
        return value if _fits(value) else float_of(value)
    return None if math.isnan(value) else value


def float_of(value: Number) -> float:
    """``value`` as a float; an integer beyond its range is an infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def as_text(value: Cell) -> str | None:
    """What a text literal is compared with."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def as_datetime(time_us: int) -> datetime:
    """UTC µs as a datetime; what no datetime can say becomes the nearest one that can."""
    try:
        return _EPOCH + timedelta(microseconds=time_us)
    except OverflowError:
        return _LAST if time_us > 0 else _FIRST
