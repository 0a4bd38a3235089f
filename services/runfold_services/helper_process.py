"""A process beside a server that takes work off its interpreter: requests and answers over two pipes; its own end.

A helper is a matter of speed alone. Whoever asks (:mod:`runfold_services.helper_on_loop`) does the work itself where
there is no answer: while the process starts, when it fails, and when it hangs. It ends when its input does, so it never
outlives its server.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

READY: Final = b"ready"
SIZE: Final = struct.Struct("<I")  # before every request and answer


def helper_command(task: str, home: Path) -> list[str]:
    """What starts the helper for ``task``, a module of :mod:`runfold_services.compose`, over a home's ledger."""
    return [sys.executable, "-m", f"runfold_services.compose.{task}", str(home)]


def answer_requests(answer: Callable[[bytes], bytes]) -> None:
    """The helper's end: say that it is ready, and answer on standard output until standard input ends."""
    # Ctrl-C goes to the whole group; the server ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints does not get between answers
    _send(answers, READY)
    while (size := requests.read(SIZE.size)) and len(size) == SIZE.size:
        request = requests.read(SIZE.unpack(size)[0])
        _send(answers, answer(request))


def _send(answers: BinaryIO, message: bytes) -> None:
    left = memoryview(SIZE.pack(len(message)) + message)
    while left:
        left = left[answers.write(left) :]
