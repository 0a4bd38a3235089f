"""This process's lease: what tells others that the runs it holds are in good hands."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from runfold._streams import Stream
from runfold._transport import Transport
from runfold_events.contract.errors import RunfoldError
from runfold_events.contract.ids import run_stream
from runfold_events.contract.limits import HEARTBEAT_INTERVAL_S

HEARTBEATS_PER_LEASE: Final = 4  # of a server whose leases are short
_RETRY_S: Final = 1.0
_log = logging.getLogger("runfold")


class Leases:
    """One heartbeat every 5 s from the first run that is held on, whatever the number of runs; more often only where a
    lease is shorter than 20 s.

    A process has one writer, and one more for each run whose creation was refused and that it then went on with. The
    clock goes on while the machine sleeps, as leases do.
    """

    def __init__(
        self, transport: Callable[[], Transport], streams: Mapping[str, Stream], clock: Callable[[], float]
    ) -> None:
        self._transport = transport
        self._streams = streams
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Hold nothing; for the child of a fork."""
        self._writers: list[UUID] = []
        self._under_way: Mapping[Stream, int] = {}  # values by a log, as of the last heartbeat
        self._due_at = 0.0
        self._interval_s = HEARTBEAT_INTERVAL_S
        self._renewed_at: float | None = None

    def wait_s(self) -> float | None:
        """Seconds until the next heartbeat; None while nothing needs one."""
        return max(0.0, self._due_at - self._clock()) if self._writers else None

    def age_s(self) -> float:
        """Seconds since the lease was last renewed; endless when it never was."""
        return float("inf") if self._renewed_at is None else self._clock() - self._renewed_at

    def ensure(self, writer_id: UUID) -> None:
        """Have a lease before the first run is held; raises what the transport raises."""
        if writer_id not in self._writers:
            self._beat(writer_id, {})
            self._writers.append(writer_id)
            self._due_at = self._clock() + self._interval_s

    def beat_if_due(self, numbers: Mapping[Stream, int]) -> None:
        """Renew what is due. A heartbeat that fails is sent again soon; the lease bears that for two minutes."""
        if not self._writers or self._clock() < self._due_at:
            return
        self._due_at = self._clock() + self._interval_s
        for writer in [*self._writers, *self._stuck(numbers)]:
            try:
                self._beat(writer, numbers)
            except RunfoldError as error:
                self._due_at = self._clock() + _RETRY_S
                _log.debug("runfold: heartbeat failed: %s", error)
            except Exception:
                _log.exception("runfold: heartbeat failed")

    def _stuck(self, numbers: Mapping[Stream, int]) -> list[UUID]:
        """Writers of values that go by a log and that did not come on since the last heartbeat.

        They hold nothing, so otherwise they need no heartbeats.
        """
        last, self._under_way = self._under_way, {s: n for s, n in numbers.items() if s.by_log}
        stuck = [s for s, n in self._under_way.items() if n > s.announced and last.get(s) == n]
        return list(dict.fromkeys(stream.writer_id for stream in stuck))

    def end(self, numbers: Mapping[Stream, int]) -> None:
        """Say what was not delivered and give the leases up; a server that is gone notices by itself."""
        by_log = [stream.writer_id for stream in numbers if stream.by_log] if self._writers else []
        for writer in [*self._writers, *dict.fromkeys(by_log)]:
            try:
                if numbers:
                    self._beat(writer, numbers)
                self._transport().release(writer)
            except RunfoldError as error:
                _log.debug("runfold: the lease was not released: %s", error)
            except Exception:
                _log.exception("runfold: the lease was not released")
        self.reset()

    def _beat(self, writer_id: UUID, numbers: Mapping[Stream, int]) -> None:
        own = {
            stream.name: number
            for stream, number in numbers.items()
            if stream.writer_id == writer_id and number > stream.announced
        }
        asked_at = self._clock()
        answer = self._transport().heartbeat(writer_id, own)
        self._renewed_at = asked_at
        self._interval_s = min(HEARTBEAT_INTERVAL_S, answer.lease_s / HEARTBEATS_PER_LEASE)
        for stream, number in numbers.items():
            if stream.writer_id == writer_id:
                stream.announced = max(stream.announced, number)
        for name in answer.cancel_requested:
            workspace, _, run_id = name.partition("/")
            stream_of_run = self._streams.get(run_stream(workspace, run_id))
            if stream_of_run is not None:
                _note_cancel_request(stream_of_run)


def _note_cancel_request(stream: Stream) -> None:
    if stream.cancel_requested or not stream.held:
        return
    stream.cancel_requested = True
    if stream.interrupt:
        interrupt_main_thread()


def interrupt_main_thread() -> None:
    """Raise KeyboardInterrupt in the main thread, also out of a sleep where the platform can."""
    main = threading.main_thread()
    if hasattr(signal, "pthread_kill") and main.ident is not None:
        signal.pthread_kill(main.ident, signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()
