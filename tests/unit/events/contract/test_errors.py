"""Errors have stable codes, carry their facts and cross process boundaries."""

from __future__ import annotations

import pickle
from typing import Final

import pytest

from runfold_events.contract import errors as x

# Codes stand in clients' programs: they never change.
CODES: Final[dict[str, type[x.RunfoldError]]] = {
    "invalid": x.Invalid,
    "limit_exceeded": x.LimitExceeded,
    "unauthorized": x.Unauthorized,
    "forbidden": x.Unauthorized,
    "not_found": x.NotFound,
    "rejected": x.RunRejected,
    "property_immutable": x.PropertyImmutable,
    "parameter_immutable": x.PropertyImmutable,
    "run_ended": x.RunEnded,
    "conflict": x.Conflict,
    "idempotency_conflict": x.IdempotencyConflict,
    "sequence_gap": x.SequenceGap,
    "position_not_reached": x.PositionNotReached,
    "unavailable": x.Unavailable,
}


@pytest.mark.parametrize("code", CODES)
def test_a_code_gives_its_error_with_its_facts(code: str) -> None:
    error = x.error_from(code, "why", {"key": "k"})
    assert type(error) is CODES[code]
    assert (error.code, error.message, str(error), error.facts) == (code, "why", "why", {"key": "k"})


@pytest.mark.parametrize("code", CODES)
def test_an_error_survives_pickling(code: str) -> None:
    error = x.error_from(code, "why", {"key": [1, None]})
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.code, copy.message, copy.facts) == (type(error), code, "why", {"key": [1, None]})


def test_an_unknown_code_gives_the_root() -> None:
    error = x.error_from("from_tomorrow", "why")
    assert type(error) is x.RunfoldError
    assert error.code == "from_tomorrow"


@pytest.mark.parametrize("kind", list(dict.fromkeys(CODES.values())), ids=lambda kind: kind.__name__)
def test_every_error_has_one_root(kind: type[x.RunfoldError]) -> None:
    assert issubclass(kind, x.RunfoldError)
    assert x.error_from(kind.default_code, "why").code == kind.default_code


def test_a_wrong_value_names_field_limit_and_size() -> None:
    error = x.LimitExceeded("over", facts={"field": "tags", "limit": 3, "size": 4})
    assert (error.field, error.limit, error.size) == ("tags", 3, 4)
    assert isinstance(error, ValueError)
    assert (x.Invalid("m").field, x.Invalid("m").limit, x.Invalid("m").size) == (None, None, None)


def test_whoever_is_told_to_wait_is_told_how_long() -> None:
    assert x.Unavailable("later", facts={"retry_after": 3}).retry_after == 3.0
    assert x.Unavailable("later").retry_after > 0


def test_facts_are_a_copy() -> None:
    facts = {"key": "k"}
    error = x.Conflict("m", facts=facts)
    facts["key"] = "changed"
    assert error.facts == {"key": "k"}
