"""Digest and chain are what the design says, and every change to a stored event is found and placed."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runfold_events.contract.envelope import (
    CHAIN_START,
    SALT_BYTES,
    RecordedEvent,
    body_digest,
    chain_value,
    check_events,
)
from tests.support import independent

STREAM: Final = "w/run/r"
FIRST: Final[dict[str, Any]] = {
    "id": UUID("0190a1b2-0000-7000-8000-000000000001"),
    "type": "run.created",
    "stream": STREAM,
    "stream_seq": 1,
    "partition": 0,
    "pos": 0,
    "slice": independent.slice_of(STREAM),
    "epoch": UUID("0190a1b2-0000-7000-8000-00000000000e"),
    "occurred_at": 1_700_000_000_000_000,
    "recorded_at": 1_700_000_000_000_001,
    "actor": "ann",
    "actor_source": "os",
    "door": "embedded",
    "writer_id": UUID("0190a1b2-0000-7000-8000-00000000000a"),
    "writer_seq": 1,
}
CHANGES: Final[dict[str, Any]] = {
    "id": UUID(int=9),
    "type": "run.failed",
    "stream_seq": 9,
    "epoch": UUID(int=9),
    "occurred_at": 9,
    "recorded_at": 9,
    "actor": "eve",
    "actor_source": "token",
    "door": "http",
    "writer_id": UUID(int=9),
    "writer_seq": 9,
    "causation_id": UUID(int=9),
    "correlation_id": UUID(int=9),
    "traceparent": "00-1",
    "data_version": 2,
    "content_type": "application/msgpack",
    "subject": "s",
    "key_id": "k",
    "salt": bytes(SALT_BYTES),
    "digest": bytes(32),
    "body": b"other",
}


def event(previous: bytes, pos: int, body: bytes = b"{}", **fields: Any) -> RecordedEvent:
    """An event in its place, with its digest and chain."""
    salt = sha256(bytes([pos])).digest()[:SALT_BYTES]
    content: dict[str, Any] = FIRST | {"pos": pos, "stream_seq": pos + 1, "id": UUID(int=pos + 1)} | fields
    unchained = RecordedEvent(
        **content, salt=salt, digest=independent.digest(salt, body), chain=b"", body=body
    )
    return replace(unchained, chain=chain_value(previous, unchained))


def history(count: int) -> list[RecordedEvent]:
    events: list[RecordedEvent] = []
    chain = bytes(32)
    for pos in range(count):
        events.append(event(chain, pos, body=b'{"n":%d}' % pos))
        chain = events[-1].chain
    return events


def damage_of(events: list[RecordedEvent]) -> list[tuple[int, str]]:
    damage, _ = check_events(events, partition=0, from_pos=0, previous_chain=CHAIN_START)
    assert {found.partition for found in damage} <= {0}
    return [(found.pos, found.what) for found in damage]


def test_a_digest_is_the_sha256_of_salt_and_body() -> None:
    salt, body = bytes(range(SALT_BYTES)), b'{"type":"run.started"}'
    assert body_digest(salt, body) == independent.digest(salt, body) == sha256(salt + body).digest()


def test_the_chain_starts_with_zeros() -> None:
    assert bytes(32) == CHAIN_START


def test_a_chain_value_is_over_the_previous_one_the_envelope_and_the_digest() -> None:
    first = event(CHAIN_START, 0)
    assert chain_value(CHAIN_START, first) == independent.chain(CHAIN_START, first)
    assert chain_value(first.chain, first) == independent.chain(first.chain, first)


TEXTS: Final = st.text(max_size=300)
OPTIONAL_TEXTS: Final = st.none() | TEXTS
OPTIONAL_IDS: Final = st.none() | st.uuids()
INTEGERS: Final = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=50)
@given(
    st.fixed_dictionaries(
        {
            "id": st.uuids(),
            "type": TEXTS,
            "stream": TEXTS,
            "stream_seq": INTEGERS,
            "partition": INTEGERS,
            "slice": INTEGERS,
            "epoch": st.uuids(),
            "occurred_at": INTEGERS,
            "recorded_at": INTEGERS,
            "actor": TEXTS,
            "actor_source": TEXTS,
            "door": TEXTS,
            "writer_id": st.uuids(),
            "writer_seq": INTEGERS,
            "causation_id": OPTIONAL_IDS,
            "correlation_id": OPTIONAL_IDS,
            "traceparent": OPTIONAL_TEXTS,
            "data_version": INTEGERS,
            "content_type": TEXTS,
            "subject": OPTIONAL_TEXTS,
            "key_id": OPTIONAL_TEXTS,
        }
    ),
    st.binary(min_size=32, max_size=32),
    st.binary(max_size=100),
)
def test_any_envelope_is_chained_as_the_design_says(
    fields: dict[str, Any], previous: bytes, body: bytes
) -> None:
    one = event(previous, 5, body, **fields)
    assert chain_value(previous, one) == independent.chain(previous, one)


# ── the check ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_untouched_history_has_no_damage() -> None:
    events = history(5)
    damage, last = check_events(events, partition=0, from_pos=0, previous_chain=CHAIN_START)
    assert (damage, last) == ([], events[-1].chain)
    damage, last = check_events(events[2:], partition=0, from_pos=2, previous_chain=events[1].chain)
    assert (damage, last) == ([], events[-1].chain)


def test_no_events_have_no_damage() -> None:
    assert check_events([], partition=0, from_pos=0, previous_chain=CHAIN_START) == ([], CHAIN_START)


@pytest.mark.parametrize("field", CHANGES)
def test_a_change_to_any_field_is_found_where_it_was_made(field: str) -> None:
    events = history(5)
    events[2] = replace(events[2], **{field: CHANGES[field]})
    assert {pos for pos, _ in damage_of(events)} == {2}


@pytest.mark.parametrize("field", ["stream", "partition", "slice"])
def test_a_change_to_where_an_event_belongs_is_found(field: str) -> None:
    events = history(5)
    events[2] = replace(events[2], **{field: "w/run/other" if field == "stream" else 7})
    assert {pos for pos, _ in damage_of(events)} == {2}


def test_every_field_of_the_envelope_is_tried_above() -> None:
    tried = {*CHANGES, "stream", "partition", "slice", "pos", "chain"}
    assert tried == set(RecordedEvent.__struct_fields__)


def test_a_changed_chain_value_is_found_at_the_event_or_the_next_one() -> None:
    events = history(5)
    events[2] = replace(events[2], chain=bytes(32))
    assert {pos for pos, _ in damage_of(events)} == {2, 3}


@pytest.mark.parametrize("missing", [0, 2, 3])
def test_a_missing_position_is_found(missing: int) -> None:
    events = history(5)
    del events[missing]
    assert damage_of(events)[0] == (missing, f"positions {missing} to {missing} are missing")


def test_events_that_changed_places_are_found() -> None:
    events = history(5)
    events[1], events[2] = replace(events[2], pos=1), replace(events[1], pos=2)
    assert {1, 2} <= {pos for pos, _ in damage_of(events)}


def test_a_repeated_position_is_found() -> None:
    events = history(3)
    assert damage_of([events[0], events[1], events[1], events[2]])


def test_an_event_put_in_with_a_chain_of_its_own_is_found_at_the_next_one() -> None:
    events = history(3)
    forged = event(events[0].chain, 1, body=b'{"forged":true}')
    assert [pos for pos, _ in damage_of([events[0], forged, events[2]])] == [2]


def test_an_erased_event_is_no_damage() -> None:
    events = history(4)
    events[1] = replace(events[1], salt=None, body=None)
    assert damage_of(events) == []
    assert events[1].is_erased


@pytest.mark.parametrize("kept", ["salt", "body"])
def test_an_event_that_lost_only_its_body_or_only_its_salt_is_damage(kept: str) -> None:
    events = history(4)
    events[1] = replace(events[1], **{("body" if kept == "salt" else "salt"): None})
    assert [pos for pos, _ in damage_of(events)] == [1]


@settings(max_examples=60)
@given(st.integers(0, 4), st.data())
def test_a_flip_of_any_bit_of_a_body_is_found(pos: int, data: st.DataObject) -> None:
    events = history(5)
    body = bytearray(events[pos].body or b"")
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    body[bit // 8] ^= 1 << bit % 8
    events[pos] = replace(events[pos], body=bytes(body))
    assert [found for found, _ in damage_of(events)] == [pos]
