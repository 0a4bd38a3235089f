"""Ids and salts of the running system."""

from __future__ import annotations

from runfold_events.contract.envelope import SALT_BYTES
from runfold_events.ids_source import SystemIds
from runfold_events.testing.builders import CountingIds


def test_event_ids_are_version_7_unique_and_in_order_of_time() -> None:
    ids = SystemIds()
    made = [ids.event_id() for _ in range(1_000)]
    assert {made_id.version for made_id in made} == {7}
    assert len(set(made)) == len(made)
    milliseconds = [made_id.int >> 80 for made_id in made]
    assert milliseconds == sorted(milliseconds)


def test_salts_are_long_enough_and_differ() -> None:
    salts = {SystemIds().salt() for _ in range(1_000)}
    assert {len(salt) for salt in salts} == {SALT_BYTES}
    assert len(salts) == 1_000


def test_counting_ids_repeat() -> None:
    one, two = CountingIds(), CountingIds()
    assert [one.event_id(), one.salt(), one.event_id()] == [two.event_id(), two.salt(), two.event_id()]
    assert len(one.salt()) == SALT_BYTES
