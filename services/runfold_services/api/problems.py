"""Errors as ``application/problem+json`` (RFC 9457) with a stable ``code`` and the facts behind the sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Set
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from runfold_events.contract.codec import invalid_from
from runfold_events.contract.errors import Invalid, PositionNotReached, RunfoldError, Unavailable, error_from
from runfold_events.contract.submission import EventRef, Refused

PROBLEM_JSON: Final = "application/problem+json"

STATUS_OF_CODE: Final[dict[str, int]] = {
    "invalid": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "timeout": 408,
    "rejected": 409,
    "property_immutable": 409,
    "parameter_immutable": 409,
    "run_ended": 409,
    "conflict": 409,
    "sequence_gap": 409,
    "declared_lost": 409,
    "position_not_reached": 409,
    "limit_exceeded": 413,
    "unsupported_media_type": 415,
    "idempotency_conflict": 422,
    "too_many_requests": 429,
    "headers_too_large": 431,
    "error": 500,
    "unavailable": 503,
    "ledger_damaged": 503,
}


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. ``event`` names the recorded refusal, where the refusal is part of the audit trail."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    facts: dict[str, Any]
    event: EventRef | None = None
    token: str | None = None
    repeated: bool = False


class RefusedCommand(Exception):  # it carries an outcome to where it is rendered; nobody handles it
    """A command of a simple endpoint was refused; carries the whole outcome."""

    def __init__(self, outcome: Refused) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


_encode = msgspec.json.Encoder().encode


def problem_of(error: BaseException) -> Problem:
    """How an error is told to a client. What nobody foresaw is told without its inner details."""
    if isinstance(error, RefusedCommand):
        outcome = error.outcome
        return _problem(
            error_from(outcome.code, outcome.message, outcome.facts),
            outcome.event,
            outcome.token,
            outcome.repeated,
        )
    if isinstance(error, RunfoldError):
        return _problem(error)
    return _problem(RunfoldError("the server failed on this request; its log says why"))


def _problem(
    error: RunfoldError, event: EventRef | None = None, token: str | None = None, repeated: bool = False
) -> Problem:
    status = STATUS_OF_CODE.get(error.code, 500)
    return Problem(
        type=f"urn:runfold:problem:{error.code}",
        title=HTTPStatus(status).phrase,
        status=status,
        code=error.code,
        detail=_clean_text(error.message),
        facts=_clean(error.facts),
        event=event,
        token=token,
        repeated=repeated,
    )


def encode_problem(problem: Problem) -> bytes:
    """The JSON of a problem; always possible, whatever the client had sent that it quotes."""
    return _encode(problem)


def problem_headers(error: BaseException, problem: Problem) -> list[tuple[bytes, bytes]]:
    """Content-Type, and what the status asks for beside it."""
    headers = [(b"content-type", PROBLEM_JSON.encode())]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if problem.status in {429, 503}:
        seconds = error.retry_after if isinstance(error, Unavailable) else 1.0
        headers.append((b"retry-after", str(max(1, math.ceil(seconds))).encode()))
    if problem.status == 405 and "allow" in problem.facts:
        headers.append((b"allow", ", ".join(problem.facts["allow"]).encode()))
    position = problem.facts.get("position") if isinstance(error, PositionNotReached) else problem.token
    if position is not None:
        headers.append((b"runfold-position", str(position).encode("ascii", "replace")))
    return headers


def _clean(value: Any) -> Any:
    """``value`` as JSON can carry it: facts quote what clients send, and that may be anything."""
    kind = cast("type[object]", type(value))
    if value is None or kind is bool:
        return value
    if issubclass(kind, str):
        return _clean_text(value)
    if issubclass(kind, int):
        return int(value) if -(2**63) <= value < 2**64 else str(value)
    if issubclass(kind, float):
        return value if math.isfinite(value) else str(value)
    if issubclass(kind, Mapping):
        return _clean_pairs(value)
    if issubclass(kind, list | tuple | Set):
        return _clean_items(value)
    return _clean_text(str(value))


def _clean_pairs(pairs: Mapping[Any, Any]) -> dict[str, Any]:
    return {_clean_text(str(key)): _clean(value) for key, value in pairs.items()}


def _clean_items(items: Collection[Any]) -> list[Any]:
    return [_clean(item) for item in items]


def _clean_text(text: str) -> str:
    """Lone surrogates, which UTF-8 cannot carry, as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


_NAMED_FIELD: Final = re.compile(r"(?:unknown field|missing required field) `([^`]*)`")


def invalid_body(error: Exception) -> Invalid:
    """A body that cannot be decoded as :class:`Invalid`; ``field`` is the path of the fault, as far as it is known."""
    told = invalid_from(error)
    named = _NAMED_FIELD.search(told.message)
    if named is not None:
        place = "" if told.field in {None, "body"} else f"{told.field}."
        told.facts["field"] = place + named.group(1)[:200]
    return told
