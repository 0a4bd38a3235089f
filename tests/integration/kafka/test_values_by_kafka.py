"""The SDK with values by Kafka: what a run looks like, and what it is like while parts of the way are gone."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from runfold import Experiment, Run, Workspace, _process
from runfold.errors import Unavailable
from runfold_events.buses.kafka import Cluster, KafkaTopicAdmin
from runfold_events.contract.commands import EraseRun
from runfold_events.contract.errors import Invalid
from tests.support.spool_story import Story, tell
from tests.support.spool_trackers import KafkaTracker
from tests.support.stack import StackForTest, run_apart

FLUSH_S: Final = 90.0
EXPERIMENT: Final = "fleet"


@pytest.fixture(scope="module")
def tracker(own_stack: StackForTest, tmp_path_factory: pytest.TempPathFactory) -> Generator[KafkaTracker]:
    """All roles at work, over a stack whose broker may be killed."""
    made = KafkaTracker(own_stack, tmp_path_factory.mktemp("roles"))
    yield made
    made.close()


@pytest.fixture
def by_kafka(tracker: KafkaTracker, monkeypatch: pytest.MonkeyPatch) -> Generator[Workspace]:
    """A workspace whose values go by Kafka."""
    tracker.start()
    for name, value in tracker.environment.items():
        monkeypatch.setenv(name, value)
    yield Workspace(workspace_name="default", url=tracker.url)
    _process.close_all()


def begin(workspace: Workspace, run_id: str) -> Run:
    return Experiment(workspace, EXPERIMENT).start_logging(run_id=run_id)


def log_everything(run: Run) -> None:
    """Values of all kinds, with calls between them."""
    for step in range(500):
        run.log("loss", 1 / (1 + step), step=step)
    run.tag("half", "way")
    run.log("nan", math.nan)
    run.log_list("list", [1, 2, 3])
    run.log_row("row", x=1.5, y="text")
    run.log_table("table", {"a": [1, 2], "b": [True, False]})
    run.log("loss", -0.0, step=500)
    run.complete()
    run.log("late", 1)


def seen(run: Run) -> dict[str, Any]:
    """What anybody can see of a run, without times and ids."""
    run.flush(FLUSH_S)
    run.get_metrics()  # the views have all of it
    connection = run.experiment.workspace._connection
    transport, name, token = connection.transport(), run.experiment.workspace.name, connection.token
    history = transport.history(name, run.id, 1, 1_000, token)
    view = transport.run(name, run.id, token)
    series = transport.metrics(name, run.id, (), False, None, token)
    return {
        "metrics": {one.name: (one.kind, one.steps, repr(one.columns)) for one in series},
        "history": [(entry.type, entry.words, entry.late) for entry in history],
        "status": view.status,
        "tags": view.tags,
        "missing": [
            (mark.gaps, mark.lost) for mark in transport.writers(name, run.id) if mark.gaps or mark.lost
        ],
    }


def writers(run: Run) -> int:
    transport = run.experiment.workspace._connection.transport()
    return len(transport.writers(run.experiment.workspace.name, run.id))


def test_a_run_by_kafka_is_the_run_that_it_is_by_http(
    by_kafka: Workspace, tracker: KafkaTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = begin(by_kafka, "by-kafka")
    log_everything(one)
    seen_by_kafka = seen(one)
    monkeypatch.setenv("RUNFOLD_VALUES_BY", "http")
    other = begin(Workspace(workspace_name="default", url=tracker.url), "by-http")
    log_everything(other)
    seen_by_http = seen(other)

    assert (writers(one), writers(other)) == (2, 1)
    assert seen_by_kafka["metrics"]["loss"][1] == [*range(501)]
    for what, found in seen_by_kafka.items():
        assert str(found).replace("run 2", "run 1") == str(seen_by_http[what]).replace("run 2", "run 1"), what


def test_flush_and_end_wait_for_the_ledger_and_not_for_the_broker(
    by_kafka: Workspace, tracker: KafkaTracker
) -> None:
    run = begin(by_kafka, "undecided")
    run.log("loss", 0.0)
    run.flush(FLUSH_S)
    tracker.kill_roles("decider")
    for step in range(10):
        run.log("loss", float(step))
    with pytest.raises(Unavailable):
        run.flush(1.0)
    begun = time.monotonic()
    run.complete()  # spooled: it comes behind the values
    assert time.monotonic() - begun < 20
    log = by_kafka._connection.sender
    assert log.undelivered() == (10, 1)

    tracker.start()
    run.flush(FLUSH_S)
    assert run.get_metrics()["loss"] == [0.0, *map(float, range(10))]
    assert all(not late for _, _, late in seen(run)["history"])
    assert run.get_status() == "Completed"


def test_while_the_broker_is_gone_calls_return_and_afterwards_everything_is_there(
    by_kafka: Workspace, tracker: KafkaTracker, own_stack: StackForTest, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin(by_kafka, "without-broker")
    run.log("loss", -1.0)
    run.flush(FLUSH_S)
    own_stack.servers.kafka.kill()
    slowest_s = 0.0
    for step in range(1_000):
        begun = time.perf_counter()
        run.log("loss", float(step))
        slowest_s = max(slowest_s, time.perf_counter() - begun)
    with pytest.raises(Unavailable):
        run.flush(7.0)
    assert (
        run.get_status() == "Running"
    )  # other questions and calls go by HTTP; what asks for values would wait
    assert slowest_s < 1.0
    assert "RUNFOLD_KAFKA" in caplog.text

    own_stack.servers.kafka.start()
    run.flush(FLUSH_S)
    run.complete()
    assert run.get_metrics()["loss"] == [-1.0, *map(float, range(1_000))]


def test_while_the_api_is_gone_kafka_keeps_what_was_sent_and_nothing_comes_twice(
    by_kafka: Workspace, tracker: KafkaTracker
) -> None:
    run = begin(by_kafka, "without-api")
    run.log("loss", -1.0)
    run.flush(FLUSH_S)
    tracker.kill_roles("api")
    run.log("loss", 0.0)
    with pytest.raises(Unavailable):
        run.flush(1.5)
    run.log("loss", 1.0)

    tracker.start()
    run.flush(FLUSH_S)
    run.complete()
    assert run.get_metrics()["loss"] == [-1.0, 0.0, 1.0]


def test_what_the_ledger_refuses_is_told_with_its_reason(by_kafka: Workspace) -> None:
    run = begin(by_kafka, "erased")
    run.complete()
    by_kafka._connection.call(run._stream, EraseRun(run_id="erased", reason="a test"))
    run.log("loss", 1.0)
    run.flush(FLUSH_S)
    (rejection,) = run.rejections()
    assert (rejection.command, rejection.values) == ("run.log_metrics", 1)
    assert rejection.code == "conflict"


def test_a_wrong_address_says_what_to_do(
    by_kafka: Workspace,
    tracker: KafkaTracker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _process.close_all()
    monkeypatch.setenv("RUNFOLD_KAFKA", "127.0.0.1:9")
    run = begin(Workspace(workspace_name="default", url=tracker.url), "wrong-address")
    run.log("loss", 1.0)
    with pytest.raises(Unavailable):
        run.flush(3.0)
    assert "nothing can be sent to Kafka at 127.0.0.1:9 (RUNFOLD_KAFKA)" in caplog.text


def test_a_wrong_prefix_makes_no_topic_and_says_what_to_do(
    by_kafka: Workspace,
    tracker: KafkaTracker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _process.close_all()
    monkeypatch.setenv("RUNFOLD_KAFKA_PREFIX", "nobody")
    run = begin(Workspace(workspace_name="default", url=tracker.url), "wrong-prefix")
    run.log("loss", 1.0)
    with pytest.raises(Unavailable):
        run.flush(5.0)
    assert "there is no topic nobody.commands: is RUNFOLD_KAFKA_PREFIX that of the deciders" in caplog.text
    topics = run_apart(lambda: all_topics(tracker.environment["RUNFOLD_KAFKA"]))
    assert "nobody.commands" not in topics


async def all_topics(kafka: str) -> list[str]:
    admin = KafkaTopicAdmin(Cluster(bootstrap_servers=kafka))
    try:
        return list(await admin.topics())
    finally:
        await admin.stop()


@pytest.mark.timeout(300)
def test_whoever_is_killed_whenever_values_are_stored_once_and_in_order(
    tracker: KafkaTracker, tmp_path: Path
) -> None:
    """Workers, API and decider, and once the broker; and the wire loses words of the broker and of the ledger."""
    tracker.start()
    broker = threading.Timer(2.0, tracker.restart_broker)
    broker.start()
    story = Story(seconds=10.0, workers=3, kill_every_s=(1.5, 3.0), server_every_s=(3.0, 5.0), seed=7)
    told = tell(tmp_path, story, tracker)
    broker.join()

    assert told.problems == []
    assert (told.missing, told.doubled, told.disordered) == (0, 0, 0)
    assert told.incomplete_writers == 0
    assert told.logged > 300
    assert told.kills > 3
    assert told.server_kills > 0
    assert told.proved_writers >= 4


@pytest.mark.timeout(300)
def test_without_writer_numbers_the_checker_reports_doubles(tracker: KafkaTracker, tmp_path: Path) -> None:
    """The control."""
    tracker.start()
    story = Story(seconds=5.0, workers=2, seed=7, wire="unnumbered", kill_every_s=(9.0, 9.0), runs="bare")
    told = tell(tmp_path, story, tracker)

    assert told.doubled > 0


def test_without_addresses_the_first_call_says_so(
    by_kafka: Workspace, tracker: KafkaTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _process.close_all()
    monkeypatch.delenv("RUNFOLD_KAFKA")
    with pytest.raises(Invalid, match="RUNFOLD_KAFKA=host:port"):
        begin(Workspace(workspace_name="default", url=tracker.url), "no-address")
