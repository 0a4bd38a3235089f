"""What a client sees when something behind the API is slow, full, or broken; and on which threads things happen."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from runfold_events.contract.errors import Unavailable
from runfold_events.contract.submission import Submission
from runfold_services.server import Server
from tests.support.fake_backend import FakeBackend
from tests.support.http_server import Client, Reply, running

W = "/api/v1/workspaces/default"


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def server(backend: FakeBackend) -> Generator[Server]:
    with running(backend) as server:
        yield server


def complete(server: Server, name: str) -> Reply:
    with Client(server.url) as client:
        return client.post(f"{W}/runs/{name}/complete")


def test_the_loop_answers_while_a_commit_waits_for_the_disk(backend: FakeBackend, server: Server) -> None:
    release = threading.Event()
    backend.before_submit = lambda submissions: release.wait(10)
    with ThreadPoolExecutor(9) as pool, Client(server.url) as client:
        first = pool.submit(complete, server, "first")
        while not backend.threads.get("submit"):
            time.sleep(0.005)
        rest = [pool.submit(complete, server, f"r{index}") for index in range(8)]
        began = time.monotonic()
        for _ in range(20):
            assert client.get("/health/live").status == 200
            assert client.get(f"{W}/runs").status == 200
        assert time.monotonic() - began < 5.0
        time.sleep(0.2)
        release.set()
        assert {reply.result().status for reply in [first, *rest]} == {200}
    assert [len(batch) for batch in backend.batches] == [1, 8], "what queued goes into one commit"


def test_everything_that_writes_runs_on_the_one_commit_thread(backend: FakeBackend, server: Server) -> None:
    with Client(server.url) as client:
        client.post(f"{W}/runs/r/complete")
        client.request("PUT", f"/api/v1/processes/{uuid4()}", {})
    assert {name for names in backend.threads.values() for name in names} == {"runfold-commit_0"}


def test_a_store_that_cannot_answer_is_503_with_a_time_to_come_again(
    backend: FakeBackend, server: Server
) -> None:
    def busy(submissions: Sequence[Submission]) -> None:
        raise Unavailable("the ledger is locked", facts={"retry_after": 2.5})

    backend.before_submit = busy
    reply = complete(server, "r")
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "3")


def test_a_bug_is_500_without_its_details_and_the_server_goes_on(
    backend: FakeBackend, server: Server
) -> None:
    def broken(submissions: Sequence[Submission]) -> None:
        raise KeyError("a secret")

    backend.before_submit = broken
    reply = complete(server, "r")
    assert (reply.status, reply.code) == (500, "error")
    assert b"secret" not in reply.body
    backend.before_submit = lambda submissions: None
    assert complete(server, "r").status == 200


def test_a_projection_that_stopped_makes_the_server_unready_and_is_named(
    backend: FakeBackend, server: Server
) -> None:
    backend.fake.error = "event 3 cannot be folded"
    with Client(server.url) as client:
        ready = client.get("/health/ready")
        assert (ready.status, ready.json["facts"]["projections"]) == (503, ["runs"])
        assert client.get("/health/live").status == 200


def test_a_client_that_leaves_while_it_waits_leaves_its_command(backend: FakeBackend, server: Server) -> None:
    release = threading.Event()
    backend.before_submit = lambda submissions: release.wait(10)
    with Client(server.url) as client:
        client.timeout(0.2)
        with pytest.raises(TimeoutError):
            client.post(f"{W}/runs/r/complete")
    release.set()
    deadline = time.monotonic() + 5
    while not backend.batches and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(backend.submitted) == 1
    assert complete(server, "s").status == 200
