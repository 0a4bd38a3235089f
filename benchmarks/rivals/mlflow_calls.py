"""A user's loop around ``mlflow.log_metric``. Runs in MLflow's environment, which has nothing of ours."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any


def main(url: str, calls: int, is_asynchronous: bool) -> dict[str, float]:
    """Log ``calls`` values; the clock stops when the run shows the last of them."""
    mlflow: Any = importlib.import_module("mlflow")
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("calls")
    client = mlflow.MlflowClient()
    options = {"synchronous": False} if is_asynchronous else {}
    took_ns: list[int] = []
    with mlflow.start_run() as run:
        mlflow.log_metric("loss", -1.0, step=-1)  # opens everything that is opened lazily
        began = time.perf_counter()
        for step in range(calls):
            before = time.perf_counter_ns()
            mlflow.log_metric("loss", step * 0.5, step=step, **options)
            took_ns.append(time.perf_counter_ns() - before)
        if is_asynchronous:
            mlflow.flush_async_logging()
        while client.get_run(run.info.run_id).data.metrics["loss"] != (calls - 1) * 0.5:
            time.sleep(0.005)
        visible_s = time.perf_counter() - began
    took_ns.sort()
    return {"per_s": calls / visible_s, "p50_us": took_ns[calls // 2] / 1e3}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "asynchronous")))
