"""A replay of all events, as plainly as can be: what the views must say.

It follows the words of the design and of the event types, not the folds; it knows the forms that the load sends (plain
JSON columns, one column a series) and says so when it meets another.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Final
from uuid import UUID

import msgspec

from tests.support.distributed.stored import Stored

CHUNK_POINTS: Final = 4_096
ENDS: Final = ("Completed", "Failed", "Canceled")
STATUS_AFTER: Final = {
    "run.created": "NotStarted",
    "run.started": "Running",
    "run.cancel_requested": "CancelRequested",
    "run.completed": "Completed",
    "run.failed": "Failed",
    "run.canceled": "Canceled",
    "run.lost": "NotResponding",
}
STATUS_NAMED: Final = ("run.advanced", "run.found")  # the event says it
NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

Order = tuple[int, int, bytes, int, int]  # step, time, writer, number, index


class Metric:
    """Summary of one metric of one run."""

    def __init__(self) -> None:
        self.count = 0
        self.nan_count = 0
        self.least: float | None = None
        self.greatest: float | None = None
        self.order: Order | None = None
        self.latest = math.nan

    def take(self, value: float, order: Order) -> None:
        self.count += 1
        if math.isnan(value):
            self.nan_count += 1
        else:
            self.least = value if self.least is None else min(self.least, value)
            self.greatest = value if self.greatest is None else max(self.greatest, value)
        if self.order is None or order > self.order:
            self.order, self.latest = order, value


class Chunk:
    """What the table says of a run of points of one series."""

    def __init__(self) -> None:
        self.values = Metric()
        self.first: float | None = None
        self.last: float | None = None
        self.times: list[int] = []  # least and greatest
        self.steps: list[int] = []

    def take(self, value: float, time_ms: int, step: int) -> None:
        number = None if math.isnan(value) else value
        if self.values.count == 0:
            self.first = number
            self.times, self.steps = [time_ms, time_ms], [step, step]
        self.last = number
        self.values.take(value, (step, time_ms, b"", 0, 0))
        self.times = [min(self.times[0], time_ms), max(self.times[1], time_ms)]
        self.steps = [min(self.steps[0], step), max(self.steps[1], step)]


class Series:
    """All points of one series in the order of their positions, cut where the design says."""

    def __init__(self) -> None:
        self.count = 0
        self.full: list[Chunk] = []
        self._open = Chunk()

    def take(self, value: float, time_ms: int, step: int) -> None:
        self.count += 1
        self._open.take(value, time_ms, step)
        if self.count % CHUNK_POINTS == 0:
            self.full.append(self._open)
            self._open = Chunk()


class Run:
    """One run; ``row`` has the summary table's columns, but for its key."""

    def __init__(self, event: Stored, body: dict[str, Any]) -> None:
        self.partition = event.partition
        self.metrics: dict[str, Metric] = {}
        self.series: dict[str, Series] = {}
        self.touched_at = event.recorded_at
        self.row: dict[str, Any] = {
            "workspace": event.stream.split("/")[0],
            "run_id": body["run_id"],
            "experiment": body["experiment"],
            "experiment_id": UUID(body["experiment_id"]),
            "number": body["number"],
            "status": "NotStarted",
            "status_details": None,
            "parent_run_id": body.get("parent_run_id"),
            "root_run_id": body["root_run_id"],
            "path": body["path"],
            "name": body.get("name"),
            "display_name": body.get("display_name"),
            "description": body.get("description"),
            "run_type": body.get("run_type"),
            "target": body.get("target", "local"),
            "created_at": event.recorded_at,
            "started_at": None,
            "ended_at": None,
            "created_by": event.actor,
            "archived": False,
            "erased": False,
            "error": None,
            "cancel_reason": None,
            "tags": body.get("tags", {}),
            "properties": body.get("properties", {}),
            "params": {},
            "rejections": 0,
            "lost_commands": 0,
            "lost_values": 0,
        }

    def set_status(self, status: str, at: int) -> None:
        self.row["status"] = status
        self.row["status_details"] = None
        if status == "Running" and self.row["started_at"] is None:
            self.row["started_at"] = at
        if status in ENDS:
            self.row["ended_at"] = at


