"""The statements of ``queries.sql`` by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def resource(name: str) -> str:
    """The text of a file that stands beside this module."""
    return files(__package__ or "").joinpath(name).read_text("utf-8")


def _load() -> Mapping[str, str]:
    _, *parts = _NAME.split(resource("queries.sql"))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


QUERIES: Final = _load()
