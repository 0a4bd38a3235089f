"""What somebody with nothing but an HTTP client can do: everything that happens to a run, and ask about it."""

from __future__ import annotations

from array import array
from hashlib import sha256
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from runfold_events.contract.columns import pack_floats, pack_integers
from runfold_events.contract.metrics import Series as MetricSeries
from runfold_events.contract.metrics import encode_batch
from runfold_projections.model import Page, RunView, SeriesData
from tests.support.http_server import Client, Reply

W = "/api/v1/workspaces/default"


@pytest.fixture
def experiment(client: Client) -> str:
    name = f"e{uuid4().hex}"
    assert client.post(f"{W}/experiments", {"experiment": name}).status == 201
    return name


@pytest.fixture
def run(client: Client, experiment: str) -> str:
    """The path of a run that was started."""
    reply = client.post(f"{W}/experiments/{experiment}/runs", {})
    assert reply.status == 201
    return f"{W}/runs/{reply.json['run_id']}"


def metric(name: str, values: list[Any], steps: list[int] | None = None) -> dict[str, Any]:
    series: dict[str, Any] = {
        "name": name,
        "times": {"dtype": "i64", "values": [1_700_000_000_000 + i for i in range(len(values))]},
        "columns": {name: {"dtype": "f64", "values": values}},
    }
    if steps is not None:
        series["steps"] = {"dtype": "i64", "values": steps}
    return {"series": [series]}


def event_types(reply: Reply) -> list[str]:
    return [event["type"] for event in reply.json["events"]]


def test_an_experiment_is_created_once_and_changed(client: Client, experiment: str) -> None:
    path = f"{W}/experiments/{experiment}"
    again = client.post(f"{W}/experiments", {"experiment": experiment})
    assert (again.status, again.json.get("events", [])) == (200, [])
    changed = client.request("PATCH", path, {"set_tags": {"a": "1"}, "description": "d", "archived": True})
    assert (changed.status, event_types(changed)) == (200, ["experiment.updated"])
    shown = client.get(path).json
    assert (shown["tags"], shown["description"], shown["archived"]) == ({"a": "1"}, "d", True)
    assert experiment not in [e["experiment"] for e in client.get(f"{W}/experiments").json]
    everything = client.get(f"{W}/experiments?include_archived=true").json
    assert experiment in [e["experiment"] for e in everything]
    assert "default" in client.get("/api/v1/workspaces").json


def test_a_run_is_created_where_it_says_and_shown(client: Client, experiment: str) -> None:
    reply = client.post(
        f"{W}/runs",
        {"experiment": experiment, "run_id": f"r-{experiment}", "display_name": "x", "tags": {"k": None}},
    )
    assert reply.status == 201
    assert event_types(reply) == ["run.created", "run.started"]
    assert reply.headers["location"] == f"{W}/runs/r-{experiment}"
    assert reply.headers["runfold-position"] == reply.json["token"]
    shown = client.get(reply.headers["location"]).json
    assert (shown["status"], shown["display_name"], shown["tags"]) == ("Running", "x", {"k": None})
    assert (shown["created_by"], shown["experiment"]) == ("anonymous", experiment)


def test_the_same_run_again_is_no_change_and_another_under_its_id_a_conflict(
    client: Client, experiment: str
) -> None:
    body = {"experiment": experiment, "run_id": f"r-{experiment}"}
    assert client.post(f"{W}/runs", body).status == 201
    again = client.post(f"{W}/runs", body)
    assert (again.status, again.json["repeated"]) == (201, True), "the first answer, again"
    other = client.post(f"{W}/runs", body | {"display_name": "other"})
    assert (other.status, other.code) == (409, "conflict")
    assert list(other.json["facts"]["differing"]) == ["display_name"]
    assert client.post(f"{W}/runs", body | {"resume": True}).status == 200


def test_a_run_goes_through_its_life(client: Client, experiment: str) -> None:
    created = client.post(f"{W}/runs", {"experiment": experiment, "start": False}).json
    path = f"{W}/runs/{created['run_id']}"
    assert client.get(path).json["status"] == "NotStarted"
    assert event_types(client.post(f"{path}/start")) == ["run.started"]
    assert event_types(client.post(f"{path}/complete")) == ["run.completed"]
    repeated = client.post(f"{path}/complete")
    assert repeated.status == 200
    assert "events" not in repeated.json
    late = client.post(f"{path}/fail", {"error": {"message": "too late"}})
    assert (late.status, late.code) == (409, "run_ended")
    assert late.json["event"]["type"] == "run.command_rejected"
    assert client.get(path).json["status"] == "Completed"
    words = [entry["type"] for entry in client.get(f"{path}/history").json]
    assert words == ["run.created", "run.started", "run.completed", "run.command_rejected"]


