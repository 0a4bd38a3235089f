"""Tokens that are good for one run: what scripts get from their agents."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any
from uuid import uuid4

import pytest

from runfold_services.api import run_tokens
from runfold_services.compose import open_embedded
from runfold_services.server import Server
from tests.support.http_server import ALICE, Client, Reply, running

W = "/api/v1/workspaces/default"


class Script:
    """A run, its child, another run, and somebody with the run's token."""

    def __init__(self, client: Client, owner: dict[str, str]) -> None:
        self.client = client
        self.owner = owner
        client.post(f"{W}/experiments", {"experiment": "e"}, owner)
        self.run = self.made({})
        self.child = self.made({"parent_run_id": self.run})
        self.other = self.made({})
        self.agent = str(uuid4())
        self.start(self.run, self.agent, owner)
        token = client.post(f"{W}/runs/{self.run}/token", headers=owner).json["token"]
        self.headers = {"Authorization": f"Bearer {token}"}

    def made(self, fields: dict[str, Any]) -> str:
        reply = self.client.post(f"{W}/runs", {"experiment": "e"} | fields, self.owner)
        return str(reply.json["run_id"])

    def start(self, run_id: str, process: str, headers: dict[str, str]) -> Reply:
        """``process`` starts the run, and holds it then."""
        command = {"type": "run.start", "run_id": run_id}
        body = {
            "workspace": "default",
            "commands": [{"command": command, "writer_seq": 1}],
            "hold": True,
        }
        return self.client.post("/api/v1/commands", body, headers | {"Runfold-Writer": process})

    def process(self, method: str, process: str, body: Any = None) -> Reply:
        return self.client.request(method, f"/api/v1/processes/{process}", body, self.headers)

    def get(self, path: str) -> Reply:
        return self.client.get(f"{W}{path}", self.headers)

    def post(self, path: str, body: Any = None) -> Reply:
        return self.client.post(f"{W}{path}", body, self.headers)

    def tag(self, run_id: str, **tags: str) -> Reply:
        return self.client.request("PATCH", f"{W}/runs/{run_id}/tags", {"set": tags}, self.headers)

    def command(self, **command: Any) -> Reply:
        body = {"workspace": "default", "commands": [{"command": command}]}
        return self.client.post("/api/v1/commands", body, self.headers)


@pytest.fixture
def script(guarded: Server) -> Generator[Script]:
    with Client(guarded.url) as client:
        yield Script(client, ALICE)


def test_a_run_token_reaches_the_run_and_what_is_below_it(script: Script) -> None:
    for run_id in (script.run, script.child):
        assert script.get(f"/runs/{run_id}").status == 200
        assert script.tag(run_id, k="v").status == 200
        assert script.command(type="run.set_tags", run_id=run_id, tags={"k": "w"}).status == 200
    assert script.get("/experiments/e").status == 200
    listed = script.client.post(f"{W}/runs:query", {"parent_run_id": script.run}, script.headers)
    assert [row["run_id"] for row in listed.json["rows"]] == [script.child]
    for body in ({"runs": [script.run, script.child]}, {"query": {"ancestor_run_id": script.run}}):
        assert script.client.post(f"{W}/curves:query", body, script.headers).json == {"curves": []}


def test_a_script_makes_runs_below_its_own(script: Script) -> None:
    first, second = f"{script.run}-a", f"{script.run}-b"
    commands = [
        {"type": "run.create", "run_id": first, "experiment": "e", "parent_run_id": script.run},
        {"type": "run.create", "run_id": second, "experiment": "e", "parent_run_id": first},
        {"type": "run.complete", "run_id": second},
    ]
    body = {"workspace": "default", "commands": [{"command": command} for command in commands]}
    reply = script.client.post("/api/v1/commands", body, script.headers)
    assert [outcome["outcome"] for outcome in reply.json["outcomes"]] == ["accepted"] * 3
    assert script.get(f"/runs/{second}").json["status"] == "Completed"


def test_a_run_token_reaches_nothing_else(script: Script) -> None:
    other = script.other
    replies = [
        script.get(f"/runs/{other}"),
        script.get(f"/runs/{other}/events"),
        script.tag(other, k="v"),
        script.command(type="run.set_tags", run_id=other, tags={"k": "v"}),
        script.command(type="run.create", run_id="mine", experiment="e"),
        script.command(type="run.create", run_id="mine", experiment="e", parent_run_id=other),
        script.command(
            type="run.create", run_id=other, experiment="e", parent_run_id=script.run, resume=True
        ),
        script.command(type="run.create", run_id="mine", experiment="f", parent_run_id=script.run),
        script.command(type="experiment.ensure", experiment="another"),
        script.get("/runs"),
        script.get("/experiments"),
        script.get("/experiments/another"),
        script.client.post(f"{W}/runs:query", {}, script.headers),
        script.client.post(f"{W}/runs:query", {"parent_run_id": other}, script.headers),
        script.client.post(f"{W}/curves:query", {"runs": [script.run, other]}, script.headers),
        script.client.post(f"{W}/curves:query", {"query": {}}, script.headers),
        script.client.get(f"/api/v1/workspaces/w2/runs/{script.run}", script.headers),
        script.client.get("/api/v1/events?partition=0&from=0", script.headers),
        script.post(f"/runs/{script.run}/token"),
        script.client.request("DELETE", f"{W}/runs/{script.run}", headers=script.headers),
    ]
    assert [(reply.status, reply.code) for reply in replies] == [(403, "forbidden")] * len(replies)