class Replay:
    """Takes all events, each partition in order."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.history: dict[tuple[str, int], tuple[Any, ...]] = {}
        self.files: dict[tuple[str, int], tuple[Any, ...]] = {}  # by stream and number of the event
        self.unknown: Counter[str] = Counter()

    def take(self, event: Stored) -> None:
        """Fold one event."""
        if event.type == "run.metrics_logged":
            self._take_batch(event)
            return
        self.history[event.stream, event.stream_seq] = (
            event.id.bytes,
            event.type,
            event.recorded_at,
            event.occurred_at,
            event.actor,
            event.actor_source,
            event.door,
            event.body,
        )
        body = msgspec.json.decode(event.body)
        if event.type == "experiment.created":
            self._take_experiment(event, body)
        elif event.type == "run.created":
            self.runs[event.stream] = Run(event, body)
        elif event.type.startswith("run."):
            run = self.runs[event.stream]
            run.touched_at = event.recorded_at
            self._change(run, event, body)

    def _take_experiment(self, event: Stored, body: dict[str, Any]) -> None:
        self.experiments[event.stream] = {
            "experiment_id": UUID(body["experiment_id"]).bytes,
            "workspace": event.stream.split("/")[0],
            "experiment": body["experiment"],
            "description": body.get("description"),
            "tags": body.get("tags", {}),
            "archived_at": None,
            "created_at": event.recorded_at,
            "created_by": event.actor,
            "updated_at": event.recorded_at,
        }

    def _change(self, run: Run, event: Stored, body: dict[str, Any]) -> None:
        row = run.row
        if event.type in STATUS_AFTER or event.type in STATUS_NAMED:
            run.set_status(STATUS_AFTER.get(event.type) or body["status"], event.recorded_at)
            row["status_details"] = body.get("details")
            row["error"] = body.get("error", row["error"])
        elif event.type == "run.params_logged":
            row["params"] = row["params"] | body["params"]
        elif event.type == "run.properties_added":
            row["properties"] = row["properties"] | body["properties"]
        elif event.type == "run.tags_set":
            row["tags"] = row["tags"] | body["tags"]
        elif event.type == "run.tags_removed":
            row["tags"] = {key: value for key, value in row["tags"].items() if key not in body["keys"]}
        elif event.type == "run.command_rejected":
            row["rejections"] += 1
        elif event.type == "run.artifact_recorded":
            facts = (body["path"], row["workspace"], body["sha256"], body["size_bytes"])
            kind = body.get("content_type", "application/octet-stream")
            self.files[event.stream, event.stream_seq] = (*facts, kind, event.recorded_at)
        else:
            self.unknown[event.type] += 1

    def _take_batch(self, event: Stored) -> None:
        run = self.runs[event.stream]
        for series in msgspec.json.decode(event.body)["series"]:
            name = series["name"]
            if list(series["columns"]) != [name] or "codec" in series["columns"][name]:
                self.unknown["columns of a batch"] += 1
                continue
            metric = run.metrics.setdefault(name, Metric())
            points = run.series.setdefault(name, Series())
            cells = zip(
                series["columns"][name]["values"],
                series["times"]["values"],
                series["steps"]["values"],
                strict=True,
            )
            for index, (cell, time_ms, step) in enumerate(cells):
                value = NOT_FINITE[cell] if isinstance(cell, str) else float(cell)
                metric.take(value, (step, time_ms, event.writer_id.bytes, event.writer_seq, index))
                points.take(value, time_ms, step)

    def child_counts(self) -> Counter[tuple[str, str, int, str, str]]:
        """Workspace, run above, partition and status of the runs below; once as ``direct``, once as ``descendants``."""
        counts: Counter[tuple[str, str, int, str, str]] = Counter()
        for run in self.runs.values():
            *above, _ = run.row["path"]
            for ancestor in above:
                key = (run.row["workspace"], ancestor, run.partition, run.row["status"])
                counts[*key, "descendants"] += 1
                counts[*key, "direct"] += ancestor == above[-1]
        return counts

    def experiment_counts(self) -> Counter[tuple[bytes, int, str]]:
        """Runs by experiment, partition and status."""
        return Counter(
            (run.row["experiment_id"].bytes, run.partition, run.row["status"]) for run in self.runs.values()
        )
