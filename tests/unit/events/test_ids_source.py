"""Ids and salts of the running system."""

from __future__ import annotations

import os

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


def test_a_forked_process_makes_salts_of_its_own() -> None:
    ids = SystemIds()
    ids.salt()  # the parent has a stock now
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, ids.salt())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, SALT_BYTES) != ids.salt()


def test_counting_ids_repeat() -> None:
    one, two = CountingIds(), CountingIds()
    assert [one.event_id(), one.salt(), one.event_id()] == [two.event_id(), two.salt(), two.event_id()]
    assert len(one.salt()) == SALT_BYTES
