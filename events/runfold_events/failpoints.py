"""Named points around statements and commits where a test can stop, kill or raise. No-ops unless armed."""

from __future__ import annotations

from collections.abc import Callable

_armed: dict[str, Callable[[], None]] = {}


def reach(name: str) -> None:
    """Run what a test has armed at ``name``, if anything."""
    if _armed:
        action = _armed.get(name) or _armed.get("*")
        if action is not None:
            action()


def is_armed() -> bool:
    """Whether anything is armed at all: what is reached for each of many rows can be left out where nothing is."""
    return bool(_armed)


def arm(name: str, action: Callable[[], None]) -> None:
    """Run ``action`` whenever ``name`` is reached; ``"*"`` stands for every point without an action of its own."""
    _armed[name] = action


def disarm_all() -> None:
    """Forget everything armed."""
    _armed.clear()
