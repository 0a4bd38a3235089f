"""One of several processes that log into one embedded file: started by ``test_many_processes``.

    python -m tests.chaos.many_processes_worker HOME PARENT NUMBER END

END: ``complete`` ends the child and leaves; ``killed-after-flush`` and ``killed-before-flush`` die by SIGKILL there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Final

from runfold import Run, Workspace

OWN_POINTS: Final = 10_000
COMMON_POINTS: Final = 1_000
SHORT_RUNS: Final = 10  # children of the child that start and end meanwhile
OWN: Final = "own"
COMMON: Final = "common"


def own_value(number: int, step: int) -> float:
    """What the process logs to its own child."""
    return number + step / OWN_POINTS


def common_step(number: int, step: int) -> int:
    """Its steps in the common run: a range of its own."""
    return number * COMMON_POINTS + step


def main() -> int:
    home, parent_id, number, end = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    parent = Workspace(workspace_name="default", home=home).get_run(parent_id)
    took_ms: list[float] = []
    child = _timed(took_ms, lambda: parent.child_run(f"worker {number}", run_id=f"child-{number}"))
    assert isinstance(child, Run)
    for step in range(OWN_POINTS):
        child.log(OWN, own_value(number, step), step=step)
        if step % (OWN_POINTS // COMMON_POINTS) == 0:
            common = step // (OWN_POINTS // COMMON_POINTS)
            parent.log(COMMON, float(number), step=common_step(number, common))
        if step % (OWN_POINTS // SHORT_RUNS) == 0:
            _short_run(child, took_ms)
    if end == "killed-before-flush":
        os.kill(os.getpid(), signal.SIGKILL)
    child.flush(timeout_seconds=60)
    parent.flush(timeout_seconds=60)
    print(json.dumps(took_ms), flush=True)
    if end == "killed-after-flush":
        os.kill(os.getpid(), signal.SIGKILL)
    child.complete()
    return 0


def _short_run(child: Run, took_ms: list[float]) -> None:
    short = _timed(took_ms, lambda: child.child_run("short"))
    assert isinstance(short, Run)
    _timed(took_ms, short.complete)


def _timed(took_ms: list[float], call: object) -> object:
    assert callable(call)
    began = time.perf_counter()
    answer = call()
    took_ms.append((time.perf_counter() - began) * 1_000)
    return answer


if __name__ == "__main__":
    sys.exit(main())
