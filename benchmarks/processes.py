"""Servers and clients of a benchmark: processes of their own, so that nobody shares an interpreter."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

STOP_S: Final = 15.0
BEGIN_S_MAX: Final = 180.0  # many processes start on few cores
_barrier: Barrier | None = None


@contextmanager
def server(home: Path) -> Generator[str]:
    """``runfold up`` over ``home`` on a free loopback port; yields its URL."""
    command = [
        sys.executable,
        "-m",
        "runfold.cli.main",
        "up",
        "--port",
        "0",
        "--home",
        str(home),
        "--log-level",
        "warning",
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RUNFOLD_")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.fullmatch(r"runfold ready at (http://\S+)\n", line)
        if found is None:
            raise RuntimeError(f"the server did not start: {line!r}")
        yield found[1]
    finally:
        process.terminate()
        process.wait(STOP_S)


def together(work: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
    """``work(*arguments)`` in one process for each, all past :func:`begin` at the same moment; their answers."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(arguments))
    with ProcessPoolExecutor(
        len(arguments), mp_context=context, initializer=_keep, initargs=(barrier,)
    ) as pool:
        return [future.result() for future in [pool.submit(work, *given) for given in arguments]]


def begin() -> None:
    """Wait until every process of :func:`together` has come here."""
    if _barrier is not None:
        _barrier.wait(BEGIN_S_MAX)


def _keep(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603  # one per worker process, set before its first task
    _barrier = barrier
