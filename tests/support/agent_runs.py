"""Submitted runs in memory: what an agent talks to, with a service that can go away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from runfold_events.contract.commands import ErrorInfo
from runfold_events.contract.errors import NotFound, RunEnded, RunRejected, Unavailable
from runfold_events.contract.statuses import TERMINAL, Status
from runfold_events.contract.validation import check_artifact_path
from runfold_events.rules.run import HELD_BY_OTHER
from runfold_projections.model import RunView
from runfold_services.agent.definition import RUN_TYPE, RunDefinition

LIVE = frozenset(Status) - TERMINAL


class MemoryRuns:
    """One agent's view of runs that several agents share: give each its own ``name`` over one ``Shelf``."""

    def __init__(self, shelf: Shelf, name: str = "a") -> None:
        self.shelf = shelf
        self.name = name
        self.is_gone = False
        self.lease_age = 0.0
        self.yields = True  # say nothing of a run that another one has adopted

    def _enter(self) -> None:
        if self.is_gone:
            raise Unavailable("nobody is there")

    def waiting(self, runs_max: int) -> list[RunView]:
        self._enter()
        return self.shelf.views(Status.STARTING)[:runs_max]

    def waiting_below(self, parents: Sequence[str], runs_max: int) -> list[RunView]:
        self._enter()
        views = self.shelf.views(Status.STARTING)
        return [view for view in views if view.parent_run_id in parents][:runs_max]

    def lost(self, runs_max: int) -> list[RunView]:
        self._enter()
        return self.shelf.views(Status.NOT_RESPONDING)[:runs_max]

    def statuses(self, run_ids: Sequence[str]) -> dict[str, Status]:
        if self.is_gone:
            return {}
        return {run_id: self.shelf.status[run_id] for run_id in run_ids}

    def claim(self, run_id: str) -> bool:
        self._enter()
        with self.shelf.lock:
            if self.shelf.status[run_id] is not Status.STARTING:
                return False
            self.shelf.holder[run_id] = self.name
            self.shelf.move(run_id, Status.PREPARING)
            return True

    def claimed_late(self) -> list[str]:
        return []

    def adopt(self, run_id: str) -> bool:
        self._enter()
        with self.shelf.lock:
            taken = self.shelf.holder.get(run_id) not in {None, self.name}
            if taken or self.shelf.status[run_id] in TERMINAL:
                return False
            self.shelf.holder[run_id] = self.name
            self.shelf.move(run_id, Status.RUNNING)
            return True

    def advance(self, run_id: str, status: Status, details: str | None = None) -> None:
        self._enter()
        self._check_adopted(run_id, self.yields)
        self.shelf.report(run_id, status)

    def start(self, run_id: str) -> None:
        self._enter()
        self._check_adopted(run_id, True)
        self.shelf.report(run_id, Status.RUNNING)

    def _check_adopted(self, run_id: str, yields: bool) -> None:
        if yields and self.shelf.holder.get(run_id) not in {None, self.name}:
            facts = {"status": self.shelf.status[run_id], "reason": HELD_BY_OTHER}
            raise RunRejected(HELD_BY_OTHER, code="conflict", facts=facts)

    def complete(self, run_id: str) -> None:
        self._enter()
        self.shelf.end(run_id, Status.COMPLETED)

    def fail(self, run_id: str, error: ErrorInfo) -> None:
        self._enter()
        self._check_adopted(run_id, self.yields)
        if self.shelf.end(run_id, Status.FAILED):
            self.shelf.error[run_id] = error

    def cancel(self, run_id: str) -> None:
        self._enter()
        self.shelf.end(run_id, Status.CANCELED)

    def definition(self, run_id: str) -> RunDefinition:
        self._enter()
        if run_id not in self.shelf.definition:
            raise NotFound(f"there is no definition of {run_id}")
        return self.shelf.definition[run_id]

    def restore(self, run_id: str, snapshot_id: str, folder: Path) -> None:
        for name, text in self.shelf.files[snapshot_id].items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")

    def log_size(self, run_id: str, path: str) -> int:
        self._enter()
        return len(self.shelf.logs.get((run_id, path), b""))

    def append_log(self, run_id: str, path: str, offset: int, data: bytes) -> int:
        self._enter()
        log = self.shelf.logs.setdefault((run_id, path), bytearray())
        assert offset == len(log)
        log += data
        return len(log)

    def finish_log(self, run_id: str, path: str) -> None:
        self._enter()
        self.shelf.finished.add((run_id, path))

    def put_file(self, run_id: str, path: str, source: BinaryIO) -> None:
        self._enter()
        check_artifact_path(path)
        self.shelf.stored[run_id, path] = source.read()

    def environment(self, run_id: str) -> Mapping[str, str]:
        return {"RUNFOLD_RUN_ID": run_id}

    def lease_age_s(self) -> float:
        return self.lease_age


class Shelf:
    """The runs."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.status: dict[str, Status] = {}
        self.parents: dict[str, str | None] = {}
        self.holder: dict[str, str] = {}
        self.stations: dict[str, list[Status]] = {}
        self.error: dict[str, ErrorInfo] = {}
        self.definition: dict[str, RunDefinition] = {}
        self.files: dict[str, dict[str, str]] = {}
        self.logs: dict[tuple[str, str], bytearray] = {}
        self.finished: set[tuple[str, str]] = set()
        self.stored: dict[tuple[str, str], bytes] = {}

    def submit(self, run_id: str, text: str, parent: str | None = None, **settings: object) -> None:
        """A run that waits, with one script in its snapshot."""
        self.files[run_id] = {"script.py": text}
        given: dict[str, object] = {"script": "script.py", "snapshot_id": run_id} | settings
        self.definition[run_id] = RunDefinition(**given)  # type: ignore[arg-type]
        self.parents[run_id] = parent
        self.stations[run_id] = []
        self.move(run_id, Status.STARTING)

    def move(self, run_id: str, status: Status) -> None:
        self.status[run_id] = status
        self.stations[run_id].append(status)

    def report(self, run_id: str, status: Status) -> None:
        with self.lock:
            present = self.status[run_id]
            if present in TERMINAL:
                raise RunEnded("it has ended", facts={"status": present})
            if present is Status.CANCEL_REQUESTED and status is not Status.FINALIZING:
                raise RunRejected("a cancel was requested", code="conflict", facts={"status": present})
            self.move(run_id, status)

    def end(self, run_id: str, status: Status) -> bool:
        with self.lock:
            if self.status[run_id] in TERMINAL:
                return False
            self.move(run_id, status)
            return True

    def views(self, status: Status) -> list[RunView]:
        now = datetime.now(UTC)
        return [
            RunView(
                workspace="w",
                run_id=run_id,
                experiment="e",
                experiment_id=UUID(int=1),
                number=1,
                status=status,
                parent_run_id=self.parents[run_id],
                root_run_id=run_id,
                path=(run_id,),
                run_type=RUN_TYPE,
                created_at=now,
                created_by="tester",
                updated_at=now,
            )
            for run_id in self.status
            if self.status[run_id] is status
        ]

    def log(self, run_id: str, path: str = "user_logs/std_log.txt") -> str:
        return bytes(self.logs.get((run_id, path), b"")).decode()


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Until it holds."""
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
