"""Work that is killed at every step: in processes of their own, forked one after the other, each a little later."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

from runfold_events import failpoints


def kill_until_done(kills: Iterable[int], work: Callable[[int], None], what: str) -> NoReturn:
    """Fork, work, die at step ``kill``, for ever later steps; ends the process as soon as the work came to its end.

    Args:
        kills: the steps, counted from 1.
        work: done in the child, with the step at which it will be killed. See :func:`die_at`.
        what: the work, for the words when none of the children came to the end.
    """
    for kill in kills:
        child = os.fork()
        if child == 0:
            run_and_leave(lambda kill=kill: work(kill))  # type: ignore[misc]
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        if os.WTERMSIG(status) != signal.SIGKILL:
            sys.exit(f"the child at {kill} died of signal {os.WTERMSIG(status)}")
    sys.exit(f"the {what} never came to its end")


def run_and_leave(work: Callable[[], None]) -> NoReturn:
    """In a fork's child: nothing of the parent's goes on after the work."""
    try:
        work()
    finally:
        os._exit(0 if sys.exc_info()[0] is None else 1)


def die_at(step: int) -> None:
    """Have this process killed at the ``step``-th failpoint that it reaches from now on."""
    reached = itertools.count(1)
    failpoints.arm("*", lambda: os.kill(os.getpid(), signal.SIGKILL) if next(reached) == step else None)


def run_killer(module: str, *arguments: str, timeout_s: float) -> str:
    """Run a killer, ``tests.chaos.MODULE``, which must come to its end; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.chaos.{module}", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
