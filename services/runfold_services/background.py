"""What an embedded program does beside its own work: fold what was appended, watch the leases."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final

from runfold_events.clock import elapsed_s
from runfold_events.contract import limits
from runfold_events.contract.errors import RunfoldError
from runfold_events.sync import run_sync
from runfold_services.keeper import KeeperGuard
from runfold_services.tracker import Tracker

FOLD_DELAY_S: Final = 0.05  # how long a burst gathers, after a pause
# How far views may be behind an append of this process; readers fold for themselves.
FOLDS_APART_S: Final = 2.0
_log = logging.getLogger("runfold.background")  # the user's program decides where it goes; nothing on stdout


class Background:
    """A daemon thread that folds within ``FOLDS_APART_S`` of :meth:`wake`, and keeps the leases.

    It starts with the first :meth:`wake`, so that a program which only reads has no thread.
    """

    def __init__(self, tracker: Tracker, *, lease_s: float = limits.LEASE_S) -> None:
        self._tracker = tracker
        self._guard = KeeperGuard(lease_s)
        self._keep_interval_s = min(limits.HEARTBEAT_INTERVAL_S, lease_s / 4)
        self._appended = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Something was appended."""
        self._appended.set()
        if self._thread is None:
            with self._lock:
                self._start()

    def _start(self) -> None:
        if self._thread is None and not self._stopping.is_set():
            thread = threading.Thread(target=self._run, name="runfold-background", daemon=True)
            with suppress(RuntimeError):  # while Python 3.12 ends none can start; readers fold for themselves
                thread.start()
                self._thread = thread

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread after the fold it is in."""
        with self._lock:
            self._stopping.set()
            self._appended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        keep_at = time.monotonic()
        fold_at = -inf  # the earliest next one
        while not self._stopping.is_set():
            # Asleep until then, whatever comes: what is appended meanwhile becomes one fold, and wakes nobody.
            self._sleep_until(min(fold_at, keep_at))
            if time.monotonic() >= fold_at and self._is_appended(keep_at):
                self._appended.clear()
                fold_at = time.monotonic() + FOLDS_APART_S
                self._try(self._fold)
            if time.monotonic() >= keep_at:
                keep_at = time.monotonic() + self._keep_interval_s
                if self._guard.tick(elapsed_s(), self._keep_interval_s):
                    self._try(self._keep)

    def _is_appended(self, until: float) -> bool:
        """Whether something was, or is before ``until``; a burst that begins only then has a moment to gather."""
        if self._appended.is_set():
            return True
        if not self._appended.wait(max(0.0, until - time.monotonic())):
            return False
        self._sleep_until(min(time.monotonic() + FOLD_DELAY_S, until))
        return True

    def _sleep_until(self, moment: float) -> None:
        self._stopping.wait(max(0.0, moment - time.monotonic()))

    def _fold(self) -> None:
        run_sync(self._tracker.fold())

    def _keep(self) -> None:
        if run_sync(self._tracker.keeper_pass()):
            self._appended.set()

    def _try(self, work: Callable[[], None]) -> None:
        """Whatever fails here is tried again with the next append or tick; readers catch up by themselves."""
        try:
            work()
        except RunfoldError as error:
            _log.warning("background work failed; will try again: %s (%s)", error, error.code)
