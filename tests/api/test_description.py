"""What the OpenAPI document says of answers and bodies is true of those that are sent and taken."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from runfold_services.server import Server
from tests.support.garbage import keep_garbage
from tests.support.http_server import Client, Reply
from tests.support.json_schema import faults

W = "/api/v1/workspaces/default"


class Described:
    """A client that holds every request and answer against the description."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.document = client.get("/schema/openapi.json").json
        self.schemas = self.document["components"]["schemas"]
        self.seen: set[tuple[str, str]] = set()

    def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Any:
        reply = self._client.request(method, path, body, headers)
        template, told = self._find(method, path.partition("?")[0])
        self.seen.add((method, template))
        if body is not None and reply.status < 300 and not isinstance(body, bytes):
            content = told["requestBody"]["content"]["application/json"]
            assert list(faults(body, content["schema"], self.schemas)) == []
        assert str(reply.status) in told["responses"], (method, template, reply)
        self._check(reply, told["responses"][str(reply.status)])
        return reply.json if "json" in reply.headers.get("content-type", "") else None

    def _find(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        for template, methods in self.document["paths"].items():
            pattern = re.sub(r"{\w+}", "[^/]+", template.replace("{file_path}", ".+"))
            if re.fullmatch(pattern, path) and method.lower() in methods:
                return template, methods[method.lower()]
        raise AssertionError(f"{method} {path} is not described")

    def _check(self, reply: Reply, told: dict[str, Any]) -> None:
        if "content" not in told:
            assert reply.body == b""
            return
        if "*/*" in told["content"]:
            return
        schema = told["content"][reply.headers["content-type"]]["schema"]
        if schema != {"type": "string"}:
            assert list(faults(reply.json, schema, self.schemas)) == []
        if "Runfold-Position" in told.get("headers", {}):
            assert "runfold-position" in reply.headers


@pytest.fixture
def ask(server: Server, client: Client) -> Described:
    return Described(client)


def batch(*values: Any) -> dict[str, Any]:
    times = {"dtype": "i64", "values": list(range(len(values)))}
    column = {"dtype": "f64", "values": list(values)}
    return {"series": [{"name": "loss", "times": times, "steps": times, "columns": {"loss": column}}]}


def test_all_operations_answer_as_they_are_described(ask: Described, home: Path) -> None:
    ask("POST", f"{W}/experiments", {"experiment": "e", "tags": {"a": None}})
    ask("POST", f"{W}/experiments", {"experiment": "e"})
    ask("PATCH", f"{W}/experiments/e", {"set_tags": {"b": "1"}, "description": None})
    run = f"{W}/runs/{ask('POST', f'{W}/runs', {'experiment': 'e', 'properties': {'p': 'x'}})['run_id']}"
    ask("POST", f"{W}/experiments/e/runs", {"start": False, "name": "n"})
    write_everything(ask, run)
    for path in (
        "/metrics",
        "/metrics?points_max=1",
        "/series?recursive=true",
        "/params",
        "/tags",
        "/properties",
    ):
        ask("GET", run + path)
    for path in ("", "/history", "/events", "/writers", "/children", "/children/counts"):
        ask("GET", run + path)
    for path in ("/runs?limit=1&filter=has(tags.a)", "/experiments", "/experiments/e", "/experiments/e/runs"):
        ask("GET", W + path)
    ask("POST", f"{W}/runs:query", {"order_by": "-metrics.loss", "fields": ["status", "metrics.loss"]})
    ask("POST", f"{W}/runs:count", {"status": ["Running"]})
    ask("POST", f"{W}/runs:groups", {"by": "status"})
    assert len(ask("POST", f"{W}/curves:query", {"query": {}, "last": 1, "points_max": 1})["curves"]) > 0
    ask("POST", f"{W}/curves:query", {"query": {}, "points_max": 1, "x": "time"})
    created = ask("GET", "/api/v1/events?from=1&limit=1")["events"][0]
    key = f"stream={created['stream']}&writer={created['writer_id']}"
    ask("GET", f"/api/v1/outcomes?{key}&number={created['writer_seq']}")
    ask("GET", f"/api/v1/outcomes?{key}&number=99")
    asked = [{"stream": created["stream"], "number": number} for number in (created["writer_seq"], 99)]
    fates = ask("POST", "/api/v1/outcomes:query", {"writer": created["writer_id"], "commands": asked})[
        "fates"
    ]
    assert [fate.get("outcome") is None for fate in fates] == [False, True]
    for path in (
        "/api/v1/workspaces",
        "/api/v1/events?limit=1000",
        "/api/v1/system/projections",
        "/api/v1/system",
    ):
        ask("GET", path)
    keep_garbage(home)
    for path in ("/api/v1/unreadable?open=true", "/api/v1/unreadable/0-1"):
        assert b"garbage" in msgspec.json.encode(ask("GET", path))
    for path in ("/health/live", "/health/ready", "/metrics", "/schema/openapi.json"):
        ask("GET", path)
    refuse_everything(ask, run)
    ask("DELETE", f"{run}?reason=asked")
    ask("GET", run)
    ask("GET", f"{W}/usage")
    all_operations = {(m.upper(), p) for p, methods in ask.document["paths"].items() for m in methods}
    assert {path for _, path in all_operations - ask.seen} == {RUN_STREAM, WORKSPACE_STREAM}


RUN_STREAM = "/api/v1/workspaces/{workspace}/runs/{run_id}/stream"
WORKSPACE_STREAM = "/api/v1/workspaces/{workspace}/stream"


def write_everything(ask: Described, run: str) -> None:
    ask("POST", f"{run}/start", {})
    ask("POST", f"{run}/metrics", batch(1.5, "NaN", "-Infinity"))
    ask("POST", f"{run}/params", {"params": {"a": 1, "b": 0.5, "c": True, "d": "x", "e": None}})
    ask("POST", f"{run}/properties", {"properties": {"q": None}})
    ask("PATCH", f"{run}/tags", {"set": {"a": "1"}, "remove": ["b"]})
    ask("PATCH", run, {"display_name": "d", "archived": False})
    ask("POST", f"{run}/artifacts", {"path": "a/b", "sha256": "0" * 64, "size_bytes": 1})
    write_files(ask, run)
    ask("POST", f"{run}/children", {"count": 2}, {"Idempotency-Key": uuid4().hex})
    child = ask("POST", f"{run}/children", {"children": [{"tags": {"a": "b"}}]})["run_ids"][0]
    ask("POST", f"{W}/runs/{child}/fail", {"error": {"message": "boom", "error_type": "ValueError"}})
    other = ask("POST", f"{run}/children", {"tag_key": "k", "tag_values": ["v"]})["run_ids"][0]
    ask("POST", f"{W}/runs/{other}/cancel", {"reason": "no need"})
    assert ask("POST", f"{run}/token") == {"token": None}
    ask("POST", f"{run}/complete", {})
    ask("POST", f"{run}/token")  # too late
    process = str(uuid4())
    ask("PUT", f"/api/v1/processes/{process}", {"last_numbers": {f"default/run/{other}": 3}})
    ask("DELETE", f"/api/v1/processes/{process}")
    commands = [
        {"command": {"type": "run.set_tags", "run_id": other, "tags": {"x": "y"}}, "occurred_at": 1},
        {"command": {"type": "run.log_metrics", "run_id": other, "batch": batch(1)}},
        {"command": {"type": "run.complete", "run_id": other}},
        {"command": {"type": "run.start", "run_id": "nobody"}},
    ]
    ask("POST", "/api/v1/commands", {"workspace": "default", "commands": commands})


def write_files(ask: Described, run: str) -> None:
    ask("PUT", f"{run}/artifacts/outputs/model.bin", b"bytes", {"Content-Type": "text/plain"})
    ask("PUT", f"{run}/artifacts/outputs/model.bin", b"bytes", {"Content-Type": "text/plain"})
    ask("PUT", f"{run}/artifacts/outputs/model.bin", b"others")
    ask("PUT", f"{run}/artifacts/outputs/../model.bin", b"others")
    stored = ask("POST", f"{run}/contents", b"content")
    ask("GET", f"{run}/contents/{stored['sha256']}")
    ask("GET", f"{run}/contents/none")
    for path in ("/artifacts", "/artifacts?prefix=out", "/artifacts/none", "/logs/none"):
        ask("GET", run + path)
    ask("POST", f"{run}/logs/logs/x.txt?offset=0", b"a line\n")
    ask("POST", f"{run}/logs/logs/x.txt?offset=9", b"a line\n")
    ask("GET", f"{run}/logs")
    ask("GET", f"{run}/logs/logs/x.txt?from=1&max=3")
    ask("POST", f"{run}/logs:finish", {"path": "logs/x.txt"})
    ask("POST", f"{run}/logs:finish", {"path": "logs/x.txt"})
    ask("GET", f"{run}/artifacts/logs/x.txt")
    ask("GET", f"{run}/artifacts/logs/x.txt", headers={"Range": "bytes=2-3"})


def refuse_everything(ask: Described, run: str) -> None:
    ask("POST", f"{run}/properties", {"properties": {"p": "other"}})
    ask("POST", f"{run}/fail", {})
    ask("GET", f"{W}/runs/nobody")
    ask("GET", f"{W}/runs?limit=x")
    ask("GET", f"{W}/runs?limit=9999")
    ask("GET", f"{W}/runs", headers={"Runfold-Position": f"{uuid4()}:0=1"})
    ask("GET", f"{W}/runs", headers={"Host": "evil.example"})
    ask("POST", "/api/v1/commands", b"{}", {"Content-Type": "text/plain"})
    key = {"Idempotency-Key": uuid4().hex}
    ask("POST", f"{W}/runs", {"experiment": "e"}, key)
    ask("POST", f"{W}/runs", {"experiment": "e", "name": "other"}, key)