def test_a_failure_keeps_its_error_and_a_cancel_its_reason(client: Client, experiment: str) -> None:
    failed, canceled = (
        f"{W}/runs/{client.post(f'{W}/runs', {'experiment': experiment}).json['run_id']}" for _ in range(2)
    )
    assert client.post(f"{failed}/fail", {"error": {"message": "boom", "code": "E1"}}).status == 200
    assert client.get(failed).json["error"]["message"] == "boom"
    assert event_types(client.post(f"{canceled}/cancel", {"reason": "no need"})) == ["run.canceled"]
    shown = client.get(canceled).json
    assert (shown["status"], shown["cancel_reason"]) == ("Canceled", "no need")


def test_parameters_and_properties_are_write_once(client: Client, run: str) -> None:
    assert (
        client.post(f"{run}/params", {"params": {"lr": 0.1, "deep": True, "n": 3, "none": None}}).status
        == 200
    )
    assert client.get(f"{run}/params").json == {"lr": 0.1, "deep": True, "n": 3, "none": None}
    assert "events" not in client.post(f"{run}/params", {"params": {"lr": 0.1}}).json
    other = client.post(f"{run}/params", {"params": {"lr": 0.2}})
    assert (other.status, other.code) == (409, "parameter_immutable")

    assert client.post(f"{run}/properties", {"properties": {"git": "abc"}}).status == 200
    refused = client.post(f"{run}/properties", {"properties": {"git": "def"}})
    assert (refused.status, refused.code) == (409, "property_immutable")
    facts = refused.json["facts"]
    assert (facts["key"], facts["current"], facts["attempted"]) == ("git", "abc", "def")
    assert client.get(f"{run}/properties").json == {"git": "abc"}
    rejection = client.get(f"{run}/history").json[-1]
    assert rejection["type"] == "run.command_rejected"
    assert rejection["actor"] == "anonymous"
    assert "abc" in rejection["words"]
    assert "def" in rejection["words"]


def test_tags_are_set_and_removed(client: Client, run: str) -> None:
    changed = client.request("PATCH", f"{run}/tags", {"set": {"a": "1", "b": None}, "remove": ["a"]})
    assert event_types(changed) == ["run.tags_set", "run.tags_removed"]
    assert client.get(f"{run}/tags").json == {"b": None}
    nothing = client.request("PATCH", f"{run}/tags", {})
    assert (nothing.status, nothing.code) == (400, "invalid")


def test_a_run_is_renamed_archived_and_restored(client: Client, run: str) -> None:
    changed = client.request("PATCH", run, {"display_name": "new", "archived": True})
    assert event_types(changed) == ["run.updated", "run.archived"]
    shown = client.get(run).json
    assert (shown["display_name"], shown["archived"]) == ("new", True)
    assert event_types(client.request("PATCH", run, {"archived": False})) == ["run.restored"]
    assert client.request("PATCH", run, {}).code == "invalid"


def test_an_artifact_is_recorded_once_per_path(client: Client, run: str) -> None:
    body = {"path": "model/weights.bin", "sha256": "ab" * 32, "size_bytes": 7}
    assert client.post(f"{run}/artifacts", body).status == 201
    assert client.post(f"{run}/artifacts", body).status == 200
    assert client.post(f"{run}/artifacts", body | {"size_bytes": 8}).code == "conflict"


@pytest.mark.parametrize("media", ["application/json", "application/msgpack"])
def test_a_metric_batch_is_stored_byte_for_byte(client: Client, run: str, media: str) -> None:
    value = metric("loss", [0.5, 0.25], steps=[0, 1])
    body = msgspec.json.format(msgspec.json.encode(value), indent=3)
    if media == "application/msgpack":
        body = msgspec.msgpack.encode(value)
    logged = client.post(f"{run}/metrics", body, {"Content-Type": media})
    assert event_types(logged) == ["run.metrics_logged"]
    pos = logged.json["events"][0]["pos"]
    page = client.get(f"/api/v1/events?from={pos}&limit=1", {"Accept": "application/msgpack"})
    event = msgspec.msgpack.decode(page.body)["events"][0]
    assert (event["content_type"], event["body"]) == (media, body)
    assert client.get(f"{run}/metrics").json[0]["columns"] == {"loss": [0.5, 0.25]}


