"""What a command found: data for programs, a rendering for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


@dataclass(frozen=True)
class Answer:
    """``data`` is what json, yaml and ``--query`` see; ``shown`` draws it; ``columns`` are the fields of tsv."""

    data: Any
    shown: Callable[[Console], RenderableType]
    columns: tuple[str, ...] = ()
