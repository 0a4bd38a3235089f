"""The same loop around ``run.log``."""

from __future__ import annotations

import json
import sys
import time

from benchmarks.place import Place


def main(place: Place, calls: int) -> dict[str, float]:
    """Log ``calls`` values; the clock stops when the run shows all of them."""
    took_ns: list[int] = []
    with place.experiment().start_logging() as run:
        run.log("loss", -1.0, step=-1)
        run.flush()
        began = time.perf_counter()
        for step in range(calls):
            before = time.perf_counter_ns()
            run.log("loss", step * 0.5, step=step)
            took_ns.append(time.perf_counter_ns() - before)
        run.flush()
        while run.summary().metrics["loss"].count <= calls:
            time.sleep(0.005)
        visible_s = time.perf_counter() - began
    took_ns.sort()
    return {"per_s": calls / visible_s, "p50_us": took_ns[calls // 2] / 1e3}


if __name__ == "__main__":
    kind, where, count = sys.argv[1:]
    print(json.dumps(main(Place(url=where) if kind == "url" else Place(home=where), int(count))))
