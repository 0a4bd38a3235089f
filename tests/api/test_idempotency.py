"""A command that is sent again: each case gets the answer of the design's section 6, and there is one effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from runfold_services.compose import open_embedded
from tests.support.http_server import Client, Reply, running

W = "/api/v1/workspaces/default"


class Run:
    """A fresh run and a process that numbers its commands on it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.experiment = f"e{uuid4().hex}"
        assert client.post(f"{W}/experiments", {"experiment": self.experiment}).status == 201
        self.run_id = client.post(f"{W}/runs", {"experiment": self.experiment}).json["run_id"]
        self.path = f"{W}/runs/{self.run_id}"
        self.writer = str(uuid4())

    def command(self, number: int | None, **command: Any) -> dict[str, Any]:
        item: dict[str, Any] = {"command": {"run_id": self.run_id} | command}
        return item if number is None else item | {"writer_seq": number}

    def send(self, *items: dict[str, Any], headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
        reply = self.client.post(
            "/api/v1/commands",
            {"workspace": "default", "commands": items},
            {"Runfold-Writer": self.writer} if headers is None else headers,
        )
        assert reply.status == 200, reply
        outcomes: list[dict[str, Any]] = reply.json["outcomes"]
        return outcomes

    def tag(self, number: int, key: str, value: str = "v", writer: str | None = None) -> Reply:
        headers = {"Runfold-Writer": writer or self.writer, "Runfold-Writer-Seq": str(number)}
        return self.client.request("PATCH", f"{self.path}/tags", {"set": {key: value}}, headers)

    def events(self) -> list[str]:
        return [entry["type"] for entry in self.client.get(f"{self.path}/history").json]


@pytest.fixture
def run(client: Client) -> Run:
    return Run(client)


def test_a_repeated_number_gets_the_first_answer_and_has_one_effect(run: Run) -> None:
    first, again = run.tag(1, "a"), run.tag(1, "a")
    assert (first.status, again.status) == (200, 200)
    assert again.json["events"] == first.json["events"]
    assert (first.json.get("repeated"), again.json["repeated"]) == (None, True)
    assert run.events().count("run.tags_set") == 1


def test_a_repeated_number_of_a_batch_gets_the_first_answer(run: Run) -> None:
    item = run.command(1, type="run.set_tags", tags={"a": "b"})
    first, again = run.send(item), run.send(item)
    assert (first[0]["outcome"], again[0]["events"], again[0]["repeated"]) == (
        "accepted",
        first[0]["events"],
        True,
    )


def test_who_prefers_little_is_told_of_refusals_and_not_of_the_events_of_what_was_accepted(run: Run) -> None:
    little = {"Runfold-Writer": run.writer, "Prefer": "handling=lenient, return=minimal"}
    good = run.command(1, type="run.add_properties", properties={"author": "x"})
    bad = run.command(2, type="run.add_properties", properties={"author": "y"})

    accepted, refused = run.send(good, bad, headers=little)
    assert set(accepted) == {"outcome", "token"}
    assert refused["code"] == "property_immutable"
    assert refused["event"]["type"] == "run.command_rejected"

    (told,) = run.send(run.command(3, type="run.set_tags", tags={"a": "b"}))
    assert [event["type"] for event in told["events"]] == ["run.tags_set"]
    assert run.events()[-3:] == ["run.properties_added", "run.command_rejected", "run.tags_set"]


def test_a_number_that_is_twice_in_one_batch_has_one_effect(run: Run) -> None:
    item = run.command(1, type="run.set_tags", tags={"a": "b"})
    first, again = run.send(item, item)
    assert again["events"] == first["events"]
    assert run.events().count("run.tags_set") == 1


def test_formatting_is_no_content_in_commands(run: Run) -> None:
    body = b'{"workspace":"default","commands":[{"writer_seq":1,"command":{"run_id":"%s","type":"run.complete"}}]}'
    other = (
        b'{ "commands": [ {"command": {"type": "run.complete", "run_id": "%s"}, "writer_seq": 1} ],'
        b' "workspace": "default" }'
    )
    headers = {"Runfold-Writer": run.writer, "Content-Type": "application/json"}
    answers = [
        run.client.post("/api/v1/commands", text % run.run_id.encode(), headers).json["outcomes"][0]
        for text in (body, other)
    ]
    assert [answer["outcome"] for answer in answers] == ["accepted", "accepted"]
    assert answers[1]["repeated"]


def test_an_older_number_is_known_too(run: Run) -> None:
    first = run.tag(1, "a")
    run.tag(2, "b")
    again = run.tag(1, "a")
    assert (again.status, again.json["events"]) == (200, first.json["events"])


def test_a_jump_is_refused_with_the_number_expected(run: Run) -> None:
    run.tag(1, "a")
    jumped = run.tag(3, "c")
    assert (jumped.status, jumped.code) == (409, "sequence_gap")
    assert jumped.json["facts"]["expected"] == 2
    assert "c" not in run.client.get(f"{run.path}/tags").json
    assert run.tag(2, "b").status == 200
    assert run.tag(3, "c").status == 200


def test_the_same_number_with_other_content_is_loud(run: Run) -> None:
    assert run.tag(1, "a").status == 200
    other = run.tag(1, "a", "other")
    assert (other.status, other.code) == (422, "idempotency_conflict")
    assert run.client.get(f"{run.path}/tags").json == {"a": "v"}


def test_other_writers_number_on_their_own(run: Run) -> None:
    assert run.tag(1, "a").status == 200
    assert run.tag(1, "b", writer=str(uuid4())).status == 200


def test_a_refusal_that_was_recorded_is_repeated_and_its_number_is_used(run: Run) -> None:
    headers = {"Runfold-Writer": run.writer}

    def properties(number: int, value: str) -> Reply:
        return run.client.post(
            f"{run.path}/properties",
            {"properties": {"p": value}},
            headers | {"Runfold-Writer-Seq": str(number)},
        )

    assert properties(1, "x").status == 200
    refused, again = properties(2, "y"), properties(2, "y")
    assert (refused.code, again.code) == ("property_immutable", "property_immutable")
    assert again.json["event"] == refused.json["event"]
    assert again.json["facts"] == refused.json["facts"]
    assert again.json["repeated"]
    assert run.events().count("run.command_rejected") == 1
    assert properties(3, "x").status == 200


def test_a_refusal_that_was_not_recorded_leaves_its_number_free(run: Run) -> None:
    too_long = run.tag(1, "a" * 257)
    assert (too_long.status, too_long.code) == (413, "limit_exceeded")
    assert run.tag(1, "a").status == 200


def test_what_a_sender_no_longer_has_it_declares_lost(run: Run) -> None:
    run.tag(1, "a")
    lost = run.command(2, type="run.declare_lost", first=2, last=4, reason="buffer full", values=30)
    assert run.send(lost)[0]["outcome"] == "accepted"
    assert run.tag(5, "b").status == 200
    late = run.tag(3, "c")
    assert late.status == 409
    assert "run.commands_lost" in run.events()
    mark = next(m for m in run.client.get(f"{run.path}/writers").json if m["writer_id"] == run.writer)
    assert (mark["highest"], mark["lost"]) == (5, [[2, 4]])


def test_a_metric_batch_is_known_byte_for_byte(run: Run) -> None:
    headers = {
        "Runfold-Writer": run.writer,
        "Runfold-Writer-Seq": "1",
        "Content-Type": "application/json",
    }
    times, column = b'{"dtype":"i64","values":[1]}', b'{"dtype":"f64","values":[1]}'
    body = b'{"series":[{"name":"m","times":%s,"columns":{"m":%s}}]}' % (times, column)
    path = f"{run.path}/metrics"
    assert run.client.post(path, body, headers).status == 200
    again = run.client.post(path, body, headers)
    assert (again.status, again.json["repeated"]) == (200, True)
    assert run.client.post(path, body + b" ", headers).code == "idempotency_conflict"
    assert run.client.get(path).json[0]["count"] == 1


# a bare Idempotency-Key


def test_a_repeated_key_creates_one_run(run: Run) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    body = {"experiment": run.experiment, "tags": {"a": "b"}}
    first, again = run.client.post(f"{W}/runs", body, key), run.client.post(f"{W}/runs", body, key)
    assert (first.status, again.status) == (201, 201)
    assert first.json["run_id"] == again.json["run_id"]
    assert first.json["events"] == again.json["events"]
    assert again.json["repeated"]
    assert run.client.post(f"{W}/runs", body).json["run_id"] != first.json["run_id"]


def test_a_repeated_key_with_other_content_is_loud(run: Run) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    body = {"experiment": run.experiment}
    assert run.client.post(f"{W}/runs", body, key).status == 201
    other = run.client.post(f"{W}/runs", body | {"display_name": "other"}, key)
    assert (other.status, other.code) == (422, "idempotency_conflict")


def test_a_repeated_key_repeats_all_commands_of_its_request(run: Run) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    items = [
        run.command(None, type="run.set_tags", tags={"a": "1"}),
        run.command(None, type="run.set_tags", tags={"b": "2"}),
        run.command(None, type="run.complete"),
    ]
    first, again = run.send(*items, headers=key), run.send(*items, headers=key)
    assert [outcome["events"] for outcome in first] == [outcome["events"] for outcome in again]
    assert all(outcome["repeated"] for outcome in again)
    assert run.events().count("run.tags_set") == 2


def test_a_repeated_bulk_creation_completes_and_never_doubles(run: Run) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    path = f"{run.path}/children"
    part = run.client.post(path, {"count": 3}, key).json
    whole = run.client.post(path, {"count": 5}, key).json
    assert whole["run_ids"][:3] == part["run_ids"]
    assert (part["created"], whole["created"]) == (3, 2)
    assert run.client.post(path, {"count": 5}, key).json.get("created", 0) == 0
    assert run.client.get(f"{path}/counts").json["direct"] == {"Running": 5}


def test_a_repeated_refusal_under_a_key_is_repeated(run: Run) -> None:
    assert run.client.post(f"{run.path}/properties", {"properties": {"p": "x"}}).status == 200
    key = {"Idempotency-Key": uuid4().hex}
    body = {"properties": {"p": "y"}}
    refused, again = (run.client.post(f"{run.path}/properties", body, key) for _ in range(2))
    assert (refused.code, again.code) == ("property_immutable", "property_immutable")
    assert again.json["event"] == refused.json["event"]


def test_without_headers_each_request_is_a_new_writer(run: Run) -> None:
    for value in ("1", "2"):
        assert run.client.request("PATCH", f"{run.path}/tags", {"set": {"a": value}}).status == 200
    assert run.events().count("run.tags_set") == 2


# numbers and headers that contradict each other


@pytest.mark.parametrize(
    ("headers", "numbers", "field"),
    [
        ({"Runfold-Writer": str(uuid4())}, [None], "commands[0].writer_seq"),
        ({"Runfold-Writer": str(uuid4())}, [1, None], "commands[1].writer_seq"),
        ({}, [1], "commands[0].writer_seq"),
        ({"Idempotency-Key": "k"}, [1], "commands[0].writer_seq"),
        ({"Runfold-Writer": "me"}, [1], "Runfold-Writer"),
        ({"Idempotency-Key": "k" * 300}, [None], "Idempotency-Key"),
    ],
)
def test_a_number_needs_its_writer_and_a_writer_its_number(
    run: Run, headers: dict[str, str], numbers: list[int | None], field: str
) -> None:
    items = [run.command(number, type="run.set_tags", tags={"a": "b"}) for number in numbers]
    reply = run.client.post("/api/v1/commands", {"workspace": "default", "commands": items}, headers)
    assert reply.json["facts"]["field"] == field
    assert reply.status in {400, 413}


@pytest.mark.parametrize("number", [0, -1, 2**63, 2**70])
def test_a_number_is_positive_and_fits(run: Run, number: int) -> None:
    reply = run.client.post(
        "/api/v1/commands",
        {"workspace": "default", "commands": [run.command(number, type="run.complete")]},
        {"Runfold-Writer": run.writer},
    )
    told = reply.json["outcomes"][0] if reply.status == 200 else reply.json
    assert told["code"] in {"invalid", "limit_exceeded"}


def test_a_process_that_creates_runs_chooses_their_ids(run: Run) -> None:
    reply = run.client.post(f"{W}/runs", {"experiment": run.experiment}, {"Runfold-Writer": run.writer})
    assert (reply.status, reply.json["facts"]["field"]) == (400, "run_id")
    chosen = {"experiment": run.experiment, "run_id": uuid4().hex, "hold": True}
    assert run.client.post(f"{W}/runs", chosen, {"Runfold-Writer": run.writer}).status == 201


def test_numbers_are_known_to_every_server_of_a_ledger(home: Path, run: Run) -> None:
    """They are in the ledger: a server that starts after another one died answers retries as that one would have."""
    assert run.tag(1, "a").status == 200
    with running(open_embedded(home, background=False)) as second, Client(second.url) as client:
        headers = {"Runfold-Writer": run.writer, "Runfold-Writer-Seq": "1"}
        again = client.request("PATCH", f"{run.path}/tags", {"set": {"a": "v"}}, headers)
        assert (again.status, again.json["repeated"]) == (200, True)
