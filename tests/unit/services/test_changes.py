"""What changed between two positions, as messages of a live stream."""

from __future__ import annotations

import asyncio
import math
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from msgspec.structs import replace

from runfold_events.contract.commands import CreateRun
from runfold_events.contract.envelope import JSON, MSGPACK, RecordedEvent
from runfold_events.contract.ids import experiment_stream, run_stream, slice_of
from runfold_events.contract.tokens import Token
from runfold_services.api import changes
from runfold_services.api.changes import Changes, Interest, changes_between, metrics_message, run_message
from tests.support.fake_backend import FakeBackend, run_view, summary

RUN = ("w", "r")
WATCHES_RUN = Interest(runs=frozenset({RUN}))
WATCHES_ALL = Interest(workspaces=frozenset({"w"}))


def record(
    backend: FakeBackend, stream: str, kind: str, body: bytes | None = b"{}", media: str = JSON
) -> None:
    backend.recorded.append(
        RecordedEvent(
            id=uuid4(),
            type=kind,
            stream=stream,
            stream_seq=1 + sum(1 for event in backend.recorded if event.stream == stream),
            partition=0,
            pos=len(backend.recorded),
            slice=slice_of(stream),
            epoch=backend.epoch,
            occurred_at=0,
            recorded_at=0,
            actor="a",
            actor_source="anonymous",
            door="http",
            writer_id=UUID(int=1),
            writer_seq=1,
            content_type=media,
            salt=bytes(16),
            digest=bytes(32),
            chain=bytes(32),
            body=body,
        )
    )


def backend_with(*runs: str, **metrics: Any) -> FakeBackend:
    backend = FakeBackend()
    for run_id in runs:
        view = run_view(CreateRun(run_id=run_id, experiment="e"), "w", metrics=metrics)
        backend.fake.run_views["w", run_id] = view
    return backend


def told(backend: FakeBackend, interest: Interest, start: int = 0) -> Changes:
    end = len(backend.recorded)
    found = asyncio.run(
        changes_between(backend, Token(backend.epoch, {0: start}), Token(backend.epoch, {0: end}), interest)
    )
    assert found is not None
    return found


def kinds(found: Changes) -> list[tuple[str | None, str]]:
    return [(message.run_id, message.event) for message in found.messages]


def batch(*names: str) -> bytes:
    return msgspec.json.encode({"series": [{"name": name, "times": [], "columns": {}} for name in names]})


def test_status_and_history_of_a_followed_run() -> None:
    backend = backend_with("r", "other")
    record(backend, run_stream("w", "r"), "run.created")
    record(backend, run_stream("w", "other"), "run.created")
    record(backend, run_stream("w", "r"), "run.completed")
    found = told(backend, WATCHES_RUN)
    assert kinds(found) == [("r", "run"), ("r", "history")]
    assert msgspec.json.decode(found.messages[0].data)["metrics"] == {}
    assert told(backend, WATCHES_RUN, start=3).messages == []


def test_a_workspace_hears_of_all_runs_and_experiments_but_not_their_audit_trails() -> None:
    backend = backend_with("r", "s")
    record(backend, experiment_stream("w", "e"), "experiment.created")
    record(backend, run_stream("w", "r"), "run.created")
    record(backend, run_stream("w", "s"), "run.tags_set")
    record(backend, run_stream("elsewhere", "t"), "run.created")
    assert kinds(told(backend, WATCHES_ALL)) == [(None, "experiment"), ("r", "run"), ("s", "run")]


@pytest.mark.parametrize("media", [JSON, MSGPACK])
def test_metric_batches_name_the_metrics_that_changed(media: str) -> None:
    backend = backend_with(
        "r", loss=summary(math.nan), acc=summary(0.5), **{"row.a": summary(1), "row.b": summary(2)}
    )
    body = batch("loss", "row")
    if media == MSGPACK:
        body = msgspec.msgpack.encode(msgspec.json.decode(body))
    record(backend, run_stream("w", "r"), "run.metrics_logged", body, media)
    found = told(backend, WATCHES_RUN)
    assert kinds(found) == [("r", "metrics")]
    data = msgspec.json.decode(found.messages[0].data)
    assert sorted(data["metrics"]) == ["loss", "row.a", "row.b"]
    assert data["metrics"]["loss"]["latest"] == "NaN"
    assert "complete" not in data


def test_erased_batches_and_runs_that_never_came_to_be_say_nothing() -> None:
    backend = backend_with()
    record(backend, run_stream("w", "r"), "run.metrics_logged", None)
    record(backend, run_stream("w", "ghost"), "run.command_rejected")
    assert told(backend, WATCHES_ALL).messages == []


def test_system_events_say_nothing() -> None:
    backend = backend_with()
    record(backend, "_system/0", "store.restored")
    assert told(backend, WATCHES_ALL).messages == []


def test_too_much_at_once_is_not_told_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "RUNS_MAX", 2)
    backend = backend_with("r", "s", "t")
    for run_id in "rst":
        record(backend, run_stream("w", run_id), "run.created")
    found = told(backend, Interest(frozenset({RUN}), frozenset({"w"})))
    assert found.crowded == {"w"}
    assert kinds(found) == [("r", "run"), ("r", "history")], "a single run is still told"

    monkeypatch.setattr(changes, "EVENTS_MAX", 2)
    before, after = Token(backend.epoch, {0: 0}), Token(backend.epoch, {0: 3})
    assert asyncio.run(changes_between(backend, before, after, WATCHES_RUN)) is None
    assert asyncio.run(changes_between(backend, replace(before, epoch=uuid4()), before, WATCHES_RUN)) is None


def test_a_metrics_message_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "METRIC_NAMES_MAX", 3)
    many = {f"m{index}": summary(index) for index in range(5)}
    message = metrics_message(run_view(CreateRun(run_id="r", experiment="e"), "w", metrics=many))
    data = msgspec.json.decode(message.data)
    assert (len(data["metrics"]), data["complete"]) == (3, False)


def test_messages_are_single_lines() -> None:
    run = run_view(CreateRun(run_id="r", experiment="e", tags={"a": "line\nbreak\r\n"}), "w")
    assert b"\n" not in run_message(run).data
    assert b"\r" not in run_message(run).data
