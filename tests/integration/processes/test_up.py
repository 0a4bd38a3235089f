"""``runfold up`` over Kafka and Postgres: ready lines, health, metrics, children that end, and its own end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from uuid import uuid4

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from runfold import Experiment, Workspace
from runfold_events.contract import commands as c
from runfold_events.contract.errors import PositionNotReached
from runfold_events.contract.submission import Actor, Submission
from runfold_services import metrics as m
from tests.support.distributed_process import DistributedProcess
from tests.support.stack import StackForTest, run_apart, run_sql

WAIT_S_MAX: Final = 60.0
ROLES: Final = {"decider", "relay", "projector"}


def get(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S_MAX) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def samples(url: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """What ``/metrics`` says: (name, values of the labels in the order of their names) → value."""
    _, body = get(f"{url}/metrics")
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def total(told: dict[tuple[str, tuple[str, ...]], float], metric: str) -> float:
    """The sum over all labels."""
    return sum(value for (name, _), value in told.items() if name == metric)


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + WAIT_S_MAX
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {WAIT_S_MAX:g} s: {what}"
        time.sleep(0.05)
    return found


def test_all_roles_tell_their_health(everything: DistributedProcess) -> None:
    urls = everything.status_urls()
    assert set(urls) == ROLES
    for role, url in urls.items():
        for path in ("live", "ready"):
            status, body = get(f"{url}/health/{path}")
            assert (status, msgspec.json.decode(body)) == (200, {"status": "ok", "role": role, "alarms": {}})
        assert get(f"{url}/elsewhere")[0] == 404
    assert get(f"{everything.url}/health/ready")[0] == 200


def test_metrics_tell_what_was_done(everything: DistributedProcess) -> None:
    """Each declared metric is told by some process, and nothing else is; counts agree with what was sent."""
    workspace = Workspace(workspace_name="counted", url=everything.url)
    with Experiment(workspace, "e").start_logging() as run:
        run.log("loss", 1.0)
    urls = {"api": everything.url, **everything.status_urls()}
    writer = c.SetTags(run_id=run.id, tags={"by": "kafka"})
    submission = Submission(
        workspace="counted",
        command=writer,
        writer_id=uuid4(),
        writer_seq=1,
        occurred_at=time.time_ns() // 1_000,
        actor=Actor("a", "kafka"),
        door="kafka",
    )
    everything.send_by_kafka(16, [submission])

    def caught_up() -> bool:
        """All that is stored is published and folded; leases may end meanwhile, which are events too."""
        told = {role: samples(url) for role, url in urls.items()}
        stored = run_apart(
            lambda: run_sql(everything.dsn, "SELECT sum(next_pos)::bigint FROM runfold.partitions")
        )
        handled = total(told["decider"], "runfold_decider_records_total")
        published = total(told["relay"], "runfold_relay_events_total")
        folded = told["projector"]["runfold_projector_events_total", ()]
        behind = total(told["projector"], "runfold_projector_lag_positions")
        unpublished = total(told["relay"], "runfold_relay_lag_positions")
        return handled == 1 and published == folded == stored and behind == unpublished == 0

    wait_for(caught_up, "the command is handled; what is stored is folded and published")
    told = {role: samples(url) for role, url in urls.items()}
    assert told["api"]["runfold_outcomes_total", ("accepted", "api")] >= 3
    assert told["decider"]["runfold_outcomes_total", ("accepted", "decider")] >= 1
    for role, one in told.items():
        assert one["runfold_ready", (role,)] == 1.0

    bodies = b"".join(get(f"{url}/metrics")[1] for url in urls.values()).decode()
    described = {line.split()[2] for line in bodies.splitlines() if line.startswith("# HELP")}
    declared = {one.full_name for one in m.DECLARED}
    assert described == declared


def test_a_role_that_dies_is_started_again_and_the_others_go_on(everything: DistributedProcess) -> None:
    for role in ("projector", "decider"):
        victim = child(everything, role)
        os.kill(victim, signal.SIGKILL)
        wait_for_another(everything, role, victim)
    workspace = Workspace(workspace_name="after", url=everything.url)
    with Experiment(workspace, "e").start_logging() as run:
        run.log("loss", 1.0)
    found = wait_for(lambda: _metrics(workspace, run.id), "the new projector folds")
    assert found == {"loss": 1.0}


def wait_for_another(everything: DistributedProcess, role: str, victim: int) -> None:
    wait_for(lambda: child(everything, role) not in {0, victim}, f"a new {role}")


def _metrics(workspace: Workspace, run_id: str) -> dict[str, Any]:
    """Empty while the partitions of the projector that died are nobody's yet."""
    try:
        return workspace.get_run(run_id).get_metrics()
    except PositionNotReached:
        return {}


def child(everything: DistributedProcess, role: str) -> int:
    """The process id of a role; 0 when there is none at the moment."""
    listing = subprocess.run(
        ["ps", "--ppid", str(everything.process.pid), "-o", "pid=,args="],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    for line in listing.splitlines():
        if f" serve {role} " in f"{line} ":
            return int(line.split()[0])
    return 0


def test_a_stop_ends_everything_with_0(stack: StackForTest, tmp_path: Path) -> None:
    with DistributedProcess(stack, tmp_path) as processes:
        processes.ready()
        children = [child(processes, role) for role in ("api", *ROLES)]
        assert processes.stop() == 0, processes.log.read_text("utf-8")
        assert not any(_lives(pid) for pid in children)


def test_nothing_outlives_an_up_that_is_killed(stack: StackForTest, tmp_path: Path) -> None:
    with DistributedProcess(stack, tmp_path) as processes:
        processes.ready()
        children = [child(processes, role) for role in ("api", *ROLES)]
        processes.process.kill()
        wait_for(lambda: not any(_lives(pid) for pid in children), "all children end")


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_up_goes_on_with_the_store_that_is_there(stack: StackForTest, tmp_path: Path) -> None:
    """The second time nothing is made: the same epoch, and what was recorded is there."""
    with DistributedProcess(stack, tmp_path) as first:
        workspace = Workspace(workspace_name="kept", url=first.ready())
        with Experiment(workspace, "e").start_logging(run_id="r"):
            pass
    epoch = asyncio.run(run_sql(first.dsn, "SELECT epoch FROM runfold.meta"))
    with DistributedProcess(stack, tmp_path, dsn=first.dsn, prefix=first.prefix) as second:
        again = Workspace(workspace_name="kept", url=second.ready())
        assert again.get_run("r").get_status() == "Completed"
        assert "made a store" not in second.log.read_text("utf-8")
    assert asyncio.run(run_sql(first.dsn, "SELECT epoch FROM runfold.meta")) == epoch
