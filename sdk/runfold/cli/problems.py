"""Errors for people: one line that says what is wrong, where, and what to do next."""

from __future__ import annotations

from typing import Any, Final, cast

import click

from runfold_events.contract.errors import Invalid, RunfoldError

_NEXT: Final[dict[str, str]] = {
    "unavailable": "Try again, or look at the server's log",
    "position_not_reached": "Try again; the views are behind",
    "unauthorized": "Set RUNFOLD_TOKEN to a token that the server knows",
    "forbidden": "This needs the token of an administrator",
    "ledger_damaged": "Keep a copy of the ledger, then run: runfold ledger check",
    "property_immutable": "Properties are write-once: use another key, or a tag",
    "parameter_immutable": "Parameters are write-once: use another key, or a tag",
}
_VALUE_CHARS_MAX: Final = 120


def line_of(error: RunfoldError) -> str:
    """The error in one line."""
    parts = [error.message.strip().rstrip(".")]
    if isinstance(error, Invalid):
        parts[0] += _missing_facts(error)
    following = _next_step(error)
    if following:
        parts.append(following)
    return ". ".join(parts)


def _missing_facts(error: Invalid) -> str:
    """Field, limit and size, as far as the message does not say them already."""
    told = error.message.casefold()
    missing = [
        f"{name}={_short(fact)}"
        for name, fact in (("field", error.field), ("limit", error.limit), ("got", error.size))
        if fact is not None
        and not _page(fact)
        and str(fact).casefold() not in told
        and _short(fact).casefold() not in told
    ]
    return f" ({', '.join(missing)})" if missing else ""


def _page(fact: Any) -> bool:
    """Whether a limit is a page that explains what is allowed."""
    return isinstance(fact, str) and fact.startswith("docs/")


def _short(fact: Any) -> str:
    several = isinstance(fact, list | tuple)
    text = ", ".join(map(str, cast("list[Any]", fact))) if several else str(fact)
    return text if len(text) <= _VALUE_CHARS_MAX else f"{text[:_VALUE_CHARS_MAX]}…"


def _next_step(error: RunfoldError) -> str | None:
    if _page(error.facts.get("limit")):
        return f"See: {error.facts['limit']}"
    if error.code == "not_found":
        if "run_id" in error.facts:
            return "Look for it: runfold run list --include-children --archived --last 50"
        return "Look for it: runfold experiment list" if "experiment" in error.facts else None
    if error.code == "run_ended" and "run_id" in error.facts:
        return f"See: runfold run history {error.facts['run_id']}"
    if error.code == "unauthorized" and "RUNFOLD_TOKEN" in error.message:
        return None
    return _NEXT.get(error.code)


def usage_line(error: click.ClickException) -> str:
    """A usage error of the argument parser in one line, with where to read on."""
    message = error.format_message().strip().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "runfold"
    return f"{message}. See: {path} --help"
