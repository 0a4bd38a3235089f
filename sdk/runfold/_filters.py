"""Azure ML's ways to say which runs: one meaning everywhere, checked when the call is made.

``"k"`` = the key exists; ``{"k": "v"}`` = equal, several ANDed, compared as text; ``{"k": None}`` = there without a
value; ``{}`` or None = any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from runfold_events.contract.commands import Tags
from runfold_events.contract.errors import Invalid
from runfold_events.contract.statuses import Status

Filter = str | Mapping[str, Any] | None


def label_filter(given: Filter, what: str) -> tuple[Tags, tuple[str, ...]]:
    """``(equal to, existing)`` of a ``tags`` or ``properties`` argument.

    Raises:
        Invalid: neither a string nor a dict.
    """
    if given is None:
        return {}, ()
    if isinstance(given, str):
        return {}, (given,)
    if not is_mapping(given):
        raise Invalid(
            f"Unknown filter type for run {what}: {type(given)}",
            facts={"field": what, "limit": "str or dict", "size": type(given).__name__},
        )
    return {str(key): label(value) for key, value in given.items()}, ()


def status_filter(status: str | None) -> tuple[Status, ...]:
    """A ``status`` argument: one of the fifteen names, exactly as they are spelt.

    Raises:
        Invalid: there is no such status.
    """
    if status is None:
        return ()
    try:
        return (Status(status),)
    except ValueError:
        names = [str(known) for known in Status]
        raise Invalid(
            f"there is no status {status!r}; use one of {', '.join(names)}",
            facts={"field": "status", "limit": names, "size": str(status)[:80]},
        ) from None


def is_mapping(given: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Whether something a caller passed is a dict or the like, whatever its annotation promised."""
    return isinstance(given, Mapping)


def labels(given: Any, what: str) -> Tags:
    """Tags or properties to write: keys and values as text, None stays None.

    Raises:
        Invalid: not a dict.
    """
    if not is_mapping(given):
        raise Invalid(
            f"{what} must be a dict, not {type(given).__name__}",
            facts={"field": what, "limit": "dict", "size": type(given).__name__},
        )
    return {text(key, f"{what} key"): label(value) for key, value in given.items()}


def label(value: Any) -> str | None:
    """A tag's or property's value as text; None stays None."""
    return None if value is None else str(value)


def text(value: Any, field: str) -> str:
    """A key as text; Azure ML stringifies what is none."""
    if value is None:
        raise Invalid(f"{field} must not be None", facts={"field": field, "limit": "str", "size": "None"})
    return str(value)
