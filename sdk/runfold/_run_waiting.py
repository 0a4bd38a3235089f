"""Waiting for runs, with what they print shown as it comes."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import codecs
import json
import re
import sys
import time
from collections.abc import Collection
from typing import Any, Final

from runfold._run_lifecycle import RunLifecycle
from runfold._run_logs import RunLogs
from runfold.errors import RunFailed
from runfold_events.contract.errors import NotFound
from runfold_events.contract.statuses import TERMINAL, Status

STREAMED: Final = re.compile(r"(user_logs/std_log[\D]*[0]*(?:_ps)?\.txt)|(azureml-logs/[\d]{2}.+\.txt)")
_POST_PROCESSING: Final = frozenset({Status.FINALIZING, Status.CANCEL_REQUESTED})
_LOG_CHUNK_BYTES: Final = 1024 * 1024
_PAUSE_S_MIN: Final = 0.1
_PAUSE_S_MAX: Final = 1.0


class RunWaiting(RunLifecycle, RunLogs):
    """``wait_for_completion``."""

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Wait until the run has ended; returns ``get_details()``.

        Returns at ``Finalizing`` and ``CancelRequested`` already, unless ``wait_post_processing``; not at the
        Finalizing of a script that failed, whose error is recorded once its files are. A canceled run is no error.

        Args:
            show_output: print a header, what the run prints as it comes, and a summary.
            wait_post_processing: wait for the terminal status.
            raise_on_error: raise for a run that ended as Failed.

        Raises:
            RunFailed: it did.
        """
        over = TERMINAL if wait_post_processing else TERMINAL | _POST_PROCESSING
        if show_output:
            self._show_output(over)
        else:
            self._poll(lambda status: status in over and not self._is_failing(), None)
        details = self.get_details()
        if show_output:
            self._print_summary(details)
        if raise_on_error and self._seen().status is Status.FAILED:
            raise _failure(details.get("error"))
        return details

    def _show_output(self, over: Collection[Status]) -> None:
        _show(f"RunId: {self._run_id}\nWeb View: {self.get_portal_url()}\n\n")
        shown: dict[str, _Shown] = {}
        pause_s = _PAUSE_S_MIN
        while True:
            # Before the last look at the logs, so that nothing is missed.
            is_over = self._fetch().status in over and not self._is_failing()
            if self._show_logs(shown):
                pause_s = _PAUSE_S_MIN
            if is_over:
                return
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _PAUSE_S_MAX)

    def _is_failing(self) -> bool:
        """Whether its agent has said, and not recorded yet, that it fails."""
        view = self._seen()
        if view.status is not Status.FINALIZING:
            return False
        from runfold_services.agent.definition import FAILING

        return view.status_details == FAILING

    def _show_logs(self, shown: dict[str, _Shown]) -> bool:
        """Print what is new; whether there was anything."""
        was_something = False
        for path in self._log_paths(("user_logs/", "azureml-logs/")):
            if not STREAMED.fullmatch(path):
                continue
            log = shown.get(path)
            if log is None:
                log = shown[path] = _Shown()
                title = f"Streaming {path}"
                _show(f"{title}\n{'=' * len(title)}\n\n")
            was_something = log.show(self, path) or was_something
        return was_something

    def _print_summary(self, details: dict[str, Any]) -> None:
        lines = [
            "",
            "Execution Summary",
            "=================",
            f"RunId: {self._run_id}",
            f"Web View: {self.get_portal_url()}",
        ]
        for warning in details.get("warnings", []):
            lines += ["", "Warnings:", str(warning["message"])]
        if "error" in details:
            lines += ["", "Error:", json.dumps(details["error"], indent=4)]
        _show("\n".join(lines) + "\n\n")


class _Shown:
    """How much of a log was printed."""

    def __init__(self) -> None:
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(self, run: RunLogs, path: str) -> bool:
        """Print what is new of it; whether there was anything."""
        was_something = False
        while True:
            try:
                data = run._read_log(path, self._offset, _LOG_CHUNK_BYTES)
            except NotFound:
                return was_something
            if not data:
                return was_something
            self._offset += len(data)
            _show(self._decoder.decode(data))
            was_something = True


def _show(text: str) -> None:
    """What ``show_output`` asks for; a terminal that cannot write a character gets another one."""
    out = sys.stdout
    try:
        out.write(text)
    except UnicodeEncodeError:
        out.write(text.encode(out.encoding or "ascii", "replace").decode(out.encoding or "ascii"))
    out.flush()


def _failure(error: dict[str, Any] | None) -> RunFailed:
    if error is None or not error.get("error", {}).get("message"):
        return RunFailed("Detailed error not set on the Run. Please check the logs for details.")
    return RunFailed(f"Activity Failed:\n{json.dumps(error, indent=4)}", facts={"error": error})
