"""Which files of a folder stay out of its snapshot: ``.amlignore``, or else ``.gitignore``, by git's rules.

The rules of a folder concern what is below it; those of a deeper folder come after and win. In one folder
``.amlignore`` stands for both: where it is, ``.gitignore`` is not read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

IGNORE_FILES: Final = (".amlignore", ".gitignore")
NEVER: Final = frozenset({".git", ".ipynb_checkpoints", "__pycache__"})  # of no use to who runs the snapshot
_RULES_BYTES_MAX: Final = 1024 * 1024


class Rule(Struct, frozen=True):
    """One line: which paths, relative to the folder of its file, and what becomes of them."""

    pattern: re.Pattern[str]
    keeps: bool  # the line began with an exclamation mark
    folders_only: bool


def rules_of(folder: Path) -> list[Rule]:
    """The rules that a folder's own ignore file has."""
    for name in IGNORE_FILES:
        file = folder / name
        if file.is_file():
            with file.open("rb") as opened:
                text = opened.read(_RULES_BYTES_MAX).decode("utf-8", "replace")
            return [rule for line in text.splitlines() if (rule := read_rule(line)) is not None]
    return []


def read_rule(line: str) -> Rule | None:
    """What a line says; None for an empty line, a comment, or one that git would not understand either."""
    line = _without_trailing_spaces(line.removeprefix("\ufeff"))
    if not line or line.startswith("#"):
        return None
    keeps = line.startswith("!")
    line = line.removeprefix("!") if keeps else line
    folders_only = line.endswith("/")
    line = line.rstrip("/") if folders_only else line
    if not line:
        return None
    # A slash before the end fixes the line to its folder; without one it is about names at any depth.
    anchored = "/" in line
    body = _regex(line.removeprefix("/"))
    try:
        return Rule(re.compile(body if anchored else f"(?:.*/)?{body}", re.DOTALL), keeps, folders_only)
    except re.error:
        return None


def is_ignored(path: str, is_folder: bool, rules: list[tuple[str, Rule]]) -> bool:
    """Whether ``path`` stays out; ``rules`` are all that concern it, each with the folder (``a/b/``) of its file."""
    ignored = False
    for place, rule in rules:
        if rule.folders_only and not is_folder:
            continue
        if rule.pattern.fullmatch(path.removeprefix(place)):
            ignored = not rule.keeps
    return ignored


def _without_trailing_spaces(line: str) -> str:
    """Spaces at the end mean nothing unless the last one is escaped."""
    stripped = line.rstrip()
    is_escaped = len(stripped) < len(line) and stripped.endswith("\\") and not stripped.endswith("\\\\")
    return stripped + " " if is_escaped else stripped


def _regex(line: str) -> str:
    parts: list[str] = []
    place = 0
    while place < len(line):
        taken, part = _next_part(line, place)
        parts.append(part)
        place += taken
    return "".join(parts)


def _next_part(line: str, place: int) -> tuple[int, str]:
    """How many characters the next element of a pattern has, and what it is as a regular expression."""
    rest = line[place:]
    at_start = place == 0 or line[place - 1] == "/"
    if at_start and rest.startswith("**/"):
        return 3, "(?:.*/)?"
    if at_start and rest == "**":
        return 2, ".+"
    if rest.startswith("*"):
        return len(rest) - len(rest.lstrip("*")), "[^/]*"
    if rest.startswith("?"):
        return 1, "[^/]"
    if rest.startswith("["):
        found = re.match(r"\[(!|\^)?(\]?[^\]]*)\]", rest)
        if found:
            body = found[2].replace("\\", "\\\\").replace("[", "\\[")
            return found.end(), f"(?!/)[{'^' if found[1] else ''}{body}]"
    if rest.startswith("\\") and len(rest) > 1:
        return 2, re.escape(rest[1])
    return 1, re.escape(rest[0])
