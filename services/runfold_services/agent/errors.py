"""What a run's error says when its script, or its agent, is to blame."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

import msgspec

from runfold_events.contract import limits
from runfold_events.contract.commands import ErrorInfo
from runfold_services.agent.definition import LOG_PATH
from runfold_services.agent.plain_files import open_plain

TAIL_BYTES: Final = 8_000
TAIL_LINES: Final = 40
ERROR_FILE_BYTES_MAX: Final = 512 * 1024
AGENT_CODE: Final = "AgentError"
LOST_CODE: Final = "AgentLost"
TIMEOUT_CODE: Final = "RunTimeout"
UNSTORED_CODE: Final = "NotStored"


def script_error(exit_code: int, log: Path, reported: ErrorInfo | None) -> ErrorInfo:
    """The error of a script that ended with ``exit_code``: what it reported itself, and the end of its log."""
    how = f"exit code {exit_code}" if exit_code >= 0 else f"signal {-exit_code} ({_signal_name(-exit_code)})"
    parts = [f"User program ended with {how}."]
    if reported is not None and reported.message:
        parts.insert(0, reported.message)
    tail = log_tail(log)
    if tail:
        parts.append(f"The end of {LOG_PATH}:\n{tail}")
    message = "\n".join(parts)[-limits.ERROR_MESSAGE_CHARS_MAX :]
    if reported is None:
        return ErrorInfo(message=message)
    return msgspec.structs.replace(reported, message=message)


def agent_error(message: str, code: str = AGENT_CODE) -> ErrorInfo:
    """The error of a run whose script is not to blame."""
    return ErrorInfo(code=code, message=message[: limits.ERROR_MESSAGE_CHARS_MAX])


def with_remark(error: ErrorInfo, remark: str) -> ErrorInfo:
    """``error``, and before its own words something else that has to be known."""
    message = f"{remark}\n{error.message or ''}"[: limits.ERROR_MESSAGE_CHARS_MAX]
    return msgspec.structs.replace(error, message=message)


def reported_error(file: Path) -> ErrorInfo | None:
    """What the script reported with ``Run.fail``; None when it did not."""
    opened = open_plain(file)
    if opened is None:
        return None
    with opened:
        try:
            return msgspec.json.decode(opened.read(ERROR_FILE_BYTES_MAX), type=ErrorInfo)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None  # half written: the script was killed meanwhile


def log_tail(log: Path) -> str:
    """The last lines of a log, as text that any store can hold."""
    opened = open_plain(log)
    if opened is None:
        return ""
    with opened:
        size = os.fstat(opened.fileno()).st_size
        opened.seek(max(0, size - TAIL_BYTES))
        text = opened.read(TAIL_BYTES).decode("utf-8", "replace").replace("\x00", "\\x00")
    lines = text.splitlines()
    if size > TAIL_BYTES:
        lines = lines[1:] or lines  # its first is a part of one
    return "\n".join(lines[-TAIL_LINES:])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
