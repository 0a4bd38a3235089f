"""The views' tables against a replay. The layout of the tables is known here, nothing of what fills them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from tests.support.distributed.findings import DOUBLED, VIEW, Findings
from tests.support.distributed.replay import CHUNK_POINTS, Chunk, Metric, Replay

VIEWS: Final = ("runs", "children", "metrics", "experiments", "history", "artifacts")
JSON_COLUMNS: Final = frozenset({"path", "tags", "properties", "params", "error"})
FLAGS: Final = frozenset({"archived", "erased"})


class ViewsCheck:
    """Reads the generations that are in use, in one snapshot with the events."""

    def __init__(self, connection: Any, replay: Replay, findings: Findings) -> None:
        self._connection = connection
        self._replay = replay
        self._findings = findings
        self._prefixes: dict[str, str] = {}

    async def run(self, ends: Mapping[int, int]) -> None:
        """Compare everything."""
        for what, count in self._replay.unknown.items():
            self._findings.add(VIEW, f"the replay cannot read {what} ({count} times)")
        comparable = await self._at_the_end(ends)
        parts = {
            "runs": (self._runs, self._labels, self._metrics),
            "metrics": (self._series,),
            "children": (self._children,),
            "experiments": (self._experiments,),
            "history": (self._history,),
            "artifacts": (self._files,),
        }
        for view in VIEWS:
            if view in comparable:
                for part in parts[view]:
                    await part()

    async def _at_the_end(self, ends: Mapping[int, int]) -> set[str]:
        """The views that stand where the store ends: only there can they be compared."""
        rows = await self._connection.fetch(
            "SELECT g.projection, g.version, g.generation, c.partition, c.pos, c.stopped "
            "FROM runfold_views.view_generations AS g JOIN runfold_views.view_checkpoints AS c "
            "USING (projection, version, generation) WHERE g.state = 'active'"
        )
        behind: set[str] = set()
        for name, version, generation, partition, pos, stopped in rows:
            self._prefixes[name] = f"runfold_views.view_{name}_v{version}_g{generation}_"
            if pos != ends[partition] or stopped is not None:
                behind.add(name)
                self._findings.add(
                    VIEW,
                    f"{name} stands at {pos} of {ends[partition]} on partition {partition}: {stopped or ''}",
                )
        if set(self._prefixes) != set(VIEWS):
            self._findings.add(VIEW, f"there are the views {sorted(self._prefixes)}")
        return self._prefixes.keys() - behind

    async def _table(self, view: str, table: str, columns: str) -> list[Any]:
        found: list[Any] = await self._connection.fetch(
            f"SELECT {columns} FROM {self._prefixes[view]}{table}"
        )
        return found

    def _compare(self, what: str, wanted: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
        for key in wanted.keys() | found.keys():
            want, have = wanted.get(key), found.get(key)
            if want != have:
                self._findings.add(VIEW, f"{what} {key}: {have} in the view, {want} by replay")

    async def _runs(self) -> None:
        wanted = {
            stream: {**run.row, "updated_at": run.touched_at} for stream, run in self._replay.runs.items()
        }
        found: dict[str, dict[str, Any]] = {}
        for record in await self._table("runs", "run", "*"):
            row = {name: _plain(name, value) for name, value in record.items()}
            del row["run_key"]
            row["experiment_id"] = UUID(bytes=row["experiment_id"])
            found[f"{row['workspace']}/run/{row['run_id']}"] = row
        self._findings.figures["runs in the view"] = len(found)
        self._compare("run", wanted, found)

    async def _labels(self) -> None:
        wanted = {
            (run.row["run_id"], kind, key): _text(value)
            for run in self._replay.runs.values()
            for kind, values in (("tag", "tags"), ("property", "properties"), ("param", "params"))
            for key, value in run.row[values].items()
        }
        names = await self._run_ids()
        rows = await self._table("runs", "label", "run_key, kind, key, text")
        self._compare("label", wanted, {(names[row[0]], row[1], row[2]): row[3] for row in rows})

    async def _run_ids(self) -> dict[int, str]:
        return {row[0]: row[1] for row in await self._table("runs", "run", "run_key, run_id")}

    async def _metrics(self) -> None:
        wanted = {
            (run.row["run_id"], name): _summary(metric)
            for run in self._replay.runs.values()
            for name, metric in run.metrics.items()
        }
        names = await self._run_ids()
        columns = (
            "run_key, name, count, nan_count, min, max, latest, step, time_ms, writer_id, writer_seq, point"
        )
        found = {
            (names[row[0]], row[1]): (
                *row[2:4],
                _number(row[4]),
                _number(row[5]),
                repr(msgspec.msgpack.decode(row[6])[0]),
                *row[7:],
            )
            for row in await self._table("runs", "metric", columns)
        }
        self._compare("metric", wanted, found)
        for key, have in found.items():
            if key in wanted and have[0] > wanted[key][0]:
                self._findings.add(DOUBLED, f"metric {key}: {have[0]} points, {wanted[key][0]} were sent")

    async def _series(self) -> None:
        """Counts, and of every sealed chunk what its row says; of points after the last one that none is missing."""
        rows = await self._table("metrics", "series", "series_key, stream, name, count")
        keys = {row[0]: (row[1], row[2]) for row in rows}
        points = {(row[1], row[2]): row[3] for row in rows}
        series = {
            (stream, name): found
            for stream, run in self._replay.runs.items()
            for name, found in run.series.items()
        }
        self._findings.figures["points in the view"] = sum(points.values())
        self._compare("series", {key: found.count for key, found in series.items()}, points)
        tails = await self._connection.fetch(
            f"SELECT series_key, min(first), sum(count), count(*) FROM {self._prefixes['metrics']}tail GROUP BY 1"
        )
        self._compare(
            "tail of",
            {
                key: (found.count - found.count % CHUNK_POINTS, found.count % CHUNK_POINTS)
                for key, found in series.items()
                if found.count % CHUNK_POINTS
            },
            {keys[row[0]]: (row[1], int(row[2])) for row in tails},
        )
        chunks = await self._connection.fetch(
            "SELECT a.series_key, a.chunk, a.count, time_min, time_max, step_min, step_max, c.name, c.nan_count, "
            f"c.min, c.max, c.first, c.last FROM {self._prefixes['metrics']}chunk AS a "
            f"JOIN {self._prefixes['metrics']}column AS c USING (series_key, chunk)"
        )
        self._compare(
            "chunk of",
            {
                (*key, number): _chunk(chunk, key[1])
                for key, found in series.items()
                for number, chunk in enumerate(found.full)
            },
            {(*keys[row[0]], row[1]): (*row[2:9], *map(_number, row[9:])) for row in chunks},
        )

    async def _children(self) -> None:
        wanted = {
            stream: (run.row["path"], run.row["status"])
            for stream, run in self._replay.runs.items()
            if run.row["parent_run_id"] is not None
        }
        rows = await self._table("children", "child", "stream, path, status")
        self._compare("child", wanted, {row[0]: (msgspec.json.decode(row[1]), row[2]) for row in rows})
        found: dict[Any, int] = {}
        columns = "workspace, ancestor_run_id, partition, status, direct, descendants"
        for *key, direct, descendants in await self._table("children", "count", columns):
            found[*key, "direct"] = direct
            found[*key, "descendants"] = descendants
        counts = self._replay.child_counts()
        self._compare("count of", counts, found)

    async def _experiments(self) -> None:
        found: dict[bytes, Any] = {}
        for record in await self._table("experiments", "experiment", "*"):
            row = {name: _plain(name, value) for name, value in record.items()}
            found[row["experiment_id"]] = row
        self._compare(
            "experiment", {row["experiment_id"]: row for row in self._replay.experiments.values()}, found
        )
        rows = await self._table("experiments", "run", "stream, experiment_id, status, updated_at")
        self._compare(
            "run of an experiment",
            {
                stream: (run.row["experiment_id"].bytes, run.row["status"], run.touched_at)
                for stream, run in self._replay.runs.items()
            },
            {row[0]: tuple(row[1:]) for row in rows},
        )
        counts = await self._table("experiments", "count", "experiment_id, partition, status, runs")
        self._compare(
            "runs of an experiment",
            self._replay.experiment_counts(),
            {tuple(row[:3]): row[3] for row in counts},
        )

    async def _history(self) -> None:
        columns = (
            "stream, stream_seq, event_id, type, recorded_at, occurred_at, actor, actor_source, door, body"
        )
        rows = await self._table("history", "entry", columns)
        self._compare("line", self._replay.history, {(row[0], row[1]): tuple(row[2:]) for row in rows})

    async def _files(self) -> None:
        columns = "stream, stream_seq, path, workspace, sha256, size_bytes, content_type, recorded_at"
        rows = await self._table("artifacts", "file", columns)
        self._compare("file", self._replay.files, {(row[0], row[1]): tuple(row[2:]) for row in rows})


def _plain(name: str, value: Any) -> Any:
    if value is not None and name in JSON_COLUMNS:
        return msgspec.json.decode(value)
    return bool(value) if name in FLAGS else value


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return repr(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _summary(metric: Metric) -> tuple[Any, ...]:
    order = metric.order or ()
    return (
        metric.count,
        metric.nan_count,
        metric.least,
        metric.greatest,
        repr(metric.latest),
        *order,
    )


def _chunk(chunk: Chunk, name: str) -> tuple[Any, ...]:
    values = chunk.values
    return (
        values.count,
        *chunk.times,
        *chunk.steps,
        name,
        values.nan_count,
        values.least,
        values.greatest,
        chunk.first,
        chunk.last,
    )
