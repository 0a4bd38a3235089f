"""Named SQL statements, kept in ``.sql`` files beside the code that uses them.

A file holds statements each under a line ``-- name: <name>``. ``{p}`` stands for the prefix of the tables, ``$1``,
``$2``, … for parameters. A schema file holds statements without names.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def named_statements(path: str) -> dict[str, str]:
    """The statements of ``path`` (inside this package) by name, comments left out."""
    parts = _NAME.split(_read(path))
    return {name: _bare(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def schema_statements(path: str) -> tuple[str, ...]:
    """The statements of a schema file in order."""
    return tuple(text for part in _bare(_read(path)).split(";") if (text := part.strip()))


def _read(path: str) -> str:
    return resources.files("runfold_projections").joinpath(path).read_text("utf-8")


def _bare(text: str) -> str:
    lines = (line.split("--", 1)[0].rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line).strip().rstrip(";")
