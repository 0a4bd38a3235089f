"""Single values in words: what people read in a table or a sentence."""

from __future__ import annotations

import math
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rich.text import Text

_SHOWN_AS: Final = {"\n": "↵", "\t": " ", "\r": ""}
_UNSEEN_CATEGORIES: Final = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_JOINERS: Final = {"\u200c", "\u200d"}  # they shape words in several scripts and emoji
ABSENT: Final = "-"


def safe(text: str, chars_max: int | None = None) -> str:
    """``text`` on one line, with nothing in it that a terminal would obey or that reads other than it is stored."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(_safe_character(character) for character in text)
    if chars_max is not None and len(text) > chars_max:
        return text[: chars_max - 1] + "…"
    return text


def _safe_character(character: str) -> str:
    shown = _SHOWN_AS.get(character)
    if shown is not None:
        return shown
    if character in _JOINERS or unicodedata.category(character) not in _UNSEEN_CATEGORIES:
        return character
    return "\ufffd"


def styled(text: str, style: str = "") -> Text:
    """Text with a style and no markup: what users stored is never read as ``[red]``."""
    return Text(safe(text), style=style)


def local_time(moment: datetime | None, now: datetime | None = None) -> str:
    """A time on this machine's clock; the date where it is not today's, the year where it is not this one's."""
    if moment is None:
        return ABSENT
    local, today = moment.astimezone(), (now or datetime.now(UTC)).astimezone()
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%d %b %H:%M}" if local.year == today.year else f"{local:%d %b %Y}"


def full_time(moment: datetime | None) -> str:
    """A time on this machine's clock with date and offset."""
    return ABSENT if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S %z}"


def duration(span: timedelta | None) -> str:
    """``40ms``, ``1.4s``, ``12s``, ``3m 05s``, ``2h 07m``, ``4d 03h``."""
    if span is None:
        return ABSENT
    seconds = max(0.0, span.total_seconds())
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h {whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3_600:02d}h"


def elapsed(started: datetime | None, ended: datetime | None, now: datetime | None = None) -> str:
    """From start to end, or until now."""
    if started is None:
        return ABSENT
    return duration((ended or now or datetime.now(UTC)) - started)


def value(given: Any) -> str:
    """A metric, parameter, tag or property value."""
    if given is None:
        return ABSENT
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, float):
        return number(given)
    return safe(str(given))


def number(given: int | float, digits: int = 6) -> str:
    """A number short enough for a column: six significant digits, integers whole."""
    if isinstance(given, int):
        return str(given)
    if not math.isfinite(given):
        return "NaN" if math.isnan(given) else ("∞" if given > 0 else "-∞")
    if given.is_integer() and abs(given) < 10**digits:
        return f"{given:.1f}"
    return f"{given:.{digits}g}"


def plural(count: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
