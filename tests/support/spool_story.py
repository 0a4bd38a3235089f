"""Workers and their server are killed at random; afterwards every number that a worker says it logged is looked for.

The checker compares what workers wrote down themselves with what the server answers, and knows nothing of spools.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from runfold._http import HttpTransport
from tests.chaos.spool_worker import COUNT, METRIC
from tests.support.repository import script
from tests.support.spool_trackers import FileTracker, Tracker

SYNC_TRIES: Final = 10


class Story(Struct, frozen=True, kw_only=True):
    """How long, how many, how wild.

    Attributes:
        outage_s: the server is away in one piece for so long, in the middle; no worker is killed.
        wire: see :mod:`tests.chaos.spool_worker`.
        full_disks: of the workers, those whose spool takes no second file.
        runs: what names of runs begin with.
    """

    seconds: float = 12.0
    workers: int = 4
    rate: float = 300.0
    kill_every_s: tuple[float, float] = (0.4, 1.5)
    server_every_s: tuple[float, float] = (2.0, 5.0)
    outage_s: float = 0.0
    wire: str = "lossy"
    full_disks: int = 0
    runs: str = "run"
    seed: int = 0


class Told(Struct, kw_only=True):
    """What was found."""

    logged: int = 0
    stored: int = 0
    doubled: int = 0
    missing: int = 0
    disordered: int = 0
    unprotected_missing: int = 0
    kills: int = 0
    server_kills: int = 0
    synced: int = 0
    proved_writers: int = 0
    incomplete_writers: int = 0
    log_us_p50: float = 0.0
    log_us_p99: float = 0.0
    log_us_max: float = 0.0
    problems: list[str] = []


class Fleet:
    """The processes of one story. ``tracker``: what workers send to."""

    def __init__(self, folder: Path, story: Story, tracker: Tracker) -> None:
        self.story = story
        self.told = Told()
        self._chance = random.Random(story.seed)
        self._folder = folder
        self._tracker = tracker
        self._workers: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RUNFOLD_URL": self._tracker.url,
            **self._tracker.environment,
            "RUNFOLD_SPOOL": str(self._folder / "spool"),
        }

    def journal(self, number: int) -> Path:
        return self._folder / f"{number}.journal"

    def _start_worker(self, number: int) -> None:
        full = 300_000 if number < self.story.full_disks else 0
        arguments = [f"{self.story.runs}-{number}", str(self.journal(number)), str(self.story.rate)]
        arguments += [str(self._chance.randrange(2**31)), self.story.wire, str(full)]
        with (self._folder / f"{number}.log").open("ab") as log:
            self._workers[number] = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.spool_worker", *arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def _kill_worker(self, number: int) -> None:
        worker = self._workers.pop(number)
        worker.kill()
        worker.wait()
        self.told.kills += 1

    def _kill_tracker(self) -> None:
        if self._tracker.is_up:
            self._tracker.kill()
            self.told.server_kills += 1

    def run(self) -> None:
        """Start, kill, start again, until the time is over; then everybody is killed."""
        for number in range(self.story.workers):
            self._start_worker(number)
        if self.story.outage_s:
            self._outage()
        else:
            self._kill_for_a_while()
        for number in list(self._workers):
            self._kill_worker(number)
        self._kill_tracker()

    def _outage(self) -> None:
        time.sleep(self.story.seconds / 2)
        self._kill_tracker()
        time.sleep(self.story.outage_s)
        self._tracker.start()
        time.sleep(self.story.seconds / 2)

    def _kill_for_a_while(self) -> None:
        chance, story = self._chance, self.story
        ends_at = time.monotonic() + story.seconds
        server_at = time.monotonic() + chance.uniform(*story.server_every_s)
        while (left_s := ends_at - time.monotonic()) > 0:
            time.sleep(min(left_s, chance.uniform(*story.kill_every_s)))
            self._kill_worker(number := chance.choice(list(self._workers)))
            self._start_worker(number)
            if time.monotonic() >= server_at:
                if self._tracker.is_up:
                    self._kill_tracker()
                else:
                    self._tracker.start()
                server_at = time.monotonic() + chance.uniform(*story.server_every_s) / 2

    def settle(self) -> Told:
        """``runfold sync`` until nothing waits, its proof, and the checker's own look."""
        answer: Any = None
        for _ in range(SYNC_TRIES):
            self._tracker.start()
            answer = self._runfold("sync")
            self.told.synced += sum(spool["values"] for spool in answer["spools"])
            if not answer["waiting_spools"]:
                break
        else:
            self.told.problems.append(f"{answer['waiting_spools']} spools wait for ever")
        self._tracker.start()
        writers = self._runfold("sync", "--verify")["writers"]
        self.told.proved_writers = len(writers)
        self.told.incomplete_writers = sum(bool(writer["missing"]) for writer in writers)
        self._check()
        return self.told

    def _runfold(self, *arguments: str) -> Any:
        done = subprocess.run(
            [str(script("runfold")), *arguments, "-o", "json"],
            env=self.environment,
            capture_output=True,
            timeout=600,
            check=False,
        )
        try:
            return msgspec.json.decode(done.stdout)
        except msgspec.MsgspecError:
            raise AssertionError(done.stderr.decode()) from None

    def close(self) -> None:
        for number in list(self._workers):
            self._kill_worker(number)

    # The checker

    def _check(self) -> None:
        transport = HttpTransport(self._tracker.url)
        times: list[int] = []
        for number in range(self.story.workers):
            logged = list(_read(self.journal(number)))
            times += [took for _, took in logged]
            steps = _stored(transport, f"{self.story.runs}-{number}")
            self._compare(number, [one for one, _ in logged], steps)
        transport.close()
        times.sort()
        if times:
            self.told.log_us_p50 = times[len(times) // 2] / 1e3
            self.told.log_us_p99 = times[int(len(times) * 0.99)] / 1e3
            self.told.log_us_max = times[-1] / 1e3

    def _compare(self, number: int, logged: list[int], stored: list[int]) -> None:
        counts = Counter(stored)
        self.told.logged += len(logged)
        self.told.stored += len(stored)
        self.told.doubled += sum(count - 1 for count in counts.values())
        missing = sum(one not in counts for one in logged)
        if number < self.story.full_disks:
            self.told.unprotected_missing += missing
        else:
            self.told.missing += missing
        self.told.disordered += sum(a > b for a, b in pairwise(stored))


def _read(journal: Path) -> Iterator[tuple[int, int]]:
    if journal.exists():
        data = journal.read_bytes()
        yield from COUNT.iter_unpack(data[: len(data) // COUNT.size * COUNT.size])


def _stored(transport: HttpTransport, run_id: str) -> list[int]:
    found = transport.metrics("default", run_id, (METRIC,), False, None, None)
    return list(found[0].columns[METRIC]) if found else []


def tell(folder: Path, story: Story, tracker: Tracker | None = None) -> Told:
    """Live through a story; what was found afterwards. ``tracker``: otherwise a server over a file."""
    folder.mkdir(parents=True, exist_ok=True)
    used = tracker or FileTracker(folder / "server")
    fleet = Fleet(folder, story, used)
    try:
        fleet.run()
        return fleet.settle()
    finally:
        fleet.close()
        if tracker is None:
            used.close()