def test_a_run_token_speaks_for_the_processes_of_the_script_alone(script: Script) -> None:
    own, foreign = str(uuid4()), str(uuid4())
    assert script.start(script.other, foreign, script.owner).status == 200
    for process in (script.agent, foreign):
        assert script.process("PUT", process, {}).code == "forbidden"
        assert script.process("DELETE", process).code == "forbidden"
    assert script.start(script.run, script.agent, script.headers).code == "forbidden"

    assert script.start(script.run, own, script.headers).status == 200
    assert script.process("PUT", own, {}).status == 200
    script.client.post(f"{W}/runs/{script.run}/cancel", headers=script.owner)
    numbers = {f"default/run/{run_id}": 9 for run_id in (script.run, script.child, script.other)}
    reply = script.process("PUT", own, {"last_numbers": numbers})
    assert reply.json["cancel_requested"] == [f"default/{script.run}"]
    writers = script.client.get(f"{W}/runs/{script.other}/writers", script.owner).json
    assert own not in str(writers), "nothing is announced on another one's stream"
    assert script.process("DELETE", own).status == 204


def test_a_script_makes_children_of_its_own_only(script: Script) -> None:
    path = f"/runs/{script.run}/children"
    script.client.request("PATCH", f"{W}/runs/{script.other}/tags", {"set": {"secret": "1"}}, script.owner)
    for body in (
        {"children": [{}, {"run_id": script.other}]},
        {"count": 1, "experiment": "another"},
    ):
        reply = script.post(path, body)
        assert (reply.status, reply.code) == (403, "forbidden")
        assert b"secret" not in reply.body
    events = script.client.get(f"{W}/runs/{script.other}/history", script.owner).json
    assert "rejected" not in str(events)
    assert script.post(path, {"children": [{}, {"run_id": f"{script.run}-mine"}]}).status == 201


def test_a_run_token_is_no_way_to_contents_of_other_runs(script: Script) -> None:
    def upload(run_id: str, headers: dict[str, str], data: bytes) -> str:
        reply = script.client.request("POST", f"{W}/runs/{run_id}/contents", data, headers)
        return str(reply.json["sha256"])

    def record(sha256: str, path: str, run_id: str = script.run) -> Reply:
        command = {"type": "run.record_artifact", "run_id": run_id, "path": path}
        return script.command(**command, sha256=sha256, size_bytes=1)

    foreign = upload(script.other, script.owner, b"the others' weights")
    assert record(foreign, "stolen").code == "forbidden"
    assert script.get(f"/runs/{script.run}/contents/{foreign}").json == {"stored": False}
    own = upload(script.child, script.headers, b"own bytes")
    for run_id in (script.run, script.child):
        assert record(own, "mine", run_id).json["outcomes"][0]["outcome"] == "accepted"
        assert script.get(f"/runs/{run_id}/contents/{own}").json == {"stored": True}
    read = script.get(f"/runs/{script.run}/artifacts/mine")
    assert (read.body, read.headers["content-length"]) == (b"own bytes", "9"), "whatever size was recorded"
    upload(script.run, script.headers, b"the others' weights")
    assert record(foreign, "known").json["outcomes"][0]["outcome"] == "accepted", "it has the bytes"
    path = f"{W}/runs/{script.run}/artifacts/outputs/m"
    agents = script.client.request("PUT", path, b"stored by its agent", script.owner).json["sha256"]
    for run_id in (script.run, script.child):
        assert script.get(f"/runs/{run_id}/contents/{agents}").json == {"stored": True}
        assert record(agents, "copy", run_id).json["outcomes"][0]["outcome"] == "accepted", "its run has it"


def test_a_run_token_ends_soon_after_its_run(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    script.client.post(f"{W}/runs/{script.run}/complete", headers=ALICE)
    assert script.tag(script.run, late="1").status == 200  # what was on its way
    monkeypatch.setattr(run_tokens, "AFTER_END_S", 0.0)
    monkeypatch.setattr(run_tokens, "LOOK_AGAIN_S", 0.0)
    time.sleep(0.01)
    reply = script.tag(script.run, late="2")
    assert (reply.status, reply.code) == (401, "unauthorized")
    refused = script.client.post(f"{W}/runs/{script.run}/token", headers=ALICE)
    assert (refused.status, refused.code) == (409, "run_ended")


def test_a_run_token_is_of_who_got_it_and_of_nobody_else(guarded: Server) -> None:
    secrets = {"alice": [b"a" * 32], "bob": [b"b" * 32]}
    token = run_tokens.make_token(secrets["bob"][0], "bob", "default", "r")
    actor = run_tokens.read_token(token, secrets)
    assert actor is not None
    assert (actor.name, actor.source, actor.admin, actor.run_id) == ("bob", "token", False, "r")
    forged = run_tokens.make_token(secrets["bob"][0], "alice", "default", "r")
    assert run_tokens.read_token(forged, secrets) is None
    payload, _, signature = token.partition(".")[2].partition(".")
    for broken in (
        "rft1.",
        "rft1.a.b",
        f"rft1.{payload}.",
        f"rft1.{payload}.{signature[:-4]}AAA=",
        f"rft1.{payload[:-4]}AAAA.{signature}",
        "rft1.é.é",
    ):
        assert run_tokens.read_token(broken, secrets) is None
    with Client(guarded.url) as client:
        reply = client.get(f"{W}/runs/r", {"Authorization": f"Bearer {token}"})
        assert (reply.status, reply.code) == (401, "unauthorized")


def test_where_no_tokens_are_asked_for_there_are_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        running(open_embedded(tmp_path_factory.mktemp("open"), background=False)) as server,
        Client(server.url) as client,
    ):
        client.post(f"{W}/experiments", {"experiment": "e"})
        run_id = client.post(f"{W}/runs", {"experiment": "e"}).json["run_id"]
        assert client.post(f"{W}/runs/{run_id}/token").json == {"token": None}
