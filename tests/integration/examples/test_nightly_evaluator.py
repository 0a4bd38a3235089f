"""A team's service sends commands by Kafka with another client than ours, and reads what became of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest

from runfold_events.contract.cloudevents import Record
from runfold_events.contract.ids import experiment_id
from tests.integration.examples.world import World, until
from tests.support.http_server import Client, Reply

pytestmark = pytest.mark.timeout(300)  # whoever comes first pays for the start of four processes

OURS: Final = UUID("6f6a7b0e-3c55-4c47-9d0e-5f2a30b0c9a1")
RUN: Final = "/api/v1/workspaces/default/runs/{}"
ROWS: Final = "label,score\n" + "".join(f"{n % 2},{0.9 if n % 2 else 0.2 + n / 400}\n" for n in range(120))


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def evaluate(world: World, predictions: Path, *more: str, model: str) -> tuple[int, list[str]]:
    with world.evaluate(predictions, *more, model=model) as program:
        code = program.end()
        return code, [line for line in program.lines if not line.startswith("%")]  # what librdkafka logs


def shown(client: Client, run_id: str) -> Any:
    """The run as the views show it once it is completed."""

    def ended() -> Any:
        reply = client.get(RUN.format(run_id))
        return reply if reply.status == 200 and reply.json["status"] == "Completed" else None

    return until(ended, f"{run_id} is completed").json


def stream_of(client: Client, run_id: str) -> list[Any]:
    reply: Reply = client.get(RUN.format(run_id) + "/history")
    return list(reply.json)


def test_an_evaluation_is_recorded_and_repeating_it_has_no_effect(
    world: World, client: Client, predictions: Path
) -> None:
    code, lines = evaluate(world, predictions, model="churn")
    assert (code, lines[-1].split(":")[0]) == (0, "churn-2026-01-31"), lines
    assert lines[:3] == [
        "accepted: experiment.created",
        "accepted: run.created, run.started",
        "accepted: run.properties_added",
    ]
    run = shown(client, "churn-2026-01-31")
    assert run["properties"] == {"predictions_sha256": hashlib.sha256(ROWS.encode()).hexdigest()}
    assert run["params"] == {"rows": 120}
    assert {name: metric["count"] for name, metric in run["metrics"].items()} == {
        "accuracy": 3,
        "log_loss": 3,
    }
    told = stream_of(client, "churn-2026-01-31")

    code, lines = evaluate(world, predictions, model="churn")
    assert code == 0
    assert lines[1] == "accepted before: run.created, run.started"
    assert all(line.startswith("accepted before: ") for line in lines[:-1])
    assert stream_of(client, "churn-2026-01-31") == told
    assert shown(client, "churn-2026-01-31")["metrics"] == run["metrics"]


def test_other_data_for_the_same_night_is_refused_and_changes_nothing(
    world: World, client: Client, predictions: Path
) -> None:
    assert evaluate(world, predictions, model="risk")[0] == 0
    before = shown(client, "risk-2026-01-31")
    predictions.write_text(ROWS + "1,0.1\n", encoding="utf-8")
    code, lines = evaluate(world, predictions, model="risk")
    assert code == 1
    assert "(property_immutable)" in lines[-1]
    assert before["properties"]["predictions_sha256"] in lines[-1]

    def is_in_history() -> bool:
        return bool(stream_of(client, "risk-2026-01-31")[-1]["type"] == "run.command_rejected")

    until(is_in_history, "the rejection is part of the audit trail")
    after = shown(client, "risk-2026-01-31")
    assert (after["properties"], after["metrics"]) == (before["properties"], before["metrics"])


def test_what_got_no_reply_can_be_asked_for_and_is_completed_by_starting_again(
    world: World, client: Client, predictions: Path
) -> None:
    ours = ("--workspace", "impatient")
    code, lines = evaluate(world, predictions, *ours, "--answer-s", "0", "--tries", "1", model="slow")
    assert code == 2
    assert "GET /api/v1/outcomes" in lines[-1]
    digest = hashlib.sha256(ROWS.encode()).hexdigest()
    writer = uuid5(OURS, f"impatient/slow-2026-01-31/{digest}")
    stream = f"impatient/experiment/{experiment_id('impatient', 'nightly-evaluation')}"

    def asked() -> Any:
        reply = client.get(f"/api/v1/outcomes?stream={stream}&writer={writer}&number=1")
        return reply if reply.status == 200 else None

    assert [event["type"] for event in until(asked, "the outcome").json["events"]] == ["experiment.created"]
    code, lines = evaluate(world, predictions, *ours, model="slow")
    assert code == 0
    assert lines[:2] == ["accepted before: experiment.created", "accepted: run.created, run.started"]


def command(run_id: str, reply_to: str, writer: UUID, number: int = 1) -> Record:
    """A record as a program in another language makes it: from the page, by hand."""
    headers = {
        "ce_specversion": "1.0",
        "ce_type": "dev.runfold.run.complete.v1",
        "ce_source": "/workspaces/default",
        "ce_subject": run_id,
        "ce_id": str(uuid4()),
        "ce_time": "2026-01-31T00:00:00Z",
        "ce_writerid": str(writer),
        "ce_writerseq": str(number),
        "reply_to": reply_to,
    }
    value = msgspec.json.encode({"type": "run.complete", "run_id": run_id})
    return Record(f"default/run/{run_id}".encode(), value, tuple((n, v.encode()) for n, v in headers.items()))


def test_replies_go_nowhere_but_to_reply_topics(world: World, client: Client, predictions: Path) -> None:
    """A command must not make runfold write into a topic of somebody else's choice."""
    assert evaluate(world, predictions, model="poison")[0] == 0
    foreign = f"{world.prefix}.payments"
    world.make_topic(foreign)
    (partition,) = {
        message.partition()
        for message in world.records(world.commands_topic)
        if message.key() == b"default/run/poison-2026-01-31"
    }
    end = client.get(f"/api/v1/events?partition={partition}&from=0&limit=1").json["end"]
    writer = uuid4()
    for topic in (foreign, "runfold.replies.", f"runfold.replies.{world.prefix}/../x"):
        world.put(world.commands_topic, partition, command("poison-2026-01-31", topic, writer))
    # The next record is answered, so those before it have been handled.
    world.put(world.commands_topic, partition, command("poison-2026-01-31", world.reply_topic, writer))

    def kept() -> Any:
        page = client.get(f"/api/v1/events?partition={partition}&from={end}").json["events"]
        found = [event for event in page if event["type"] == "command.unreadable"]
        return found if len(found) == 3 else None

    for event in until(kept, "what cannot be handled is kept"):
        assert (event["body"]["code"], event["body"]["facts"]["field"]) == ("invalid", "reply_to")
    mine = str(writer).encode()

    def answered() -> list[Any]:
        return [m for m in world.records(world.reply_topic) if dict(m.headers())["ce_writerid"] == mine]

    (reply,) = until(answered, "the good command's reply")
    assert msgspec.json.decode(reply.value())["outcome"] == "accepted"
    assert world.records(foreign) == []


def test_a_reply_topic_that_is_not_there_is_told_at_once(world: World, predictions: Path) -> None:
    code, lines = evaluate(world, predictions, "--reply-topic", "runfold.replies.nobody-made", model="x")
    assert code == 1
    assert "UNKNOWN_TOPIC_OR_PART" in "\n".join(lines)
