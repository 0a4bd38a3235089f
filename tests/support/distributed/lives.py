"""What the load does: lives of runs, command by command, the same through both doors."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from tests.support.distributed.journal import METRICS

WORKSPACE: Final = "soak"
NAMESPACE: Final = UUID("5c1f3a52-7f0e-5b61-9a38-2d1f6f0c6e11")  # of experiment ids, as the contract says

TAGS_EVERY: Final = 40
CONFLICT_EVERY: Final = 90
NOTHING_EVERY: Final = 110
UNTAG_EVERY: Final = 130
FILE_EVERY: Final = 7


class Step(NamedTuple):
    """One command: its name as the journal wants it, its fields, and the bytes of a metric batch."""

    name: str
    content: dict[str, Any]
    batch: bytes = b""

    @property
    def type(self) -> str:
        """The name that goes over the wire."""
        return self.name.rstrip("!=")


def run_stream(run_id: str) -> str:
    """The stream of a run of the load."""
    return f"{WORKSPACE}/run/{run_id}"


def experiment_stream(experiment: str) -> str:
    """The stream of an experiment of the load."""
    name = f"experiment\0{WORKSPACE}\0{experiment}"
    return f"{WORKSPACE}/experiment/{uuid5(NAMESPACE, name)}"


def life(
    run_id: str, experiment: str, batches: int, luck: random.Random, parent: str | None = None
) -> Iterator[Step]:
    """The commands of one run: creation, parameters, metric batches with other things between, end, and after it."""
    created = {"run_id": run_id, "experiment": experiment, "tags": {"born": "load"}}
    yield Step("run.create", created if parent is None else {**created, "parent_run_id": parent})
    yield Step("run.log_params", {"run_id": run_id, "params": {"lr": luck.random(), "depth": batches}})
    yield Step("run.add_properties", {"run_id": run_id, "properties": {"author": run_id, "note": None}})
    for number in range(1, batches + 1):
        yield Step(METRICS, {"run_id": run_id}, batch(number, luck))
        yield from _between(run_id, number)
    fails = luck.random() < 0.3
    error = {"error": {"message": "out of luck", "code": "Bad"}}
    yield Step("run.fail", {"run_id": run_id, **error}) if fails else Step("run.complete", {"run_id": run_id})
    yield Step("run.complete!" if fails else "run.fail!", {"run_id": run_id})
    yield Step("run.set_tags", {"run_id": run_id, "tags": {"late": "yes"}})
    yield Step(METRICS, {"run_id": run_id}, batch(batches + 1, luck))


def _between(run_id: str, number: int) -> Iterator[Step]:
    if number % TAGS_EVERY == 0:
        yield Step("run.set_tags", {"run_id": run_id, "tags": {"n": str(number), f"t{number}": None}})
    if number % CONFLICT_EVERY == 0:
        yield Step("run.add_properties!", {"run_id": run_id, "properties": {"author": "somebody else"}})
    if number % NOTHING_EVERY == 0:
        yield Step("run.add_properties=", {"run_id": run_id, "properties": {"author": run_id}})
    if number % FILE_EVERY == 0:
        content = {"sha256": f"{number:064x}", "size_bytes": number}
        yield Step("run.record_artifact", {"run_id": run_id, "path": f"outputs/{number}.bin", **content})
    if number % UNTAG_EVERY == 0:
        yield Step("run.remove_tags", {"run_id": run_id, "keys": ["n"]})


def batch(number: int, luck: random.Random) -> bytes:
    """A metric batch as plain JSON: mostly one point, sometimes several, out of order, or not a number."""
    count = 1 if luck.random() < 0.9 else luck.randrange(2, 6)
    now_ms = time.time_ns() // 1_000_000
    steps = [number * 10 - luck.randrange(20) for _ in range(count)]
    values = [luck.gauss(1 / number, 0.1) for _ in range(count)]
    cells = ",".join('"NaN"' if luck.random() < 0.01 else repr(value) for value in values)
    name = "loss" if luck.random() < 0.7 else "speed"
    series = (
        f'{{"name":"{name}","times":{{"dtype":"i64","values":{[now_ms + i for i in range(count)]}}},'
        f'"steps":{{"dtype":"i64","values":{steps}}},'
        f'"columns":{{"{name}":{{"dtype":"f64","values":[{cells}]}}}}}}'
    )
    return f'{{"series":[{series}]}}'.encode()


def command_json(step: Step) -> bytes:
    """A command that is no metric batch, as its record's value."""
    return json.dumps({"type": step.type, **step.content}).encode()
