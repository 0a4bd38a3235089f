"""MLflow's REST API, which FastTrackML speaks too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from benchmarks.closed_loop import Request
from benchmarks.rivals.asking import Asking
from benchmarks.rivals.side import (
    LISTED_METRICS,
    LISTED_PARAMS,
    LISTED_RUNS,
    LISTED_TAGS,
    METRIC,
    Loads,
    time_ms,
    value,
)

API: Final = "/api/2.0/mlflow"
BATCH_POINTS_MAX: Final = 1_000  # the protocol's
_HISTORY_PAGE: Final = 25_000
_json: Final = msgspec.json.Encoder()


class MlflowSide:
    """A server that speaks MLflow's wire."""

    def __init__(self, name: str, url: str, loads: Loads, cpu_s: Callable[[], float]) -> None:
        self.name: Final = name
        self.url: Final = url
        self.loads: Final = loads
        self.cpu_s: Final = cpu_s
        self.batch_points: Final = BATCH_POINTS_MAX
        self.bulk_runs: Final = 0
        self._asking = Asking(url)
        self._experiment: Final = self._new_experiment("bench")
        self._listed: Final = self._new_experiment("listed")

    def new_run(self) -> str:
        return self.created(self._post(self.creation(0)))

    def point(self, run_id: str, number: int) -> Request:
        return _post("runs/log-metric", {"run_id": run_id, **_point(METRIC, number)})

    def batch(self, run_id: str, number: int, points: int) -> Request:
        first = number * points
        values = [_point(METRIC, step) for step in range(first, first + points)]
        return _post("runs/log-batch", {"run_id": run_id, "metrics": values})

    def shows_points(self, run_id: str, points: int) -> bool:
        data = self._get("runs/get", run_id=run_id)["run"]["data"]
        return any(
            metric["key"] == METRIC and int(metric["step"]) == points - 1
            for metric in data.get("metrics", ())
        )

    def points_kept(self, run_id: str) -> int:
        count, page = 0, ""
        while True:
            asked = {"run_id": run_id, "metric_key": METRIC, "max_results": str(_HISTORY_PAGE)}
            answer = self._get("metrics/get-history", **asked, **({"page_token": page} if page else {}))
            count += len(answer.get("metrics", ()))
            page = answer.get("next_page_token", "")
            if not page:
                return count

    def creation(self, number: int) -> Request:
        return _post(
            "runs/create",
            {
                "experiment_id": self._experiment,
                "run_name": f"run-{number}",
                "start_time": time.time_ns() // 1_000_000,
            },
        )

    def created(self, answer: bytes) -> str:
        run_id: str = msgspec.json.decode(answer)["run"]["info"]["run_id"]
        return run_id

    def shows_run(self, run_id: str) -> bool:
        return bool(self._get("runs/get", run_id=run_id)["run"]["info"]["run_id"] == run_id)

    def bulk(self, parent: str, number: int) -> Request:
        raise NotImplementedError("MLflow's API creates one run a request")

    def shows_children(self, parent: str, count: int) -> bool:
        raise NotImplementedError("MLflow's API creates one run a request")

    def fill_listing(self) -> None:
        for number in range(LISTED_RUNS):
            created = {
                "experiment_id": self._listed,
                "run_name": f"listed-{number}",
                "start_time": time.time_ns() // 1_000_000,
            }
            run_id = self.created(self._post(_post("runs/create", created)))
            data = {
                "run_id": run_id,
                "metrics": [_point(f"m{index}", number) for index in range(LISTED_METRICS)],
                "params": [{"key": f"p{index}", "value": f"{number}"} for index in range(LISTED_PARAMS)],
                "tags": [{"key": f"t{index}", "value": f"{number}"} for index in range(LISTED_TAGS)],
            }
            self._post(_post("runs/log-batch", data))

    def listing(self) -> Request:
        return _post("runs/search", {"experiment_ids": [self._listed], "max_results": LISTED_RUNS})

    def check_listing(self, answer: bytes) -> None:
        runs = msgspec.json.decode(answer)["runs"]
        data = [run["data"] for run in runs]
        found = {(len(one["metrics"]), len(one["params"])) for one in data}
        if len(runs) != LISTED_RUNS or found != {(LISTED_METRICS, LISTED_PARAMS)}:
            raise RuntimeError(f"{self.name} does not list what it was given: {len(runs)} runs, {found}")
        if any(len(one["tags"]) < LISTED_TAGS for one in data):  # it adds some of its own
            raise RuntimeError(f"{self.name} does not list the tags that it was given")

    def _new_experiment(self, name: str) -> str:
        answer = self._post(_post("experiments/create", {"name": name}))
        experiment_id: str = msgspec.json.decode(answer)["experiment_id"]
        return experiment_id

    def _post(self, request: Request) -> bytes:
        return self._asking.expect(request)

    def _get(self, path: str, **asked: str) -> Any:
        return msgspec.json.decode(self._asking.expect(Request("GET", f"{API}/{path}?{urlencode(asked)}")))


def _point(key: str, step: int) -> dict[str, Any]:
    return {"key": key, "value": value(step), "timestamp": time_ms(step), "step": step}


def _post(path: str, body: dict[str, Any]) -> Request:
    return Request("POST", f"{API}/{path}", _json.encode(body))
