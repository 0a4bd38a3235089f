"""Positions that a process has heard of: tokens, put together."""

from __future__ import annotations

from runfold_events.contract.errors import PositionNotReached
from runfold_events.contract.tokens import parse_token


def merged(old: str | None, new: str) -> str:
    """One position that includes both."""
    if old is None or old == new:
        return new
    return str(parse_token(old).merge(parse_token(new)))


def is_of_another_epoch(token: str, error: PositionNotReached) -> bool:
    """Whether views refused ``token`` because the store it speaks of is not this one."""
    position = error.facts.get("position")
    if not isinstance(position, str):
        return False
    return parse_token(position).epoch != parse_token(token).epoch
