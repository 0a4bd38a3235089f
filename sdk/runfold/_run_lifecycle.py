"""How runs start and end."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from runfold._run_base import RunBase
from runfold_events.contract import limits
from runfold_events.contract.commands import (
    CancelRun,
    CompleteRun,
    ErrorInfo,
    FailRun,
    RequestCancel,
    StartRun,
)
from runfold_events.contract.errors import RunfoldError, RunRejected, Unavailable
from runfold_events.contract.statuses import TERMINAL, Status

FLUSH_TIMEOUT_S: Final = 300
CANCEL_WAIT_S: Final = 10.0
_POLL_S_MIN: Final = 0.05
_POLL_S_MAX: Final = 1.0
_log = logging.getLogger("runfold")


class RunLifecycle(RunBase):
    """Lifecycle calls. They go behind everything this process logged before, and wait for their outcome.

    While the server is gone the first of them waits up to 2 s; it and later ones are queued and delivered when the
    server is back (a workspace opened with ``strict`` raises ``Unavailable`` instead).
    """

    def start(self) -> None:
        """Start a run that somebody else created, or adopt one whose holder is gone; this process holds it then.

        Raises:
            Conflict: another process holds it. RunEnded: it has ended.
        """
        self._call(StartRun(run_id=self._run_id))

    def complete(self, _set_status: bool = True) -> None:
        """End the run as Completed. Values that were refused do not stand in its way.

        Raises:
            RunEnded: it has another terminal status.
        """
        if _set_status:
            self._end(CompleteRun(run_id=self._run_id))
        else:
            self.flush()

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """End the run as Failed.

        Args:
            error_details: a message, or the exception that is to blame.
            error_code: default ``UserError``.

        Raises:
            TypeError: ``error_details`` is neither; nothing was sent.
            RunEnded: the run has another terminal status.
        """
        error = error_info(error_details, error_code)
        if _set_status:
            self._end(FailRun(run_id=self._run_id, error=error))
        else:
            self.flush()

    def cancel(self, *, reason: str | None = None, cascade: bool = False) -> None:
        """Cancel the run: at once when this process holds it, else by asking its holder and waiting up to 10 s.

        A run whose holder is gone is canceled at once. Afterwards ``get_status()`` tells how far it came.

        Args:
            reason: why; kept in the run's history. Ours.
            cascade: also everything below it that has not ended, one command each. Ours.

        Raises:
            RunEnded: it has another terminal status.
        """
        if cascade:
            from runfold._cascade import cancel_tree

            cancel_tree(self, reason, CANCEL_WAIT_S)
            return
        if self._stream.held:
            self._end(CancelRun(run_id=self._run_id, reason=reason))
            return
        accepted = self._call(RequestCancel(run_id=self._run_id, reason=reason))
        if accepted is None or any(event.type == "run.canceled" for event in accepted.events):
            return
        deadline = time.monotonic() + CANCEL_WAIT_S
        self._poll(lambda status: status in TERMINAL, deadline)

    @property
    def cancel_requested(self) -> bool:
        """Somebody asked to cancel the run that this process holds. Known within 5 s; costs nothing to read."""
        return self._stream.cancel_requested

    def flush(self, timeout_seconds: float = FLUSH_TIMEOUT_S) -> None:
        """Wait until everything this process logged before is recorded.

        Raises:
            Unavailable: that took longer than ``timeout_seconds``; it is still being tried.
        """
        if not self._connection.flush(timeout_seconds):
            raise Unavailable(f"Failed to flush task queue within {timeout_seconds:g} seconds")

    def __enter__(self) -> Self:
        self._entered_pid = os.getpid()
        return self

    def __exit__(
        self,
        exit_type: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the run: Completed, or Failed after an exception, or Canceled when that was asked for.

        An end that the block itself chose stands. The exception goes on, always. In a fork's child nothing happens:
        the run is its parent's.
        """
        if self._entered_pid != os.getpid() or self._stream.ended:
            return
        if value is None:
            self._end_cleanly()
            return
        try:
            self._end_after(value)
        except RunfoldError as error:
            # The block's own exception is on its way and must not be replaced.
            _log.warning("runfold: the end of run %s was not recorded: %s", self._run_id, error)

    def _end_cleanly(self) -> None:
        if self._stream.cancel_requested:
            self._end(CancelRun(run_id=self._run_id))
        else:
            self.complete()

    def _end_after(self, error: BaseException) -> None:
        if self._stream.cancel_requested or (isinstance(error, SystemExit) and not error.code):
            self._end_cleanly()
        else:
            self.fail(error)

    def _end(self, command: CompleteRun | FailRun | CancelRun) -> None:
        if self._system is not None:
            self._system.stop()
        if self._outputs is not None:
            from runfold._outputs import collect

            collect(self)
        was_ended = self._stream.ended
        self._stream.ended = True
        try:
            self._call(command)
        except RunRejected:
            raise
        except RunfoldError:
            self._stream.ended = was_ended
            raise

    def _poll(self, is_over: Callable[[Status], bool], deadline: float | None) -> None:
        pause_s = _POLL_S_MIN
        while not is_over(self._fetch().status):
            if deadline is not None and time.monotonic() >= deadline:
                return
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _POLL_S_MAX)


def error_info(details: str | BaseException | None, code: str | None = None) -> ErrorInfo:
    """Why a run failed, cut to what is allowed.

    Raises:
        TypeError: neither text nor exception.
    """
    code = _cut(code or "UserError", limits.ERROR_CODE_CHARS_MAX)
    if details is None:
        return ErrorInfo(code=code)
    if isinstance(details, str):
        return ErrorInfo(message=_cut(details, limits.ERROR_MESSAGE_CHARS_MAX), code=code)
    _check_exception(details)
    kind = type(details).__name__
    return ErrorInfo(
        message=_cut(f"User program failed with {kind}: {_words(details)}", limits.ERROR_MESSAGE_CHARS_MAX),
        code=code,
        error_type=_cut(kind, limits.ERROR_CODE_CHARS_MAX),
        traceback=_traceback(details),
    )


def _check_exception(details: object) -> None:
    if not isinstance(details, BaseException):
        raise TypeError("error_details must be instance of string or BaseException.")


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # an exception whose own text fails must not hide that the run failed
        return f"<no text: {type(broken).__name__}>"


def _traceback(error: BaseException) -> str | None:
    try:
        lines = "".join(traceback.format_exception(error))
    except Exception:  # as above
        return None
    return _clean(lines)[-limits.ERROR_TRACEBACK_CHARS_MAX :]  # its end says most


def _cut(text: str, chars_max: int) -> str:
    clean = _clean(text)
    return clean if len(clean) <= chars_max else clean[: chars_max - 1] + "…"


def _clean(text: str) -> str:
    """Without what no store can hold: NUL and lone surrogates."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
