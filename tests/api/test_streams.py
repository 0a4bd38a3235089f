"""Live streams: what happens to a run is told after the views have it, and a client that was away catches up."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from typing import Any
from uuid import uuid4

import pytest

from runfold_services.api import live
from runfold_services.compose import open_embedded
from runfold_services.server import Server
from runfold_services.settings import ServerSettings
from tests.support.event_stream import EventStream
from tests.support.http_server import Client, running

W = "/api/v1/workspaces/default"


@pytest.fixture(scope="module")
def experiment(server: Server) -> str:
    name = f"e{uuid4().hex}"
    with Client(server.url) as client:
        client.post(f"{W}/experiments", {"experiment": name})
    return name


@pytest.fixture
def run(client: Client, experiment: str) -> str:
    """The path of a run."""
    return f"{W}/runs/{client.post(f'{W}/runs', {'experiment': experiment}).json['run_id']}"


def log(client: Client, run: str, name: str, *values: Any) -> None:
    series = {
        "name": name,
        "times": {"dtype": "i64", "values": [1_700_000_000_000] * len(values)},
        "columns": {name: {"dtype": "f64", "values": list(values)}},
    }
    assert client.post(f"{run}/metrics", {"series": [series]}).status == 200


def test_a_run_is_told_from_where_it_is_to_its_end(server: Server, client: Client, run: str) -> None:
    client.request("PATCH", f"{run}/tags", {"set": {"a": "1"}})
    with EventStream(server.url, f"{run}/stream") as stream:
        assert stream.response.headers["content-type"] == "text/event-stream"
        snapshot = stream.until("run").data
        assert (snapshot["status"], snapshot["tags"], snapshot["metrics"]) == ("Running", {"a": "1"}, {})
        assert stream.until("metrics").data["metrics"] == {}

        log(client, run, "loss", 0.5, "NaN")
        metrics = stream.until("metrics")
        assert metrics.data["metrics"]["loss"]["latest"] == "NaN"
        assert metrics.data["metrics"]["loss"]["count"] == 2

        client.post(f"{run}/complete")
        assert stream.until("run").data["status"] == "Completed"
        assert [e["type"] for e in stream.until("history").data["entries"]] == ["run.completed"]


def test_what_a_stream_says_can_be_asked_for(server: Server, client: Client, run: str) -> None:
    """It speaks after the views have committed: its id is a position that they have reached."""
    with EventStream(server.url, f"{run}/stream") as stream:
        stream.until("metrics")
        for value in range(10):
            client.request("PATCH", f"{run}/tags", {"set": {"n": str(value)}})
            told = stream.until("history")
            assert told.id is not None
            found = client.get(run, {"Runfold-Position": told.id, "Runfold-Wait": "0"})
            assert found.status == 200
            assert found.json["tags"]["n"] == told.data["entries"][-1]["body"]["tags"]["n"]


def test_a_client_that_was_away_resumes_after_what_it_has_seen(
    server: Server, client: Client, run: str
) -> None:
    with EventStream(server.url, f"{run}/stream") as stream:
        stream.until("metrics")
        seen = stream.last_id
    client.request("PATCH", f"{run}/tags", {"set": {"while": "away"}})
    log(client, run, "loss", 1.0)
    with EventStream(server.url, f"{run}/stream", last_id=seen) as stream:
        assert stream.until("run").data["tags"]["while"] == "away"
        assert [e["type"] for e in stream.until("history").data["entries"]] == ["run.tags_set"]
        assert list(stream.until("metrics").data["metrics"]) == ["loss"]
        again = stream.last_id
    client.post(f"{run}/complete")
    with EventStream(server.url, f"{run}/stream", last_id=again) as stream:
        entries = stream.until("history").data["entries"]
        assert [e["type"] for e in entries] == ["run.completed"], "nothing that was seen is told again"


def test_only_the_last_message_of_a_step_carries_the_position(
    server: Server, client: Client, run: str
) -> None:
    """A client that is cut off between two messages of a step must get the whole step again."""
    with EventStream(server.url, f"{run}/stream") as stream:
        stream.until("metrics")
        client.request("PATCH", f"{run}/tags", {"set": {"a": "b"}})
        assert stream.until("run").id is None
        assert stream.until("history").id is not None


def test_a_workspace_tells_of_all_its_runs(server: Server, client: Client, experiment: str, run: str) -> None:
    with EventStream(server.url, f"{W}/stream") as stream:
        assert stream.until("ready").data["position"] == stream.last_id
        created = client.post(f"{W}/runs", {"experiment": experiment}).json["run_id"]
        assert stream.until("run").data["run_id"] == created
        log(client, run, "acc", 0.9)
        told = stream.until("metrics").data
        assert (f"{W}/runs/{told['run_id']}", told["metrics"]["acc"]["latest"]) == (run, 0.9)
        client.post(f"{W}/experiments", {"experiment": f"e{uuid4().hex}"})
        assert "experiment_id" in stream.until("experiment").data


def test_a_position_of_another_epoch_makes_the_client_load_anew(server: Server, run: str) -> None:
    with EventStream(server.url, f"{run}/stream", last_id=f"{uuid4()}:0=1") as stream:
        told = stream.until("resync")
        assert told.id == told.data["position"]


def test_what_is_no_position_and_no_run_is_refused(client: Client, run: str) -> None:
    reply = client.get(f"{run}/stream", {"Last-Event-ID": "yesterday"})
    assert (reply.status, reply.json["facts"]["field"]) == (400, "Last-Event-ID")
    assert client.get(f"{W}/runs/nobody/stream").code == "not_found"


def test_what_another_process_appends_is_told_too(
    server: Server, client: Client, home: Any, run: str
) -> None:
    with (
        EventStream(server.url, f"{run}/stream") as stream,
        running(open_embedded(home, background=False)) as other,
        Client(other.url) as elsewhere,
    ):
        stream.until("metrics")
        elsewhere.request("PATCH", f"{run}/tags", {"set": {"from": "elsewhere"}})
        assert stream.until("run").data["tags"] == {"from": "elsewhere"}


@pytest.fixture
def quick_server(tmp_path: Any) -> Generator[Server]:
    settings = ServerSettings(port=0, stop_s=5.0, stream_keep_alive_s=0.05)
    with running(open_embedded(tmp_path, background=False), settings) as server:
        yield server


def create_run(client: Client) -> str:
    client.post(f"{W}/experiments", {"experiment": "e"})
    return f"{W}/runs/{client.post(f'{W}/runs', {'experiment': 'e'}).json['run_id']}"


def test_a_quiet_stream_says_that_it_is_there_and_moves_its_position(quick_server: Server) -> None:
    with Client(quick_server.url) as client:
        quiet, busy = create_run(client), create_run(client)
        with EventStream(quick_server.url, f"{quiet}/stream") as stream:
            stream.until("metrics")
            start = stream.last_id
            position = client.request("PATCH", f"{busy}/tags", {"set": {"a": "b"}}).json["token"]
            threading.Timer(0.5, client.request, ("PATCH", f"{quiet}/tags", {"set": {"end": "1"}})).start()
            stream.until("run")
            assert stream.comments > 3
            assert stream.last_id == position != start


def test_a_client_that_does_not_read_is_told_to_load_anew(
    quick_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUEUED_GROUPS_MAX", 3)
    with Client(quick_server.url) as client:
        run = create_run(client)
        text = "x" * 4_900
        client.request("PATCH", f"{run}/tags", {"set": {f"t{i}": text for i in range(200)}})  # 1 MB a message
        with EventStream(quick_server.url, f"{run}/stream") as stream:
            stream.until("metrics")
            for step in range(40):
                client.request("PATCH", f"{run}/tags", {"set": {"step": str(step)}})
                time.sleep(0.06)
            told = [stream.next() for _ in range(3)]
            while told[-1] is not None and told[-1].name != "resync":
                told.append(stream.next())
            assert len(told) < 60
            assert told[-1] is not None
            client.request("PATCH", f"{run}/tags", {"set": {"step": "end"}})
            while stream.until("run").data["tags"]["step"] != "end":
                pass


def test_a_stream_ends_when_the_server_stops(tmp_path: Any) -> None:
    with (
        running(open_embedded(tmp_path, background=False)) as server,
        Client(server.url) as client,
        EventStream(server.url, f"{create_run(client)}/stream") as stream,
    ):
        stream.until("metrics")
        began = time.monotonic()
        server.stop()
        assert stream.next() is None
        assert time.monotonic() - began < 3.0


def test_streams_that_were_left_are_forgotten(quick_server: Server) -> None:
    with Client(quick_server.url) as client:
        run = create_run(client)
        for _ in range(5):
            with EventStream(quick_server.url, f"{run}/stream") as stream:
                stream.until("metrics")
        live_streams = quick_server.runtime.live
        deadline = time.monotonic() + 5
        while live_streams.count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert live_streams.count == 0
