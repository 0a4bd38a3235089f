"""A server that is asked for more than it takes in says so, when to come again, and takes nothing of that."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runfold import Experiment, Workspace, _process
from runfold_services import server as servers
from runfold_services.api import live
from runfold_services.committer import QUEUE_COMMANDS_MAX
from runfold_services.compose import open_embedded
from runfold_services.server import Server
from runfold_services.settings import ServerSettings
from tests.support.columns import json_batch, plain, series
from tests.support.fake_backend import FakeBackend
from tests.support.http_server import Client, Reply, running

QUOTAS = """
[workspaces.busy]
commands_per_s = 4
[workspaces.pointed]
points_per_s = 20
[workspaces.filed]
file_bytes_per_s = 100
[workspaces.sdk]
commands_per_s = 2
"""
BURST_S = 10
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", params=["bounded", "free"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """A server with quotas, and as its control one without."""
    folder = tmp_path_factory.mktemp("quotas")
    (folder / "quotas.toml").write_text(QUOTAS)
    given = folder / "quotas.toml" if request.param == "bounded" else None
    settings = ServerSettings(port=0, stop_s=5.0, quotas_file=given)
    with running(open_embedded(folder / "home", background=False), settings) as server:
        yield server


@pytest.fixture
def client(place: Server) -> Generator[Client]:
    with Client(place.url) as client:
        yield client


@pytest.fixture
def has_quotas(place: Server) -> bool:
    return place.runtime.settings.quotas_file is not None


def new_run(client: Client, workspace: str) -> str:
    """The address of a new run."""
    base = f"/api/v1/workspaces/{workspace}"
    assert client.post(f"{base}/experiments", {"experiment": "e"}).status in {200, 201}
    return f"{base}/runs/{client.post(f'{base}/runs', {'experiment': 'e'}).json['run_id']}"


def check_refused(reply: Reply) -> float:
    """That it is a 429 which says when to come again; the seconds."""
    assert (reply.status, reply.code) == (429, "too_many_requests")
    assert int(reply.headers["retry-after"]) >= reply.json["facts"]["retry_after"] > 0
    return float(reply.headers["retry-after"])


def test_commands_over_the_quota_are_refused_and_may_be_sent_again(client: Client, has_quotas: bool) -> None:
    run, calm = new_run(client, "busy"), new_run(client, "calm")
    writer = {"Runfold-Writer": str(uuid4())}

    def tag(number: int) -> Reply:
        numbered = writer | {"Runfold-Writer-Seq": str(number)} | JSON
        return client.request("PATCH", f"{run}/tags", {"set": {"at": f"{number}"}}, numbered)

    sent, refused = 0, None
    while refused is None and sent < 4 * BURST_S + 60:
        sent += 1
        reply = tag(sent)
        refused = reply if reply.status != 200 else None
    neighbours = [client.request("PATCH", f"{calm}/tags", {"set": {"n": f"{n}"}}, JSON) for n in range(20)]

    assert {reply.status for reply in neighbours} == {200}
    assert (refused is not None) == has_quotas
    if refused is None:
        return
    time.sleep(check_refused(refused))
    assert tag(sent).status == 200, "under the same number, which is still free"
    assert client.get(run).json["tags"] == {"at": f"{sent}"}


def test_points_count_and_not_requests(client: Client, has_quotas: bool) -> None:
    run, calm = new_run(client, "pointed"), new_run(client, "calm")
    batch = json_batch(series(plain("f64", [0.5] * 150)))

    replies = [client.request("POST", f"{run}/metrics", batch, JSON) for _ in range(3)]
    assert [client.request("POST", f"{calm}/metrics", batch, JSON).status for _ in range(3)] == [200] * 3

    # 150 of 200 are free, so the second comes in whole, and the third pays for it.
    assert [reply.status for reply in replies] == [200, 200, 429 if has_quotas else 200]
    if has_quotas:
        check_refused(replies[-1])
        assert client.post(f"{run}/complete").status == 200, "a run can be ended all the same"
    assert client.get(run).json["metrics"]["m"]["count"] == (300 if has_quotas else 450)


def test_contents_of_files_count_as_they_come(client: Client, has_quotas: bool) -> None:
    run, calm = new_run(client, "filed"), new_run(client, "calm")

    def put(address: str, name: str) -> Reply:
        return client.request("PUT", f"{address}/artifacts/{name}", bytes(2_000))

    first, second = put(run, "a"), put(run, "b")
    assert first.status == 201
    assert put(calm, "a").status == put(calm, "b").status == 201
    assert second.status == (429 if has_quotas else 201)
    if has_quotas:
        check_refused(second)
    stored = [file["path"] for file in client.get(f"{run}/artifacts").json]
    assert stored == (["a"] if has_quotas else ["a", "b"])


def test_the_sdk_waits_as_it_is_told_and_loses_nothing(
    place: Server, client: Client, has_quotas: bool
) -> None:
    flushes = 2 * BURST_S + 4
    run = Experiment(Workspace(workspace_name="sdk", url=place.url), "e").start_logging()
    for step in range(flushes):
        run.log("loss", float(step), step=step)
        run.flush(timeout_seconds=60)
    assert run.get_metrics("loss") == {"loss": [float(step) for step in range(flushes)]}
    assert run.rejections() == []
    run.complete()
    _process.close_all()

    meter = client.get("/api/v1/workspaces/sdk/usage").json["meters"][0]
    assert (meter["refused"] > 0) == has_quotas, "the quota was there, and the control has none"
    # Who came again without waiting would be refused for every attempt of its back-off, which begins at 0.1 s.
    assert meter["refused"] <= 12


def test_usage_says_what_is_held_and_what_may_come(client: Client, has_quotas: bool) -> None:
    run = new_run(client, "used")
    assert client.post(f"{run}/children", {"count": 3}).status == 201
    answer: dict[str, Any] = client.get("/api/v1/workspaces/used/usage").json
    assert (answer["workspace"], answer["runs"]) == ("used", 4)
    meters = {meter["name"]: meter for meter in answer["meters"]}
    assert list(meters) == ["commands", "points", "file_bytes"]
    assert meters["commands"]["taken"] == 5
    assert all(meter["per_s"] is None and meter["available"] is None for meter in meters.values())

    mine = client.get("/api/v1/workspaces/pointed/usage").json["meters"][1]
    assert (mine["per_s"], mine["burst"]) == ((20.0, 200.0) if has_quotas else (None, None))
    text = client.get("/metrics").body.decode()
    refusals = [line for line in text.splitlines() if line.startswith("runfold_quota_refusals_total{")]
    assert (sum(float(line.rpartition(" ")[2]) for line in refusals) > 0) == has_quotas
    assert "pointed" not in text


@pytest.mark.parametrize("room", [0, 1])
def test_a_full_queue_answers_at_once_and_takes_nothing(room: int) -> None:
    backend, release = FakeBackend(), threading.Event()
    backend.before_submit = lambda submissions: release.wait(60)

    def send(name: str) -> Reply:
        with Client(server.url) as client:
            return client.post(f"/api/v1/workspaces/default/runs/{name}/complete")

    with running(backend) as server, ThreadPoolExecutor(3) as pool:
        queued = server.runtime.committer.queued
        first = pool.submit(send, "committing")
        while not backend.threads.get("submit"):
            time.sleep(0.005)
        second = pool.submit(send, "waiting")
        while queued.commands < 1:
            time.sleep(0.005)
        queued.commands += QUEUE_COMMANDS_MAX - 1 - room  # as if others waited too
        third = pool.submit(send, "one-more")
        if room:
            while queued.commands < QUEUE_COMMANDS_MAX:
                time.sleep(0.005)
        else:
            reply = third.result()
            assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "1")
            assert queued.commands == QUEUE_COMMANDS_MAX
        queued.commands -= QUEUE_COMMANDS_MAX - 1 - room
        release.set()
        assert [answer.result().status for answer in (first, second)] == [200, 200]
        assert third.result().status == (200 if room else 503)
    committed = {command.stream.rpartition("/")[2] for batch in backend.batches for command in batch}
    assert committed == {"committing", "waiting"} | ({"one-more"} if room else set())


@pytest.mark.parametrize("connections_max", [3, 10_000])
def test_a_connection_too_many_hears_when_to_come_again(
    connections_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "CONNECTIONS_MAX", connections_max)
    with running(FakeBackend()) as server, ExitStack() as open_ones:
        clients = [open_ones.enter_context(Client(server.url)) for _ in range(4)]
        replies = [client.get("/health/live") for client in clients]

        assert [reply.status for reply in replies[:3]] == [200] * 3
        if connections_max > 4:
            assert replies[3].status == 200
            return
        assert (replies[3].status, replies[3].code) == (503, "unavailable")
        assert (replies[3].headers["retry-after"], replies[3].headers["connection"]) == ("1", "close")
        clients[0].__exit__()
        deadline = time.monotonic() + 20
        while clients[3].get("/health/live").status != 200:
            assert time.monotonic() < deadline
        assert clients[1].get("/health/live").status == 200


def test_a_follower_too_many_hears_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "FOLLOWERS_MAX", 0)
    with running(FakeBackend()) as server, Client(server.url) as client:
        reply = client.get("/api/v1/workspaces/default/stream")

        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "5")


def test_a_server_with_quotas_that_cannot_be_read_does_not_start(tmp_path: Path) -> None:
    settings = ServerSettings(port=0, quotas_file=tmp_path / "none.toml")
    with pytest.raises(ValueError, match="the file of quotas"):
        Server(FakeBackend(), settings)
