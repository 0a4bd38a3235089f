"""A stack of containers against a stand-in for the Docker engine: what is asked of it, and what is left alone.

This shows that the steps fit together. That an engine does what is asked of it shows only where one answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runfold_services.stack import containers, settings_from_environment
from runfold_services.stack.containers import ContainerStack
from runfold_services.stack.folders import Folder
from tests.support.stack import say_nothing


class Container:
    def __init__(self, engine: Engine, asked: Mapping[str, Any]) -> None:
        self.id = f"{len(engine.there):064d}"
        self.short_id, self.asked, self.engine = self.id[-12:], asked, engine
        self.status = "running"
        self.signals: list[str] = []

    def start(self) -> None:
        self.status = "running"

    def pause(self) -> None:
        self.status = "paused"

    def unpause(self) -> None:
        self.status = "running"

    def kill(self, signal: str) -> None:
        assert self.status == "running", "the engine refuses to signal others"
        self.signals.append(signal)
        self.status = "exited"

    def remove(self, *, force: bool, v: bool) -> None:
        assert (force, v) == (True, True)
        del self.engine.there[self.id]


class Engine:
    """What `ContainerStack` uses of testcontainers' client and of the Docker library below it."""

    def __init__(self) -> None:
        self.there: dict[str, Container] = {}
        images = {containers.kafka_image(): 1, containers.POSTGRES_IMAGE: 1}
        self.client = SimpleNamespace(images=images, containers=SimpleNamespace(get=self._get))

    def host(self) -> str:
        return "localhost"

    def run(self, image: str, command: list[str] | None, **asked: Any) -> Container:
        made = Container(self, {"image": image, "command": command, **asked})
        self.there[made.id] = made
        return made

    def _get(self, container_id: str) -> Container:
        from docker.errors import NotFound

        if container_id not in self.there:
            raise NotFound("gone")
        return self.there[container_id]

    def answers(self, host: str, port: int, user: str = "") -> bool:
        return any(
            (host, port) in made.asked["ports"].values() and made.status == "running"
            for made in self.there.values()
        )


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(containers, "engine", lambda: made)
    monkeypatch.setattr(containers, "kafka_answers", made.answers)
    monkeypatch.setattr(containers, "postgres_answers", made.answers)
    return made


@pytest.fixture
def stack(tmp_path: Path) -> ContainerStack:
    return ContainerStack(Folder(tmp_path / "stack"), settings_from_environment())


def test_both_are_run_on_loopback_with_the_settings_of_processes(
    engine: Engine, stack: ContainerStack
) -> None:
    assert stack.start(say_nothing) == ("kafka", "postgres")

    asked = {made.asked["image"].partition(":")[0]: made.asked for made in engine.there.values()}
    kafka, postgres = asked["apache/kafka"], asked["postgres"]
    host, port = kafka["ports"]["9092/tcp"]
    assert (host, f"{host}:{port}") == ("127.0.0.1", stack.addresses.kafka)
    assert kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"].startswith(f"CLIENTS://127.0.0.1:{port},")
    assert kafka["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert kafka["environment"]["KAFKA_HEAP_OPTS"] == "-Xmx512m"
    assert postgres["environment"]["POSTGRES_PASSWORD"] in stack.addresses.postgres
    assert "timezone=UTC" in postgres["command"]
    assert stack.status().state == "up"


def test_a_second_start_runs_nothing(engine: Engine, stack: ContainerStack) -> None:
    stack.start(say_nothing)
    there = set(engine.there)

    assert stack.start(say_nothing) == ()
    assert set(engine.there) == there


def test_faults_and_stops_are_the_signals_that_processes_get(engine: Engine, stack: ContainerStack) -> None:
    stack.start(say_nothing)
    kafka, postgres = engine.there.values()

    for part in (stack.kafka, stack.postgres):
        part.pause()
        assert (part.status().running, part.status().answers) == (True, False)
        for end in (part.kill, part.stop, lambda part=part: part.stop(clean=False)):
            end()
            assert not part.status().running
            part.start()
            assert part.status().answers

    assert kafka.signals == ["SIGKILL", "SIGTERM", "SIGKILL"]
    assert postgres.signals == ["SIGKILL", "SIGINT", "SIGQUIT"]
    assert len(engine.there) == 2  # started again, not made again: the data is in them


def test_only_what_was_started_is_stopped_and_removed(engine: Engine, stack: ContainerStack) -> None:
    somebody = engine.run("postgres:18", None, ports={})
    stack.start(say_nothing)

    assert stack.stop() == ("kafka", "postgres")
    assert len(engine.there) == 3
    assert stack.stop(wipe=True) == ()
    assert list(engine.there.values()) == [somebody]
    assert somebody.status == "running"
    assert stack.status().state == "absent"
