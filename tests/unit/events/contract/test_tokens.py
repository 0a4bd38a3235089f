"""Position tokens: ``epoch:partition=pos,…``."""

from __future__ import annotations

import contextlib
from typing import Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold_events.contract.errors import Invalid
from runfold_events.contract.tokens import Token, merged_tokens, parse_token

EPOCH: Final = UUID("0190a1b2-0000-7000-8000-000000000001")
OTHER: Final = UUID("0190a1b2-0000-7000-8000-000000000002")
POSITIONS: Final = st.integers(0, 2**63 - 1)


def test_a_token_is_written_in_order_of_partitions() -> None:
    assert str(Token(EPOCH, {10: 5, 2: 7, 0: 0})) == f"{EPOCH}:0=0,2=7,10=5"


@given(st.uuids(), st.dictionaries(st.integers(0, 1023), POSITIONS))
def test_a_token_is_read_as_it_was_written(epoch: UUID, ends: dict[int, int]) -> None:
    assert parse_token(str(Token(epoch, ends))) == Token(epoch, ends)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        ":",
        ":0=1",
        "not-a-uuid:0=1",
        f"{EPOCH}:0",
        f"{EPOCH}:0=",
        f"{EPOCH}:=1",
        f"{EPOCH}:0=-1",
        f"{EPOCH}:-1=0",
        f"{EPOCH}:0=1.5",
        f"{EPOCH}:0=x",
        f"{EPOCH}:0=1=2",
        f"{EPOCH}:0=" + "9" * 10_000,
        f"{EPOCH};0=1",
        "\0",
        "\ud800",
    ],
)
def test_what_is_no_token_is_refused_by_name(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_token(text, "at")
    assert (caught.value.field, caught.value.code) == ("at", "invalid")
    assert len(str(caught.value)) < 500


@given(st.text(max_size=60))
def test_any_text_is_a_token_or_invalid(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert isinstance(parse_token(text), Token)


@pytest.mark.parametrize("end", [2**63, 10**30])
def test_a_position_that_no_store_can_hold_is_no_token(end: int) -> None:
    with pytest.raises(Invalid):
        parse_token(f"{EPOCH}:0={end}")


def test_merging_keeps_the_later_end_of_each_partition() -> None:
    mine, other = Token(EPOCH, {0: 5, 1: 2}), Token(EPOCH, {1: 9, 2: 1})
    assert mine.merge(other) == other.merge(mine) == Token(EPOCH, {0: 5, 1: 9, 2: 1})


def test_a_token_of_another_epoch_replaces_the_old_one() -> None:
    assert Token(EPOCH, {0: 50}).merge(Token(OTHER, {1: 2})) == Token(OTHER, {1: 2})


def test_tokens_of_many_outcomes_become_one_that_includes_all() -> None:
    texts = [f"{EPOCH}:3=9", f"{EPOCH}:3=12", f"{EPOCH}:0=4", f"{EPOCH}:3=10", f"{EPOCH}:0=1,5=7"]

    assert merged_tokens(texts) == Token(EPOCH, {0: 4, 3: 12, 5: 7})
    assert merged_tokens([]) is None


@given(st.lists(st.dictionaries(st.integers(0, 1023), st.integers(0, 2**63 - 1), min_size=1), min_size=1))
def test_tokens_merge_at_once_as_they_do_one_by_one(ends: list[dict[int, int]]) -> None:
    tokens = [Token(EPOCH, one) for one in ends]
    expected = tokens[0]
    for token in tokens[1:]:
        expected = expected.merge(token)

    assert merged_tokens(map(str, tokens)) == expected
