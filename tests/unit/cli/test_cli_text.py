"""Values in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runfold.cli.render.text import duration, elapsed, local_time, number, plural, safe, value


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0ms"),
        (0.0421, "42ms"),
        (0.9999, "1.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (3_599.4, "59m 59s"),
        (3_600, "1h 00m"),
        (86_399, "23h 59m"),
        (86_400, "1d 00h"),
        (-3, "0ms"),
    ],
)
def test_durations_are_short_and_round_upwards_into_the_next_unit(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


def test_a_run_that_goes_on_has_taken_until_now() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)

    assert elapsed(start, None, start + timedelta(seconds=30)) == "30s"
    assert elapsed(start, start + timedelta(minutes=2)) == "2m 00s"
    assert elapsed(None, None) == "-"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (0.1 + 0.2, "0.3"),
        (1.0, "1.0"),
        (123_456.0, "123456.0"),
        (1_234_567.0, "1.23457e+06"),
        (1e-9, "1e-09"),
        (float("nan"), "NaN"),
        (float("inf"), "∞"),
        (float("-inf"), "-∞"),
        (7, "7"),
    ],
)
def test_numbers_have_six_digits(given: float, words: str) -> None:
    assert number(given) == words


@pytest.mark.parametrize(
    ("given", "words"), [(None, "-"), (True, "true"), (3, "3"), (2.5, "2.5"), ("a\nb", "a↵b"), ("", "")]
)
def test_values_of_any_kind_fit_a_cell(given: object, words: str) -> None:
    assert value(given) == words


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b[31mred",  # clears the screen
        "\x9b31mred",  # the same in eight bits
        "\x1b]0;title\x07red",
        "a\u202egnp.exe",  # shows reversed
        "a\u200bred",
        "\x00red",
        "\ud800red",
    ],
)
def test_what_a_terminal_would_obey_is_replaced(hostile: str) -> None:
    shown = safe(hostile)

    assert all(character.isprintable() for character in shown)
    assert "\ufffd" in shown


def test_letters_of_all_scripts_stay() -> None:
    assert safe("crème 東京 ‍👩‍🔬 नमस्ते") == "crème 東京 ‍👩‍🔬 नमस्ते"


def test_times_say_no_more_than_needed() -> None:
    now = datetime(2026, 6, 15, 12, 0, 0).astimezone()

    assert local_time(now - timedelta(hours=1), now) == "11:00:00"
    assert local_time(now - timedelta(days=30), now) == "16 May 12:00"
    assert local_time(now - timedelta(days=900), now) == "28 Dec 2023"
    assert local_time(None) == "-"


def test_plurals() -> None:
    assert [plural(1, "run"), plural(0, "run"), plural(1_200, "run")] == ["1 run", "0 runs", "1,200 runs"]
