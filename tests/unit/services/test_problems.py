"""Every error has a status, a stable code and facts that JSON can carry."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

import msgspec
import pytest

from runfold_events.contract import errors
from runfold_events.contract.errors import (
    Invalid,
    PositionNotReached,
    RunfoldError,
    Unauthorized,
    Unavailable,
    error_from,
)
from runfold_events.contract.submission import EventRef, Refused
from runfold_services.api.problems import (
    STATUS_OF_CODE,
    RefusedCommand,
    encode_problem,
    invalid_body,
    problem_headers,
    problem_of,
)

REF = EventRef(UUID(int=1), "run.command_rejected", "w/run/r", 3, 0, 7)


def every_error_class() -> list[type[RunfoldError]]:
    found = [RunfoldError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", every_error_class())
def test_every_error_of_the_contract_has_a_status(kind: type[RunfoldError]) -> None:
    problem = problem_of(kind("no"))
    assert problem.code == kind.default_code
    assert problem.code in STATUS_OF_CODE
    assert problem.status == STATUS_OF_CODE[problem.code]


def test_a_problem_says_type_title_status_code_detail_and_facts() -> None:
    told = msgspec.json.decode(
        encode_problem(problem_of(error_from("run_ended", "too late", {"status": "Failed"})))
    )
    assert told == {
        "type": "urn:runfold:problem:run_ended",
        "title": "Conflict",
        "status": 409,
        "code": "run_ended",
        "detail": "too late",
        "facts": {"status": "Failed"},
    }


def test_a_recorded_refusal_names_its_event_and_position() -> None:
    error = RefusedCommand(
        Refused(code="property_immutable", message="no", token="t", event=REF, repeated=True)
    )
    problem = problem_of(error)
    told = msgspec.json.decode(encode_problem(problem))
    assert (told["status"], told["event"]["pos"], told["token"], told["repeated"]) == (409, 7, "t", True)
    assert (b"runfold-position", b"t") in problem_headers(error, problem)


def test_what_nobody_foresaw_is_told_without_its_details() -> None:
    problem = problem_of(ValueError("a secret path"))
    assert (problem.status, problem.code) == (500, "error")
    assert "secret" not in encode_problem(problem).decode()


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        ("a\ud800b", "a\\ud800b"),
        (math.nan, "nan"),
        (2**80, str(2**80)),
        ({"k\udfff": {1, 2}}, {"k\\udfff": [1, 2]}),
        (UUID(int=1), str(UUID(int=1))),
        (b"\xff", "b'\\xff'"),
        ((True, None, 1.5, -3), [True, None, 1.5, -3]),
    ],
)
def test_facts_that_quote_a_client_can_always_be_told(fact: Any, told: Any) -> None:
    problem = problem_of(Invalid("bad \ud800 text", facts={"size": fact}))
    assert msgspec.json.decode(encode_problem(problem))["facts"]["size"] == told


def test_headers_of_401_405_409_and_503() -> None:
    def headers(error: RunfoldError) -> dict[bytes, bytes]:
        return dict(problem_headers(error, problem_of(error)))

    assert headers(Unauthorized("who?"))[b"www-authenticate"] == b"Bearer"
    assert headers(Unavailable("busy", facts={"retry_after": 2.3}))[b"retry-after"] == b"3"
    assert (
        headers(RunfoldError("no", code="method_not_allowed", facts={"allow": ["GET"]}))[b"allow"] == b"GET"
    )
    assert (
        headers(PositionNotReached("not yet", facts={"position": "e:0=1"}))[b"runfold-position"] == b"e:0=1"
    )


class Body(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    inner: dict[str, int] = {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": "n", "other": 1}', "other"),
        (b"{}", "name"),
        (b'{"name": 3}', "name"),
        (b'{"name": "n", "inner": {"a": "b"}}', "inner[...]"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'{"name": "\xff"}', "body"),
    ],
)
def test_a_body_that_cannot_be_decoded_names_the_field(body: bytes, field: str) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)) as refused:
        msgspec.json.decode(body, type=Body)
    assert invalid_body(refused.value).field == field
