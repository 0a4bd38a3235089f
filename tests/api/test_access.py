"""Who may come in: a token where one is configured, this machine where none is."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from uuid import uuid4

import pytest

from runfold_events.contract.errors import Invalid, Unauthorized
from runfold_services.api.routes import OPERATIONS
from runfold_services.server import Server
from runfold_services.settings import ServerSettings
from tests.support.fake_backend import FakeBackend
from tests.support.http_server import ALICE, BOB, Client, running

W = "/api/v1/workspaces/default"


@pytest.fixture
def client(guarded: Server) -> Generator[Client]:
    with Client(guarded.url) as client:
        yield client


def create_run(client: Client, headers: dict[str, str]) -> str:
    client.post(f"{W}/experiments", {"experiment": "e"}, headers)
    return f"{W}/runs/{client.post(f'{W}/runs', {'experiment': 'e'}, headers).json['run_id']}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_but_health_asks_for_a_token(guarded: Server, operation: object) -> None:
    told = next(each for each in OPERATIONS if each is operation)
    path = told.path.replace("{process_id}", str(uuid4()))
    for name in ("workspace", "experiment", "run_id"):
        path = path.replace(f"{{{name}}}", "x")
    with Client(guarded.url) as client:
        reply = client.request(told.method, path)
        if told.is_open:
            assert reply.status == 200
        else:
            assert (reply.status, reply.code) == (401, "unauthorized")
            assert reply.headers["www-authenticate"] == "Bearer"


def test_paths_that_are_not_there_are_no_secret_either(client: Client) -> None:
    assert client.get("/nothing").status == 401
    assert client.get("/nothing", BOB).status == 404


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Basic bob-token", "bob-token", "Bearer", "Bearer bob-token\xff"]
)
def test_a_wrong_token_is_refused(client: Client, header: str) -> None:
    reply = client.get(f"{W}/runs", {"Authorization": header})
    assert (reply.status, reply.code) == (401, "unauthorized")
    assert b"bob-token" not in reply.body


def test_who_did_it_is_recorded(client: Client) -> None:
    run = create_run(client, BOB)
    client.post(f"{run}/complete", headers=ALICE)
    actors = [(entry["actor"], entry["actor_source"]) for entry in client.get(f"{run}/history", BOB).json]
    assert actors == [("bob", "token"), ("bob", "token"), ("alice", "token")]


def test_only_an_admin_erases(client: Client) -> None:
    run = create_run(client, BOB)
    refused = client.request("DELETE", run, headers=BOB)
    assert (refused.status, refused.code) == (403, "forbidden")
    command = {"type": "run.erase", "run_id": run.rpartition("/")[2]}
    body = {"workspace": "default", "commands": [{"command": command}]}
    assert client.post("/api/v1/commands", body, BOB).code == "forbidden"
    assert not client.get(run, BOB).json["erased"]
    assert client.request("DELETE", run, headers=ALICE).status == 200
    assert client.get(run, BOB).json["erased"]


def test_a_key_belongs_to_its_actor(client: Client) -> None:
    create_run(client, BOB)
    key = {"Idempotency-Key": "same"}
    ids = {
        client.post(f"{W}/runs", {"experiment": "e"}, who | key).json["run_id"] for who in (ALICE, BOB, BOB)
    }
    assert len(ids) == 2


def test_with_tokens_any_host_name_will_do(client: Client) -> None:
    assert client.get(f"{W}/runs", BOB | {"Host": "runfold.example:443"}).status == 200


def test_an_open_server_is_not_offered_to_other_machines() -> None:
    with pytest.raises(Unauthorized, match="refusing to listen on"):
        Server(FakeBackend(), ServerSettings(host="0.0.0.0", port=0))


def test_a_guarded_server_may_be() -> None:
    settings = ServerSettings(host="0.0.0.0", port=0, token="t")
    with running(FakeBackend(), settings) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        with Client(url, {"Authorization": "Bearer t"}) as client:
            assert client.get(f"{W}/runs").status == 200


def test_a_file_of_tokens_that_is_wrong_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        Server(FakeBackend(), ServerSettings(port=0, tokens_file=tmp_path / "nowhere"))
