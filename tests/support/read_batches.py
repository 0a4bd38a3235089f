"""Metric batches as those who read them and those who only check them are answered."""

from __future__ import annotations

from typing import Any

import msgspec

from runfold_events.contract.errors import Invalid
from runfold_events.contract.metrics import check_batch, decode_batch


def check_error(content_type: str, body: bytes) -> tuple[type[Invalid], str, Any] | None:
    """What who only checks a batch is told of it."""
    try:
        check_batch(content_type, body)
    except Invalid as error:
        return type(error), error.message, error.facts
    return None


def read_or_refused(content_type: str, body: bytes) -> None:
    """Nothing but Invalid may come out, and it can be told to the sender."""
    told = None
    try:
        decode_batch(content_type, body)
    except Invalid as error:
        msgspec.json.encode([error.message, error.field, error.facts])
        told = (type(error), error.message, error.facts)
    assert check_error(content_type, body) == told
