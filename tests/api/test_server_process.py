"""A server as a process: the ready line, its signals, what a stop finishes, what stands in its way."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runfold_services.compose import open_embedded
from tests.support.http_server import Client, running
from tests.support.raw_http import RawConnection
from tests.support.server_process import ServerProcess

W = "/api/v1/workspaces/default"
HANGING_CLOSE = """
import time
import runfold_services.server
from runfold_services.tracker import Tracker
async def close(self): time.sleep(60)
Tracker.close = close
runfold_services.server.STUCK_S_MAX = 1.0
"""
WITHOUT_GUARD = """
from runfold_services.keeper import KeeperGuard
KeeperGuard.tick = lambda self, now_s, interval_s: True
"""


def create_run(client: Client, **headers: str) -> str:
    client.post(f"{W}/experiments", {"experiment": "e"})
    return f"{W}/runs/{client.post(f'{W}/runs', {'experiment': 'e'}, headers).json['run_id']}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_says_that_it_is_ready_and_stops_when_told(tmp_path: Path, number: signal.Signals) -> None:
    with ServerProcess(tmp_path, environment={"RUNFOLD_LOG_FORMAT": "json"}) as server:
        url = server.ready()
        with Client(url) as client:
            run = create_run(client)
        server.signal(number)
        assert server.wait() == 0, server.errors
    assert re.fullmatch(r"runfold ready at http://127\.0\.0\.1:\d+\n", server.output), "one line on stdout"
    logged = [json.loads(line) for line in server.errors.splitlines()]
    assert [line["event"] for line in logged] == ["stopping"]

    with running(open_embedded(tmp_path, background=False)) as second, Client(second.url) as client:
        assert client.get(run).json["status"] == "Running"


def test_a_kill_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server, Client(server.ready()) as client:
        run = create_run(client)
        for index in range(20):
            assert client.request("PATCH", f"{run}/tags", {"set": {f"k{index}": "v"}}).status == 200
        server.signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
    with running(open_embedded(tmp_path, background=False)) as second, Client(second.url) as client:
        assert len(client.get(f"{run}/tags").json) == 20


def test_a_stop_answers_what_it_took(tmp_path: Path) -> None:
    """Requests in flight get their answer, also those that a client is still sending."""
    with ServerProcess(tmp_path) as server:
        url = server.ready()
        with Client(url) as client:
            run = create_run(client)
        with RawConnection(url) as raw:
            body = b'{"set":{"late":"yes"}}'
            headers = ("Content-Type: application/json", f"Content-Length: {len(body)}")
            raw.send(raw.head("PATCH", f"{run}/tags", *headers) + body[:5])
            time.sleep(0.3)
            server.signal(signal.SIGTERM)
            time.sleep(0.3)
            raw.send(body[5:])
            assert raw.status() == 200
        assert server.wait() == 0
        with pytest.raises(OSError, match="refused"):
            Client(url).get("/health/live")
    with running(open_embedded(tmp_path, background=False)) as second, Client(second.url) as client:
        assert client.get(f"{run}/tags").json == {"late": "yes"}


def test_a_client_that_never_finishes_does_not_hold_a_stop(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, stop_s=1.0) as server, RawConnection(server.ready()) as raw:
        head = raw.head("POST", "/api/v1/commands", "Content-Type: application/json", "Content-Length: 100")
        raw.send(head + b"{")
        time.sleep(0.3)
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert raw.status() == 503
        assert server.wait() == 0
        assert time.monotonic() - began < 8.0


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, stop_s=30.0) as server, RawConnection(server.ready()) as raw:
        head = raw.head("POST", "/api/v1/commands", "Content-Type: application/json", "Content-Length: 100")
        raw.send(head + b"{")
        time.sleep(0.3)
        server.signal(signal.SIGINT)
        time.sleep(0.5)
        assert server.process.poll() is None, "the request has its time"
        began = time.monotonic()
        server.signal(signal.SIGINT)
        server.wait()
        assert time.monotonic() - began < 8.0


def test_a_thread_that_never_comes_back_does_not_hold_a_stop(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, stop_s=1.0, preamble=HANGING_CLOSE) as server:
        server.ready()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert "does not stop" in server.errors


def test_a_port_that_is_in_use_is_named(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as first:
        port = int(first.ready().rpartition(":")[2])
        with ServerProcess(tmp_path, port=port) as second:
            assert second.wait() == 1
            assert f"port {port} on 127.0.0.1 is in use" in second.errors
            assert "Traceback" not in second.errors
            assert second.output == ""
        with ServerProcess(tmp_path) as third, Client(third.ready()) as client:
            assert client.get("/health/ready").status == 200, "the same home on another port is fine"


@pytest.mark.parametrize(
    ("host", "environment", "message"),
    [
        ("0.0.0.0", {}, "without a token"),
        ("no.such.host.invalid", {"RUNFOLD_TOKEN": "t"}, "cannot listen on no.such.host.invalid"),
        ("127.0.0.1", {"RUNFOLD_TOKENS_FILE": "/nowhere"}, "cannot be read"),
        ("127.0.0.1", {"RUNFOLD_LOG": "loud"}, "RUNFOLD_LOG must be one of"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    tmp_path: Path, host: str, environment: dict[str, str], message: str
) -> None:
    with ServerProcess(tmp_path, host=host, environment=environment) as server:
        assert server.wait() == 1
        assert message in server.errors
        assert server.output == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no IPv6 loopback everywhere")
def test_a_server_listens_on_ipv6(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with ServerProcess(tmp_path, host="::1") as server:
        url = server.ready()
        assert re.fullmatch(r"http://\[::1\]:\d+", url)
        with Client(url) as client:
            assert client.get("/health/live").status == 200


# leases


def status_of(client: Client, run: str) -> str:
    return str(client.get(run).json["status"])


def until(client: Client, run: str, status: str, wait_s: float = 10.0) -> float:
    """Wait for a status; how long it took."""
    began = time.monotonic()
    while time.monotonic() - began < wait_s:
        if status_of(client, run) == status:
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError(f"{run} is {status_of(client, run)} and did not become {status}")


def start_held(client: Client) -> tuple[str, str]:
    """A run and the process that holds it."""
    process = str(uuid4())
    client.request("PUT", f"/api/v1/processes/{process}", {})
    client.post(f"{W}/experiments", {"experiment": "e"})
    body: dict[str, Any] = {"experiment": "e", "run_id": uuid4().hex, "hold": True}
    assert client.post(f"{W}/runs", body, {"Runfold-Writer": process}).status == 201
    return f"{W}/runs/{body['run_id']}", process


def test_a_worker_that_dies_without_a_word_and_speaks_again(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, lease_s=1.0) as server, Client(server.ready()) as client:
        run, process = start_held(client)
        held_by_nobody = create_run(client)
        until(client, run, "NotResponding")
        client.request("PUT", f"/api/v1/processes/{process}", {})
        assert until(client, run, "Running") < 2.0
        assert status_of(client, held_by_nobody) == "Running", "a run that nobody ever held is never lost"


def test_a_process_that_says_good_bye_loses_its_runs_at_once(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server, Client(server.ready()) as client:
        run, process = start_held(client)
        assert client.request("DELETE", f"/api/v1/processes/{process}").status == 204
        assert status_of(client, run) == "NotResponding"


def test_a_holder_hears_of_a_cancel_with_its_heartbeat(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server, Client(server.ready()) as client:
        run, process = start_held(client)
        client.post(f"{run}/cancel")
        assert status_of(client, run) == "CancelRequested"
        told = client.request("PUT", f"/api/v1/processes/{process}", {}).json
        assert told["cancel_requested"] == [f"default/{run.rpartition('/')[2]}"]


class Beating:
    """A worker that sends heartbeats whether or not somebody reads them."""

    def __init__(self, url: str, process: str) -> None:
        self._url = url
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def __enter__(self) -> Beating:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(0.2):
            with Client(self._url) as client, contextlib.suppress(OSError, http.client.HTTPException):
                client.request("PUT", f"/api/v1/processes/{self._process}", {})


def history_over_a_pause(server: ServerProcess) -> list[str]:
    """A worker is alive all the time; the server stands still for longer than a lease of 1.5 s."""
    url = server.ready()
    with Client(url) as client:
        run, process = start_held(client)
        with Beating(url, process):
            time.sleep(2.5)  # the keeper has become trusted
            server.signal(signal.SIGSTOP)
            time.sleep(3.0)
            server.signal(signal.SIGCONT)
            time.sleep(1.0)
        types = [entry["type"] for entry in client.get(f"{run}/history").json]
        until(client, run, "NotResponding")
        return types


def test_after_a_pause_longer_than_the_lease_nothing_is_lost_wrongly(tmp_path: Path) -> None:
    """And the control, at the same time: without the guard the same pause does damage."""
    with (
        ServerProcess(tmp_path / "a", lease_s=1.5) as guarded,
        ServerProcess(tmp_path / "b", lease_s=1.5, preamble=WITHOUT_GUARD) as trusting,
        ThreadPoolExecutor(2) as both,
    ):
        right, wrong = both.map(history_over_a_pause, (guarded, trusting))
    assert right == ["run.created", "run.started"]
    assert "run.lost" in wrong


def test_a_restart_after_longer_than_a_lease_loses_nothing_wrongly(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, lease_s=1.0) as server:
        url = server.ready()
        with Client(url) as client:
            run, process = start_held(client)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    with Beating(url, process):
        time.sleep(1.5)
        again = ServerProcess(tmp_path, lease_s=1.0, port=int(url.rpartition(":")[2]))
        with again, Client(again.ready()) as client:
            time.sleep(0.7)
            types = [entry["type"] for entry in client.get(f"{run}/history").json]
            assert types == ["run.created", "run.started"]