def test_metrics_come_back_exactly(client: Client, run: str) -> None:
    values = [0.1, float("nan"), float("inf"), float("-inf"), -0.0, 5e-324]
    series = MetricSeries(
        name="loss",
        times=pack_integers(array("q", range(6))),
        columns={"loss": pack_floats(array("d", values))},
    )
    body = encode_batch([series])
    assert client.post(f"{run}/metrics", body, {"Content-Type": "application/msgpack"}).status == 200
    exact = client.get(f"{run}/metrics?name=loss", {"Accept": "application/msgpack"})
    found = msgspec.msgpack.decode(exact.body, type=list[SeriesData])[0].columns["loss"]
    assert array("d", found).tobytes() == array("d", values).tobytes()
    assert client.get(f"{run}/metrics").json[0]["columns"]["loss"] == [
        0.1,
        "NaN",
        "Infinity",
        "-Infinity",
        -0.0,
        5e-324,
    ]
    shown = client.get(run).json["metrics"]["loss"]
    assert (shown["min"], shown["max"], shown["nan_count"]) == ("-Infinity", "Infinity", 1)
    assert [s["name"] for s in client.get(f"{run}/series").json] == ["loss"]
    assert client.get(f"{run}/metrics?points_max=2").json[0]["count"] == 2
    assert client.get(f"{run}/metrics?name=other").json == []


def test_runs_are_listed_filtered_paged_and_counted(client: Client, experiment: str) -> None:
    path = f"{W}/experiments/{experiment}/runs"
    for index in range(5):
        run_id = client.post(path, {"tags": {"n": str(index)}, "properties": {"p": "1"}}).json["run_id"]
        client.post(f"{W}/runs/{run_id}/metrics", metric("loss", [index / 10]))
    first = client.get(f"{path}?limit=2&order_by=-metrics.loss").json
    assert [row["tags"]["n"] for row in first["rows"]] == ["4", "3"]
    second = client.get(f"{path}?limit=2&order_by=-metrics.loss&page={first['next']}").json
    assert [row["tags"]["n"] for row in second["rows"]] == ["2", "1"]
    assert [row["tags"]["n"] for row in client.get(f"{path}?tag=n=3&property=p").json["rows"]] == ["3"]
    filtered = client.get(f"{W}/runs?experiment={experiment}&filter=metrics.loss+%3E+0.25+and+has(tags.n)")
    assert len(filtered.json["rows"]) == 2
    query = {"experiment": experiment, "filter": "metrics.loss < 0.15", "order_by": "metrics.loss"}
    assert [r["tags"]["n"] for r in client.post(f"{W}/runs:query", query).json["rows"]] == ["0", "1"]
    assert client.post(f"{W}/runs:count", query).json == {"count": 2}
    assert client.get(f"{path}?experiment=other").code == "invalid"


def test_pages_in_msgpack_decode_to_the_model(client: Client, run: str) -> None:
    headers = {"Accept": "application/msgpack", "Content-Type": "application/msgpack"}
    body = msgspec.msgpack.encode({"limit": 3, "include_children": True})
    reply = client.post(f"{W}/runs:query", body, headers)
    assert reply.headers["content-type"] == "application/msgpack"
    page = msgspec.msgpack.decode(reply.body, type=Page)
    assert isinstance(page.rows[0], RunView)


def test_children_are_created_at_once_counted_and_listed(client: Client, run: str) -> None:
    made = client.post(f"{run}/children", {"count": 3})
    assert (made.status, made.json["created"], len(set(made.json["run_ids"]))) == (201, 3, 3)
    by_tag = client.post(f"{run}/children", {"tag_key": "fold", "tag_values": ["a", "b", None]}).json
    named = client.post(
        f"{run}/children", {"children": [{"display_name": "x", "run_id": f"c-{uuid4().hex}"}], "start": False}
    ).json
    assert client.get(f"{W}/runs/{by_tag['run_ids'][1]}").json["tags"] == {"fold": "b"}
    child = client.get(f"{W}/runs/{named['run_ids'][0]}").json
    assert (child["display_name"], child["status"]) == ("x", "NotStarted")
    grandchild = client.post(f"{W}/runs/{made.json['run_ids'][0]}/children", {"count": 1}).json["run_ids"][0]
    assert len(client.get(f"{run}/children").json["rows"]) == 7
    below = client.get(f"{run}/children?recursive=true&limit=100").json["rows"]
    assert grandchild in [row["run_id"] for row in below]
    counts = client.get(f"{run}/children/counts").json
    assert counts["direct"] == {"Running": 6, "NotStarted": 1}
    assert counts["descendants"] == {"Running": 7, "NotStarted": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "count"),
        ({"count": 2, "children": []}, "count"),
        ({"tag_key": "a"}, "tag_values"),
        ({"tag_values": ["a"]}, "tag_key"),
        ({"count": 0}, "count"),
        ({"count": 10_001}, "children"),
        ({"count": 1, "hold": True}, "hold"),
    ],
)
def test_children_that_cannot_be_meant_are_refused(
    client: Client, run: str, body: dict[str, Any], field: str
) -> None:
    reply = client.post(f"{run}/children", body)
    assert reply.code in {"invalid", "limit_exceeded"}
    assert reply.json["facts"]["field"] == field


