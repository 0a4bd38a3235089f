"""Python's collector of garbage during calls that make very much."""

from __future__ import annotations

import gc

import pytest

from runfold_events.collector import MANY_OBJECTS, paused_for


def test_it_is_paused_for_many_things_and_goes_on_afterwards() -> None:
    with paused_for(MANY_OBJECTS):
        assert not gc.isenabled()
    assert gc.isenabled()


def test_few_things_leave_it_alone() -> None:
    with paused_for(MANY_OBJECTS - 1):
        assert gc.isenabled()


def test_it_goes_on_after_a_failure() -> None:
    with pytest.raises(ValueError, match="broken"), paused_for(MANY_OBJECTS):
        raise ValueError("broken")
    assert gc.isenabled()


def test_a_program_without_it_is_left_without_it() -> None:
    gc.disable()
    try:
        with paused_for(MANY_OBJECTS):
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
