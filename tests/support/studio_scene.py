"""Runs for the Studio to show: a sweep with children and curves, a failure with its traceback, every status."""

from __future__ import annotations

import math
import random
from typing import Any, Final
from uuid import uuid4

from msgspec import Struct

from runfold_events.contract.statuses import ADVANCE_TARGETS, TERMINAL, Status
from tests.support.http_server import Client

W: Final = "/api/v1/workspaces/default"
SWEEP: Final = "cifar10-sweep"
STATUSES: Final = "statuses"
NIGHTLY: Final = "nightly-evaluation"
STEPS: Final = 120
START_MS: Final = 1_767_225_600_000
TRACEBACK: Final = """\
Traceback (most recent call last):
  File "train.py", line 84, in main
    loss = step(batch)
  File "train.py", line 41, in step
    raise FloatingPointError("loss is not finite at step 63")
FloatingPointError: loss is not finite at step 63
"""


class Scene(Struct, frozen=True):
    """Ids of what was made."""

    sweep: str
    children: tuple[str, ...]
    failed: str
    canceled: str
    refused: str  # somebody tried to overwrite one of its properties
    of_status: dict[Status, str]


def fill_scene(url: str) -> Scene:
    """Make all of it over HTTP, as nobody's process, so that what runs goes on running."""
    with Client(url) as client:
        sweep, children = _sweep(client)
        _make(client, NIGHTLY, "nightly", "evaluation of last night", tags={"schedule": "nightly"})
        _post(client, "nightly/complete")
        return Scene(
            sweep=sweep,
            children=children,
            failed=children[3],
            canceled=children[5],
            refused=children[0],
            of_status=_statuses(client),
        )


def _sweep(client: Client) -> tuple[str, tuple[str, ...]]:
    rng = random.Random(7)
    about = "Learning rate and depth for the small network, on the cleaned data of May."
    _make(
        client,
        SWEEP,
        "sweep",
        "learning-rate sweep",
        description=about,
        tags={"team": "vision", "goal": "baseline"},
    )
    _post(client, "sweep/params", {"params": {"trials": 8, "budget_h": 2.5, "strategy": "random"}})
    _post(
        client,
        "sweep/properties",
        {"properties": {"git.commit": "9b2f4c1e77d0", "dataset": "cifar10@2026-05"}},
    )
    children: list[str] = []
    for number in range(8):
        run_id = f"trial-{number}"
        rate = (0.3, 0.1, 0.03, 1.0, 0.01, 0.003, 0.1, 0.03)[number]
        tags = {"team": "vision", "stage": "coarse" if number < 4 else "fine"}
        _make(client, SWEEP, run_id, f"lr {rate:g}, depth {18 + 4 * number}", parent="sweep", tags=tags)
        optimizer = ("sgd", "adam")[number % 2]
        params = {"lr": rate, "depth": 18 + 4 * number, "optimizer": optimizer, "amp": number % 3 == 0}
        _post(client, f"{run_id}/params", {"params": params})
        _post(
            client,
            f"{run_id}/properties",
            {"properties": {"dataset": "cifar10@2026-05", "seed": str(number)}},
        )
        _post(client, f"{run_id}/metrics", {"series": _curves(rng, rate, 64 if number == 3 else STEPS)})
        children.append(run_id)
    overwritten = client.post(f"{W}/runs/trial-0/properties", {"properties": {"dataset": "other"}})
    assert overwritten.code == "property_immutable"
    error = {
        "error_type": "FloatingPointError",
        "message": "loss is not finite at step 63",
        "traceback": TRACEBACK,
    }
    _post(client, "trial-3/fail", {"error": error})
    _post(client, "trial-5/cancel", {"reason": "no better than trial 2"})
    for number in (0, 1, 2, 4):
        _post(client, f"trial-{number}/complete")
    return "sweep", tuple(children)


def _curves(rng: random.Random, rate: float, steps: int) -> list[dict[str, Any]]:
    pace = 0.05 * (1 - abs(math.log10(rate) + 1.5) / 3)
    loss = [0.25 + 2.0 * math.exp(-pace * step) + rng.gauss(0, 0.03) for step in range(steps)]
    accuracy = [max(0.1, 0.94 - 0.35 * value + rng.gauss(0, 0.008)) for value in loss]
    rates = [rate * 0.99**step for step in range(steps)]
    return [_series("loss", loss), _series("val/accuracy", accuracy), _series("lr", rates)]


def _series(name: str, values: list[float]) -> dict[str, Any]:
    steps = list(range(len(values)))
    return {
        "name": name,
        "times": {"dtype": "i64", "values": [START_MS + 1_500 * step for step in steps]},
        "steps": {"dtype": "i64", "values": steps},
        "columns": {name: {"dtype": "f64", "values": values}},
    }


def _statuses(client: Client) -> dict[Status, str]:
    """One run in each status, each by the way that leads there."""
    found: dict[Status, str] = {}
    for status in Status:
        run_id = f"status-{status.lower()}"
        found[status] = run_id
        if status in {Status.NOT_RESPONDING, Status.CANCEL_REQUESTED}:
            _held(client, run_id, is_lost=status is Status.NOT_RESPONDING)
            continue
        _make(
            client,
            STATUSES,
            run_id,
            f"is {status}",
            start=status not in {Status.NOT_STARTED, *ADVANCE_TARGETS},
        )
        if status in ADVANCE_TARGETS:
            command = {"type": "run.advance", "run_id": run_id, "status": status}
            answer = client.post(
                "/api/v1/commands", {"workspace": "default", "commands": [{"command": command}]}
            )
            assert answer.json["outcomes"][0]["outcome"] == "accepted", answer
        elif status in TERMINAL:
            _post(
                client,
                f"{run_id}/{ {'Completed': 'complete', 'Failed': 'fail', 'Canceled': 'cancel'}[status] }",
            )
    return found


def _held(client: Client, run_id: str, *, is_lost: bool) -> None:
    """A run of a process that has a lease; the process then gives it up, or somebody asks to cancel the run."""
    process = str(uuid4())
    assert client.request("PUT", f"/api/v1/processes/{process}", {}).status == 200
    writer = {"Runfold-Writer": process, "Runfold-Writer-Seq": "1"}
    body = {"experiment": STATUSES, "run_id": run_id, "display_name": f"{run_id} of a process", "hold": True}
    assert client.request("POST", f"{W}/runs", body, writer).status == 201
    if is_lost:
        assert client.request("DELETE", f"/api/v1/processes/{process}").status < 300
    else:
        _post(client, f"{run_id}/cancel")


def _make(
    client: Client,
    experiment: str,
    run_id: str,
    display_name: str,
    *,
    parent: str | None = None,
    start: bool = True,
    tags: dict[str, str] | None = None,
    description: str | None = None,
) -> None:
    client.post(f"{W}/experiments", {"experiment": experiment})
    body: dict[str, Any] = {
        "experiment": experiment,
        "run_id": run_id,
        "display_name": display_name,
        "start": start,
        "tags": tags or {},
        "description": description,
    }
    if parent is not None:
        body["parent_run_id"] = parent
    made = client.post(f"{W}/runs", body)
    assert made.status == 201, made


def _post(client: Client, path: str, body: Any = None) -> None:
    done = client.post(f"{W}/runs/{path}", body)
    assert done.status < 300, (path, done)
