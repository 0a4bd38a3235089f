"""``like`` patterns: ``%`` any characters, ``_`` one character, a backslash makes the next character plain."""

from __future__ import annotations

from typing import Final, Literal

ANY: Final = True
ONE: Final = False
Piece = str | Literal[True, False]  # a plain character, ANY or ONE

_GLOB_SPECIAL: Final = frozenset("*?[")
_LIKE_SPECIAL: Final = frozenset("%_\\")


def pieces(pattern: str) -> list[Piece]:
    """The pattern's parts; ``%%`` is one ANY, a backslash at the end is a plain one."""
    found: list[Piece] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\" and at + 1 < len(pattern):
            at += 1
            found.append(pattern[at])
        elif character == "%":
            if not (found and found[-1] is ANY):
                found.append(ANY)
        else:
            found.append(ONE if character == "_" else character)
        at += 1
    return found


def glob(pattern: str) -> str:
    """The same pattern for SQLite's GLOB, which tells upper from lower case as LIKE there does not."""
    return "".join(
        ("*" if piece else "?")
        if isinstance(piece, bool)
        else f"[{piece}]"
        if piece in _GLOB_SPECIAL
        else piece
        for piece in pieces(pattern)
    )


def like(pattern: str) -> str:
    """The same pattern, for LIKE with ``ESCAPE '\\'``."""
    return "".join(
        ("%" if piece else "_")
        if isinstance(piece, bool)
        else f"\\{piece}"
        if piece in _LIKE_SPECIAL
        else piece
        for piece in pieces(pattern)
    )
