"""What an embedded program does beside its own work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import cast

import pytest

from runfold_services import background
from runfold_services.background import Background
from runfold_services.tracker import Tracker


class Counting:
    """A tracker that counts what it is asked to do."""

    def __init__(self) -> None:
        self.folds = 0
        self.keeper_passes = 0

    async def fold(self) -> None:
        self.folds += 1

    async def keeper_pass(self) -> int:
        self.keeper_passes += 1
        return 0


def woken_for(seconds: float, lease_s: float = 60.0) -> Counting:
    """A tracker whose program appended all the time."""
    tracker = Counting()
    beside = Background(cast(Tracker, tracker), lease_s=lease_s)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        beside.wake()
        time.sleep(0.002)
    beside.stop()
    return tracker


def test_a_busy_program_folds_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FOLD_DELAY_S", 0.01)
    monkeypatch.setattr(background, "FOLDS_APART_S", 60.0)
    assert woken_for(0.3).folds <= 2  # at once; and the one that ends it

    monkeypatch.setattr(background, "FOLDS_APART_S", 0.0)
    assert woken_for(0.3).folds > 2


def test_leases_do_not_wait_for_the_next_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FOLDS_APART_S", 60.0)
    assert woken_for(1.0, lease_s=0.4).keeper_passes >= 2


def test_what_comes_between_two_folds_is_folded_when_its_time_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FOLD_DELAY_S", 0.01)
    monkeypatch.setattr(background, "FOLDS_APART_S", 0.2)
    tracker = Counting()
    beside = Background(cast(Tracker, tracker))
    beside.wake()
    _wait_for(lambda: tracker.folds == 1)
    began = time.monotonic()

    beside.wake()
    _wait_for(lambda: tracker.folds == 2)

    assert time.monotonic() - began > 0.1
    beside.stop()
    assert tracker.folds == 2


def test_where_no_thread_can_start_whoever_appends_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is in the exit handlers of Python 3.12; readers fold for themselves."""
    tracker = Counting()
    beside = Background(cast(Tracker, tracker))
    with monkeypatch.context() as ending:
        ending.setattr(threading.Thread, "start", _refuse_to_start)
        beside.wake()
        beside.stop()
    assert tracker.folds == 0


def _refuse_to_start(thread: threading.Thread) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


def _wait_for(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.002)
