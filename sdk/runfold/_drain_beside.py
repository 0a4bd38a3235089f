"""Delivering, beside a program's own work, what dead processes have left for the same destination."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

from runfold._spool import Place, spools_in
from runfold._transport import Transport

PATIENCE_S: Final = 2.0  # with a server that is gone; the next process tries again
_log = logging.getLogger("runfold")


class DrainBeside:
    """One connection's drainer.

    Args:
        transport: opens the transport, or gives the one there is.
        is_stopping: the program ends; what is left then waits for the next one.
    """

    def __init__(self, transport: Callable[[], Transport], is_stopping: Callable[[], bool]) -> None:
        self._transport = transport
        self._is_stopping = is_stopping
        self.thread: threading.Thread | None = None

    def now(self, place: Place) -> int:
        """Deliver what was left; returns how many values arrived."""
        from runfold._drain import drain

        if place.folder is None:
            return 0
        transport = self._transport()
        drained = list(drain(place.folder, lambda: transport, patience_s=PATIENCE_S, stop=self._is_stopping))
        for one in drained:
            _log.info(
                "runfold: delivered %d values and %d commands that %s had left%s",
                one.values,
                one.commands,
                one.program or "a process",
                "" if one.is_done else f"; the rest waits: {one.problem}",
            )
        return sum(one.values for one in drained)

    def begin(self, place: Place, own: UUID) -> None:
        """The same in a thread, if there is something; ``own`` is the writer whose spool is in use here."""
        if place.folder is None or all(path.name == str(own) for path in spools_in(place.folder)):
            return
        thread = threading.Thread(target=self._quietly, args=(place,), name="runfold-drain", daemon=True)
        with suppress(RuntimeError):  # while Python ends
            thread.start()
            self.thread = thread

    def _quietly(self, place: Place) -> None:
        try:
            self.now(place)
        except Exception:  # what others have left is no reason to disturb this program
            _log.exception("runfold: what dead processes have left was not delivered")
