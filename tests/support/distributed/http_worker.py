"""A worker of the load that sends commands by HTTP and waits for their answers.

What is not answered is sent again under the same numbers, for as long as it takes. It works until SIGTERM; then it
gives up what is not answered. Runs have children, which lie on other partitions.
"""

from __future__ import annotations

import argparse
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import urllib3

from tests.support.distributed import lives
from tests.support.distributed.journal import METRICS, JournalWriter
from tests.support.distributed.kafka_worker import outcome_of, places_of
from tests.support.distributed.lives import Step

FAMILIES_AT_ONCE: Final = 3
CHILDREN: Final = 3
BATCHES_PER_RUN: Final = (40, 160)
ANSWER_S_MAX: Final = 10.0
RETRY_S: Final = 0.1
PASSING: Final = frozenset({"unavailable", "too_many_requests"})  # refusals that are none: to be sent again
HEADERS: Final = {"Content-Type": "application/json"}

Numbered = tuple[str, int, Step]


class Worker:
    """One writer, a new one for every process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._url = f"{options.api}/api/v1/commands"
        self._luck = random.Random(options.seed)
        self._rate = options.rate
        self._writer = uuid4()
        self._experiment = f"{options.name}-{self._writer.hex[:6]}"
        self._is_told_to_stop = False
        signal.signal(signal.SIGTERM, self._stop)  # before the journal, which says that it has begun
        self._journal = JournalWriter(Path(options.journal), self._writer, "http")
        self._http = urllib3.PoolManager(retries=False, timeout=ANSWER_S_MAX)
        self._numbers: dict[str, int] = {}
        self._run_count = 0
        self._spoiled: set[str] = set()

    def run(self) -> None:
        """Work until told to stop."""
        ensure = Step("experiment.ensure", {"experiment": self._experiment})
        self._send([(lives.experiment_stream(self._experiment), ensure)])
        families = [self._family() for _ in range(FAMILIES_AT_ONCE)]
        begun, sent = time.monotonic(), 0
        while not self._is_told_to_stop:
            steps: list[tuple[str, Step]] = []
            for place, family in enumerate(families):
                found = next(family, None)
                if found is None:
                    families[place] = self._family()
                else:
                    steps += found
            self._send(steps)
            sent += len(steps)
            time.sleep(max(0.0, begun + sent / self._rate - time.monotonic()))
            begun = max(begun, time.monotonic() - 1 - sent / self._rate)  # no burst after an outage
        self._journal.close()

    def _stop(self, *_: object) -> None:
        self._is_told_to_stop = True

    def _family(self) -> Iterator[list[tuple[str, Step]]]:
        """A run, then its children at the same time as the rest of it: one command of each by turns."""
        parent_id, parent = self._new_run(None)
        yield [(lives.run_stream(parent_id), next(parent))]
        members = [(parent_id, parent), *(self._new_run(parent_id) for _ in range(CHILDREN))]
        while True:
            steps = [
                (lives.run_stream(run_id), step)
                for run_id, life in members
                if (step := next(life, None)) is not None
            ]
            if not steps:
                return
            yield steps

    def _new_run(self, parent: str | None) -> tuple[str, Iterator[Step]]:
        self._run_count += 1
        run_id = f"{self._experiment}-{self._run_count}"
        batches = self._luck.randint(*BATCHES_PER_RUN)
        return run_id, lives.life(run_id, self._experiment, batches, self._luck, parent)

    def _send(self, steps: list[tuple[str, Step]]) -> None:
        """Send commands of different streams, and again until each has its answer."""
        waiting = [self._numbered(*step) for step in steps if step[0] not in self._spoiled]
        self._journal.flush()
        sent_at = time.monotonic()
        while waiting and not (self._is_told_to_stop and time.monotonic() - sent_at > ANSWER_S_MAX):
            answers = self._ask(waiting)
            ms = 1_000 * (time.monotonic() - sent_at)
            left: list[Numbered] = []
            for numbered, answer in zip(waiting, answers, strict=True):
                if answer is None or outcome_of(answer) in PASSING:
                    left.append(numbered)
                else:
                    self._take(numbered, answer, ms)
            self._journal.flush()
            waiting = left
            if waiting:
                time.sleep(RETRY_S)

    def _take(self, numbered: Numbered, answer: dict[str, Any], ms: float) -> None:
        stream, number, _ = numbered
        outcome, places = outcome_of(answer), places_of(answer)
        self._journal.answered(stream, number, outcome, ms, places)
        if outcome != "accepted" and not places:
            print(f"{stream} number {number}: {answer}", flush=True)
            self._spoiled.add(stream)  # its number is free still: nothing after it could be taken

    def _numbered(self, stream: str, step: Step) -> Numbered:
        number = self._numbers[stream] = self._numbers.get(stream, 0) + 1
        self._journal.sends(stream, number, step.name, step.batch, step.content)
        return stream, number, step

    def _ask(self, waiting: list[Numbered]) -> list[dict[str, Any] | None]:
        """An answer to each, or None where there was none."""
        headers = {**HEADERS, "Runfold-Writer": str(self._writer)}
        try:
            answer = self._http.request("POST", self._url, body=_body(waiting), headers=headers)
        except urllib3.exceptions.HTTPError:
            return [None] * len(waiting)
        if answer.status != 200:
            if answer.status < 500 and answer.status != 429:
                raise SystemExit(f"the API refused the load: {answer.status} {answer.data!r}")
            return [None] * len(waiting)
        found: list[dict[str, Any] | None] = msgspec.json.decode(answer.data)["outcomes"]
        return found


def _body(waiting: list[Numbered]) -> bytes:
    commands: list[dict[str, Any]] = []
    for _, number, step in waiting:
        command: dict[str, Any] = {"type": step.type, **step.content}
        if step.name == METRICS:
            command["batch"] = msgspec.Raw(step.batch)
        commands.append({"command": command, "writer_seq": number})
    return msgspec.json.encode({"workspace": lives.WORKSPACE, "commands": commands})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    Worker(parser.parse_args()).run()


if __name__ == "__main__":
    main()