def test_children_of_an_unknown_run_are_refused(client: Client) -> None:
    reply = client.post(f"{W}/runs/nobody/children", {"count": 1})
    assert (reply.status, reply.code) == (404, "not_found")


def test_a_run_is_erased_and_its_stub_stays(client: Client, run: str) -> None:
    client.post(f"{run}/params", {"params": {"secret": "xyzzy"}})
    erased = client.request("DELETE", f"{run}?reason=asked")
    assert event_types(erased) == ["run.erased"]
    shown = client.get(run).json
    assert (shown["erased"], shown["params"]) == (True, {})
    refused = client.request("PATCH", f"{run}/tags", {"set": {"a": "b"}})
    assert (refused.status, refused.code) == (409, "conflict")


def test_writers_are_listed(client: Client, run: str) -> None:
    writer = str(uuid4())
    for number in (1, 2):
        headers = {"Runfold-Writer": writer, "Runfold-Writer-Seq": str(number)}
        assert client.request("PATCH", f"{run}/tags", {"set": {"n": str(number)}}, headers).status == 200
    marks = {mark["writer_id"]: mark for mark in client.get(f"{run}/writers").json}
    assert marks[writer]["highest"] == 2
    assert client.get(f"{W}/runs/nobody/writers").code == "not_found"


def test_recorded_events_are_read_page_by_page(client: Client, run: str) -> None:
    seen: list[Any] = []
    position = 0
    while True:
        page = client.get(f"/api/v1/events?partition=0&from={position}&limit=7").json
        seen.extend(page["events"])
        position = page["next"]
        if position >= page["end"]:
            break
    assert [event["pos"] for event in seen] == list(range(len(seen)))
    created = next(
        e for e in seen if e["type"] == "run.created" and e["stream"].endswith(run.rpartition("/")[2])
    )
    assert created["body"]["type"] == "run.created"
    assert client.get("/api/v1/events?partition=3").code == "invalid"


def test_the_events_of_a_run_are_read_with_what_proves_them(client: Client, run: str) -> None:
    run_id = run.rpartition("/")[2]
    assert client.post(f"{run}/metrics", metric("loss", [0.5])).status == 200
    assert client.post(f"{run}/properties", {"properties": {"author": "me"}}).status == 200
    assert client.post(f"{run}/properties", {"properties": {"author": "you"}}).code == "property_immutable"
    seen: list[Any] = []
    following: int | None = 1
    while following is not None:
        page = msgspec.msgpack.decode(
            client.get(f"{run}/events?from_seq={following}&limit=2", {"Accept": "application/msgpack"}).body
        )
        seen.extend(page["events"])
        following = page["next"]
    assert [event["stream_seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert [event["type"] for event in seen] == [
        "run.created",
        "run.started",
        "run.metrics_logged",
        "run.properties_added",
        "run.command_rejected",
    ]
    for event in seen:
        assert event["stream"] == f"default/run/{run_id}"
        assert sha256(event["salt"] + event["body"]).digest() == event["digest"]
        (same,) = client.get(f"/api/v1/events?from={event['pos']}&limit=1").json["events"]
        assert same == client.get(f"{run}/events?from_seq={event['stream_seq']}&limit=1").json["events"][0]
    assert client.get(f"{run}/events?from_seq=99").json == {"next": None, "events": []}
    assert client.get(f"{W}/runs/nobody/events").code == "not_found"


def test_projections_say_where_they_stand(client: Client, run: str) -> None:
    states = client.get("/api/v1/system/projections").json
    assert {state["projection"] for state in states} >= {
        "runs",
        "children",
        "metrics",
        "experiments",
        "history",
    }
    assert client.get("/health/ready").json == {"status": "ok"}
