"""Times as CloudEvents write them: what reads the usual spelling must say what a general reader says."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from runfold_events.contract.cloudevents import from_rfc3339, rfc3339
from runfold_events.contract.errors import Invalid

START = datetime(1970, 1, 1, tzinfo=UTC)


def by_the_library(text: str) -> int:
    return (datetime.fromisoformat(text) - START) // timedelta(microseconds=1)


def test_what_is_written_is_read() -> None:
    choose = random.Random(1)
    for _ in range(2_000):
        time_us = choose.randrange(-62_135_596_800_000_000, 253_402_300_800_000_000)
        assert from_rfc3339(rfc3339(time_us)) == time_us == by_the_library(rfc3339(time_us))


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-28T01:02:03.000004Z",
        "2026-11-28T01:02:03Z",
        "2026-11-28T01:02:03.123Z",
        "2026-11-28T01:02:03.123456+02:00",
        "2026-11-28 01:02:03.123456Z",
        "20261128T010203.123456Z",
        "2026-W48-6T01:02:03.123456Z",
        "0001-01-01T00:00:00.000001Z",
    ],
)
def test_other_spellings_mean_what_the_library_says(text: str) -> None:
    assert from_rfc3339(text) == by_the_library(text)


@pytest.mark.parametrize(
    "text",
    [
        "20261128T010203.123.123456Z",
        "2026-11-28T01:02:03.12345 Z",
        "2026-11-28T01:02:03.-12345Z",
        "2026-11-28T01:02:03.1_3456Z",
        "2026-11-28T01:02:03.\u0661\u0662\u0663\u0664\u0665\u0666Z",
        "\u0662026-11-28T01:02:03.123456Z",
        "2026-11-31T01:02:03.123456Z",
        "2026-11-28T01:02:63.123456Z",
        "2026-11-28T01:02:03.123456",
        "2026-11-28T01:02:03.1234567Zx",
        "",
        "soon",
    ],
)
def test_what_is_no_time_with_an_offset_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        from_rfc3339(text)
