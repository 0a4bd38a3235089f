"""What became of a command can be asked for later, by its stream, writer and number."""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import uuid4

import pytest

from runfold_events.contract.ids import experiment_id
from tests.support.http_server import Client, Reply

W = "/api/v1/workspaces/default"

SOMEBODY = "0190a1b2-c3d4-7e5f-8a6b-000000000001"


class Sender:
    """A process that numbers its commands on one run."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.writer = str(uuid4())
        self.run_id = f"r-{uuid4().hex[:8]}"
        self.experiment = f"e-{uuid4().hex[:8]}"

    def send(self, number: int, path: str, body: object) -> Reply:
        headers = {"Runfold-Writer": self.writer, "Runfold-Writer-Seq": str(number)}
        return self.client.request("POST", f"{W}{path}", body, headers)

    def start(self) -> dict[str, object]:
        self.send(1, "/experiments", {"experiment": self.experiment})
        body = {"experiment": self.experiment, "run_id": self.run_id, "properties": {"author": "ann"}}
        answer: dict[str, object] = self.send(1, "/runs", body).json
        return answer

    def outcome(self, number: int, stream: str | None = None, writer: str | None = None) -> Reply:
        asked = {
            "stream": stream or f"default/run/{self.run_id}",
            "writer": writer or self.writer,
            "number": number,
        }
        return self.client.get(f"/api/v1/outcomes?{urlencode(asked)}")


@pytest.fixture
def sender(client: Client) -> Sender:
    return Sender(client)


def test_an_accepted_command_names_its_events(sender: Sender) -> None:
    created = sender.start()
    found = sender.outcome(1).json
    assert (found["outcome"], found["repeated"], found["run_id"]) == ("accepted", True, sender.run_id)
    assert found["events"] == created["events"]
    stream = f"default/experiment/{experiment_id('default', sender.experiment)}"
    assert [event["type"] for event in sender.outcome(1, stream).json["events"]] == ["experiment.created"]


def test_a_recorded_refusal_says_why(sender: Sender) -> None:
    sender.start()
    refused = sender.send(2, f"/runs/{sender.run_id}/properties", {"properties": {"author": "else"}})
    found = sender.outcome(2).json
    assert (refused.status, found["outcome"], found["code"]) == (409, "refused", "property_immutable")
    assert found["facts"] == {key: refused.json["facts"][key] for key in found["facts"]}
    assert found["event"]["type"] == "run.command_rejected"


def test_what_changed_nothing_is_known_too(sender: Sender) -> None:
    sender.start()
    sender.send(2, f"/runs/{sender.run_id}/properties", {"properties": {"author": "ann"}})
    found = sender.outcome(2).json
    assert (found["outcome"], "events" in found) == ("accepted", False)


def test_what_was_never_handled_or_not_recorded_is_not_found(sender: Sender) -> None:
    sender.start()
    assert sender.send(2, f"/runs/{sender.run_id}/properties", {"properties": {"": "x"}}).status == 413
    for answer in (
        sender.outcome(2),
        sender.outcome(3),
        sender.outcome(1, writer=str(uuid4())),
        sender.outcome(1, stream="default/run/nobody"),
    ):
        assert (answer.status, answer.code) == (404, "not_found")
    assert sender.send(2, f"/runs/{sender.run_id}/properties", {"properties": {"b": "x"}}).status == 200
    assert sender.outcome(2).status == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "stream"),
        (f"stream=w/run/r&writer={SOMEBODY}", "number"),
        (f"stream=w/run/r&writer={SOMEBODY}&number=0", "number"),
        (f"stream=w/run/r&writer={SOMEBODY}&number={2**63}", "number"),
        ("stream=w/run/r&writer=me&number=1", "writer"),
        (f"stream=w/run/r&writer={SOMEBODY}&number=1&more=1", "more"),
        (f"stream=_system/0&writer={SOMEBODY}&number=1", "stream"),
        (f"stream=_system/run/r&writer={SOMEBODY}&number=1", "stream"),
        (f"stream=w/run/a%00b&writer={SOMEBODY}&number=1", "stream"),
        (f"stream=w/run&writer={SOMEBODY}&number=1", "stream"),
        (f"stream=w/experiment/diabetes&writer={SOMEBODY}&number=1", "stream"),
    ],
)
def test_a_key_that_cannot_be_is_refused(client: Client, query: str, field: str) -> None:
    reply = client.get(f"/api/v1/outcomes?{query}" if query else "/api/v1/outcomes")
    assert reply.code in {"invalid", "limit_exceeded"}, reply
    assert reply.json["facts"]["field"] == field


# Many at once


def asked(sender: Sender, *numbers: int, **place: int) -> Reply:
    """What became of commands on the sender's run; ``place``: where a command topic is said to keep them."""
    stream = f"default/run/{sender.run_id}"
    commands = [{"stream": stream, "number": number, **place} for number in numbers]
    return sender.client.post("/api/v1/outcomes:query", {"writer": sender.writer, "commands": commands})


def test_many_commands_are_asked_about_at_once(sender: Sender) -> None:
    sender.start()
    refused = sender.send(2, f"/runs/{sender.run_id}/properties", {"properties": {"author": "else"}})
    assert refused.status == 409
    found = asked(sender, 2, 1, 3, 1).json["fates"]
    assert found[0]["outcome"] == sender.outcome(2).json | {"token": found[0]["outcome"]["token"]}
    assert [fate.get("outcome", {}).get("outcome") for fate in found] == [
        "refused",
        "accepted",
        None,
        "accepted",
    ]


def test_where_nothing_comes_by_a_topic_no_place_is_passed(client: Client, sender: Sender) -> None:
    sender.start()
    assert asked(sender, 9, partition=0, offset=0).json == {"fates": [{}]}


@pytest.mark.parametrize(
    ("command", "field"),
    [
        ({"stream": "w/run/r"}, "number"),
        ({"stream": "w/run/r", "number": 0}, "number"),
        ({"stream": "w/run/r", "number": 1, "offset": -1}, "offset"),
        ({"stream": "w/run/r", "number": 1, "more": 1}, "more"),
        ({"stream": "_system/0", "number": 1}, "stream"),
    ],
)
def test_questions_that_cannot_be_are_refused(client: Client, command: dict[str, object], field: str) -> None:
    reply = client.post("/api/v1/outcomes:query", {"writer": SOMEBODY, "commands": [command]})
    assert reply.code in {"invalid", "limit_exceeded"}, reply
    assert field in reply.json["facts"]["field"]
