"""Files and logs over plain HTTP: what a client without our SDK sends and gets."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import time
from collections.abc import Generator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from runfold_events.contract import limits
from runfold_events.contract.errors import Unavailable
from runfold_events.sync import run_sync
from runfold_services.compose import open_embedded
from runfold_services.server import Server
from tests.support.http_server import Client, running

W = "/api/v1/workspaces/default"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the ledger of the server lies."""
    return tmp_path / "home"


@pytest.fixture
def server(home: Path) -> Generator[Server]:
    """A server for this test alone, which looks at what lies in its home."""
    with running(open_embedded(home, background=False)) as server:
        yield server


@pytest.fixture
def run(client: Client) -> str:
    """The address of a run."""
    assert client.post(f"{W}/experiments", {"experiment": "files"}).status in {200, 201}
    run_id = client.post(f"{W}/runs", {"experiment": "files"}).json["run_id"]
    return f"{W}/runs/{run_id}"


def contents(home: Path) -> list[Path]:
    """Whatever lies in the server's file store."""
    return [path for path in home.joinpath("files").rglob("*") if path.is_file()]


def test_one_request_stores_and_records(client: Client, run: str, home: Path) -> None:
    first = client.request(
        "PUT", f"{run}/artifacts/outputs/m.bin", b"weights", {"Content-Type": "text/plain"}
    )
    again = client.request(
        "PUT", f"{run}/artifacts/outputs/m.bin", b"weights", {"Content-Type": "text/plain"}
    )
    other = client.request("PUT", f"{run}/artifacts/outputs/m.bin", b"others")
    longer = client.request("PUT", f"{run}/artifacts/outputs/m.bin", b"weights and more")
    assert (first.status, again.status, other.status, longer.status) == (201, 200, 409, 409)
    assert first.json["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert "events" not in again.json
    assert "Resource Conflict" in other.json["detail"]
    (listed,) = client.get(f"{run}/artifacts", {"Runfold-Position": first.json["token"]}).json
    assert (listed["path"], listed["size_bytes"], listed["content_type"]) == (
        "outputs/m.bin",
        7,
        "text/plain",
    )


def test_what_is_served_cannot_act_as_the_application(client: Client, run: str) -> None:
    page = b"<script>alert(document.cookie)</script>"
    name = 'evil "\u202e;\n<b>.html'
    put = client.request("PUT", f"{run}/artifacts/{quote(name)}", page, {"Content-Type": "text/html"})
    got = client.get(f"{run}/artifacts/{quote(name)}", {"Runfold-Position": put.json["token"]})
    assert (got.status, got.body) == (200, page)
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert got.headers["content-disposition"].startswith("attachment; ")
    assert "\n" not in got.headers["content-disposition"]
    assert got.headers["etag"] == f'"{hashlib.sha256(page).hexdigest()}"'
    log = client.request("POST", f"{run}/logs/page.html?offset=0", page)
    assert log.json == {"end": len(page)}
    read = client.get(f"{run}/logs/page.html")
    assert (read.headers["content-type"], read.headers["x-content-type-options"]) == (
        "application/octet-stream",
        "nosniff",
    )


@pytest.mark.parametrize("given", ["text/html\r\nSet-Cookie: a=b", "no type", "a/b; c", "x/" + "y" * 300])
def test_a_content_type_that_is_none_is_refused(client: Client, run: str, given: str) -> None:
    if "\r" in given:
        body = {"path": "x", "sha256": "0" * 64, "size_bytes": 1, "content_type": given}
        assert client.post(f"{run}/artifacts", body).status == 201, "events take any text; headers do not"
        assert client.get(f"{run}/artifacts/x").code == "not_found", "its content was never uploaded here"
        return
    refused = client.request("PUT", f"{run}/artifacts/x", b"x", {"Content-Type": given})
    assert refused.code == "invalid"
    assert refused.json["facts"]["field"] == "Content-Type"


@pytest.mark.parametrize(
    ("given", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-100", 206, b"89"),
        ("bytes=0-0,2-3", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=10-", 400, None),
    ],
)
def test_a_part_of_a_file(client: Client, run: str, given: str, status: int, body: bytes | None) -> None:
    client.request("PUT", f"{run}/artifacts/digits", b"0123456789")
    got = client.get(f"{run}/artifacts/digits", {"Range": given})
    assert got.status == status
    assert body is None or got.body == body


@pytest.mark.parametrize(
    "path",
    [
        "../escape",
        "a/../../escape",
        "%2e%2e/escape",
        "a%2f..%2f..%2fescape",
        "/absolute",
        "a//b",
        "a/",
        "n%00l",
        "a%5Cb",
        ".",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_hostile_paths_are_refused_as_they_were_sent(
    client: Client, run: str, home: Path, method: str, path: str
) -> None:
    for place in ("artifacts", "logs"):
        verb = "POST" if (place, method) == ("logs", "PUT") else method
        query = "?offset=0" if verb == "POST" else ""
        refused = client.request(verb, f"{run}/{place}/{path}{query}", b"x" if verb != "GET" else None)
        assert refused.code == "invalid", (verb, place)
        assert refused.json["facts"]["field"] == "path"
    assert not contents(home)


def test_long_paths_unknown_runs_and_bad_digests(client: Client, run: str) -> None:
    assert client.request("PUT", f"{run}/artifacts/{'x' * 1_025}", b"x").code == "limit_exceeded"
    assert client.request("PUT", f"{run}/artifacts/{'x' * 5_000}", b"x").code == "limit_exceeded"
    for verb, path in (
        ("PUT", "artifacts/x"),
        ("POST", "contents"),
        ("POST", "logs/x?offset=0"),
        ("GET", "logs"),
    ):
        reply = client.request(verb, f"{W}/runs/nobody/{path}", None if verb == "GET" else b"x")
        assert reply.code == "not_found"
    assert client.get(f"{run}/contents/zz").code == "invalid"
    assert client.get(f"{run}/contents/{'0' * 64}").json == {"stored": False}
    assert client.request("POST", f"{run}/logs/x?offset=-1", b"x").code == "invalid"


def test_a_part_of_what_is_recorded_and_not_here_is_not_found(client: Client, run: str) -> None:
    absent = "0" * 64
    command = {"type": "run.record_artifact", "run_id": run.rpartition("/")[2], "path": "x", "sha256": absent}
    body = {"workspace": "default", "commands": [{"command": {**command, "size_bytes": 9}}]}
    (outcome,) = client.post("/api/v1/commands", body).json["outcomes"]
    token = {"Runfold-Position": outcome["token"]}
    for headers in ({}, {"Range": "bytes=0-1"}):
        assert client.request("GET", f"{run}/artifacts/x", None, token | headers).code == "not_found"


def test_two_who_finish_a_log_at_once_are_answered_alike(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that finds no log any more looks only then whether another has recorded it."""
    tracker = open_embedded(home, background=False)
    with running(tracker) as server, Client(server.url) as client, Client(server.url) as faster:
        client.post(f"{W}/experiments", {"experiment": "files"})
        run = f"{W}/runs/{client.post(f'{W}/runs', {'experiment': 'files'}).json['run_id']}"
        client.request("POST", f"{run}/logs/live?offset=0", b"live")
        close, first = tracker.files.close_log, list[str]()

        def close_log(workspace: str, run_id: str, path: str) -> bool:
            if not first:
                first.append("begun")
                first.append(faster.post(f"{run}/logs:finish", {"path": "live"}).json["sha256"])
            return close(workspace, run_id, path)

        monkeypatch.setattr(tracker.files, "close_log", close_log)
        second = client.post(f"{run}/logs:finish", {"path": "live"})
        assert (second.status, second.json["sha256"]) == (200, first[-1])


def test_an_upload_over_the_limit_is_refused_by_what_it_announces_and_by_what_comes(
    client: Client, run: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FILE_BYTES_MAX", 1_000)
    monkeypatch.setattr(limits, "LOG_APPEND_BYTES_MAX", 10)
    assert client.request("PUT", f"{run}/artifacts/x", bytes(1_001)).status == 413
    parts = urlsplit(client.url)
    chunked = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
    chunked.request("PUT", f"{run}/artifacts/x", iter([bytes(500)] * 10), encode_chunked=True)
    assert chunked.getresponse().status == 413
    chunked.close()
    assert client.request("POST", f"{run}/logs/x?offset=0", bytes(11)).status == 413
    assert client.get(f"{run}/artifacts").json == []
    assert not contents(home)


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    server: Server, client: Client, run: str, home: Path
) -> None:
    parts = urlsplit(server.url)
    for headers, body in (
        ("Content-Length: 3000000", os.urandom(2_500_000)),
        ("Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
    ):
        with socket.create_connection((str(parts.hostname), parts.port), timeout=20) as connection:
            head = f"PUT {run}/artifacts/x HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n\r\n"
            connection.sendall(head.encode() + body)
            deadline = time.monotonic() + 20
            while not contents(home) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert contents(home), "the control: it was on its way"
        deadline = time.monotonic() + 20
        while contents(home) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not contents(home)
    assert client.get(f"{run}/artifacts").json == []


def test_an_erased_runs_files_go_and_it_takes_no_more(client: Client, run: str, home: Path) -> None:
    other = f"{W}/runs/{client.post(f'{W}/runs', {'experiment': 'files'}).json['run_id']}"
    client.request("PUT", f"{run}/artifacts/own", b"own")
    client.request("PUT", f"{run}/artifacts/shared", b"shared")
    client.request("PUT", f"{other}/artifacts/shared%20too", b"shared")
    client.request("POST", f"{run}/logs/live?offset=0", b"live")
    assert len(contents(home)) == 4
    erased = client.request("DELETE", run)
    assert erased.status == 200
    assert [path.read_bytes() for path in contents(home)] == [b"shared"]
    for verb, path in (("PUT", "artifacts/x"), ("POST", "logs/x?offset=0"), ("GET", "logs/live")):
        assert client.request(verb, f"{run}/{path}", None if verb == "GET" else b"x").code == "conflict"
    assert client.get(f"{other}/artifacts/shared%20too").body == b"shared"


def test_what_an_erasure_could_not_remove_goes_with_the_next_sweep(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = open_embedded(home, background=False)
    with running(tracker) as server, Client(server.url) as client:
        client.post(f"{W}/experiments", {"experiment": "files"})
        run = f"{W}/runs/{client.post(f'{W}/runs', {'experiment': 'files'}).json['run_id']}"
        client.request("PUT", f"{run}/artifacts/x", b"bytes")
        client.request("POST", f"{run}/logs/live?offset=0", b"live")

        def unavailable(workspace: str, run_id: str) -> None:
            raise Unavailable("the disk is away")

        with monkeypatch.context() as patch:
            patch.setattr(tracker.files, "remove_logs", unavailable)
            assert client.request("DELETE", run).status == 200
        assert len(contents(home)) == 3, "the content, the log and its name"
        run_sync(tracker.sweep_files())
        assert contents(home) == []


def test_a_web_page_of_another_origin_uploads_nothing(client: Client, run: str, home: Path) -> None:
    headers = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    assert client.request("POST", f"{run}/contents", b"x", headers).code == "forbidden"
    assert client.request("POST", f"{run}/logs/x?offset=0", b"x", headers).code == "forbidden"
    assert not contents(home)


def test_files_outlive_the_server(home: Path) -> None:
    with running(open_embedded(home, background=False)) as first, Client(first.url) as client:
        client.post(f"{W}/experiments", {"experiment": "files"})
        run = f"{W}/runs/{client.post(f'{W}/runs', {'experiment': 'files'}).json['run_id']}"
        client.request("PUT", f"{run}/artifacts/x", b"bytes")
    with running(open_embedded(home, background=False)) as second, Client(second.url) as client:
        assert client.get(f"{run}/artifacts/x").body == b"bytes"
