"""Cut the text of a filter into tokens. One pass, no backtracking."""

from __future__ import annotations

import re
from typing import Final, Literal

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded

Kind = Literal["word", "text", "number", "symbol", "end"]

_PATTERN: Final = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
    | (?P<quote>["'`])
    | (?P<word>[^\W\d][\w/\-]*)
    | (?P<symbol>!=|<>|<=|>=|==|[=<>(),.])
    """,
    re.VERBOSE,
)
_KEY_PART: Final = re.compile(r"[\w/\-]+")


class Token(Struct, frozen=True):
    """One token; ``quote`` is the character around a text."""

    kind: Kind
    text: str
    column: int  # of its first character, from 1
    quote: str = ""


def invalid(column: int, problem: str) -> Invalid:
    """An error at a place of the filter."""
    return Invalid(
        f"filter, at column {column}: {problem}",
        facts={"field": "filter", "column": column, "limit": "docs/filter-language.md"},
    )


def check_text(text: str, field: str) -> None:
    """Length, and what no store can hold."""
    if len(text) > limits.FILTER_CHARS_MAX:
        raise LimitExceeded(
            f"{field} may have {limits.FILTER_CHARS_MAX} characters; it has {len(text)}",
            facts={"field": field, "limit": limits.FILTER_CHARS_MAX, "size": len(text)},
        )
    if not is_storable(text):
        raise Invalid(
            f"{field} holds a NUL character or a lone surrogate",
            facts={"field": field, "limit": "UTF-8 without NUL"},
        )


def is_storable(text: str) -> bool:
    """False for texts that no store holds: with a NUL, or with a lone surrogate, which is no character."""
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def tokens(text: str, field: str = "filter") -> list[Token]:
    """All tokens, an ``end`` token last.

    Raises:
        Invalid: the text is too long, or a character, number or quote is out of place.
    """
    check_text(text, field)
    found: list[Token] = []
    at = 0
    while at < len(text):
        token, at = _next(text, at, found[-1] if found else None)
        if token is not None:
            found.append(token)
    found.append(Token("end", "", len(text) + 1))
    return found


def _next(text: str, at: int, last: Token | None) -> tuple[Token | None, int]:
    if last is not None and (last.kind, last.text) == ("symbol", ".") and (part := _KEY_PART.match(text, at)):
        return Token("word", part[0], at + 1), part.end()
    if text[at] == "." and last is not None and last.kind in ("word", "text") and not text[at - 1].isspace():
        return Token("symbol", ".", at + 1), at + 1  # within a key such as v1.2, and not the number .2
    match = _PATTERN.match(text, at)
    if match is None:
        raise invalid(at + 1, _unexpected(text[at]))
    if match["quote"]:
        return _quoted(text, at)
    for kind in ("number", "word", "symbol"):
        if match[kind]:
            return Token(kind, match[0], at + 1), match.end()
    return None, match.end()


def _unexpected(character: str) -> str:
    if character.isdigit() or character in "+-":
        return "a number such as 3, -0.5 or 1e-3 was expected"
    return f"unexpected character {character!r}"


def _quoted(text: str, at: int) -> tuple[Token, int]:
    """A text in quotes; a quote inside is doubled. A backslash means nothing here (``like`` knows it)."""
    quote, start = text[at], at
    parts: list[str] = []
    while True:
        end = text.find(quote, at + 1)
        if end < 0:
            break
        parts.append(text[at + 1 : end])
        if text[end + 1 : end + 2] != quote:
            return Token("text", quote.join(parts), start + 1, quote), end + 1
        at = end + 1
    raise invalid(start + 1, f"the text that begins here has no closing {quote}")
