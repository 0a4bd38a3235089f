"""What the environment says to a server, and how it logs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Generator
from pathlib import Path

import pytest
import structlog

from runfold_events.contract.errors import Invalid
from runfold_services.settings import ServerSettings, settings_from_environment
from runfold_services.telemetry import configure_logging


def test_an_empty_environment_gives_the_defaults() -> None:
    assert settings_from_environment({}) == ServerSettings()
    assert settings_from_environment({"RUNFOLD_TOKEN": ""}).token is None


def test_the_environment_is_read() -> None:
    env = {
        "RUNFOLD_TOKEN": "t",
        "RUNFOLD_TOKENS_FILE": "/tokens",
        "RUNFOLD_LOG": "DEBUG",
        "RUNFOLD_LOG_FORMAT": "json",
    }
    found = settings_from_environment(env, host="::1", port=0)
    assert (found.token, found.tokens_file) == ("t", Path("/tokens"))
    assert (found.log_level, found.log_format, found.host, found.port) == ("debug", "json", "::1", 0)


def test_folders_are_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = settings_from_environment({"RUNFOLD_FILES": "files", "RUNFOLD_TOKENS_FILE": "tokens"})
    assert (found.files, found.tokens_file) == (str(tmp_path / "files"), tmp_path / "tokens")
    assert settings_from_environment({"RUNFOLD_FILES": "s3://b/p"}).files == "s3://b/p"


@pytest.mark.parametrize("name", ["RUNFOLD_LOG", "RUNFOLD_LOG_FORMAT"])
def test_a_value_that_cannot_be_is_named(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        settings_from_environment({name: "loud"})
    assert refused.value.field == name


@pytest.fixture
def own_logging() -> Generator[io.StringIO]:
    """Logging as the test makes it, and as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_logs_are_json_lines_with_time_level_and_facts(own_logging: io.StringIO) -> None:
    configure_logging("json", "info", own_logging)
    structlog.stdlib.get_logger("runfold.x").info("something", size=3)
    structlog.stdlib.get_logger("runfold.x").debug("too small")
    logging.getLogger("uvicorn.error").warning("from a library: %s", "yes")
    try:
        raise ValueError("a bug")
    except ValueError:
        structlog.stdlib.get_logger("runfold.x").exception("broken")
    first, second, third = (json.loads(line) for line in own_logging.getvalue().splitlines())
    assert (first["event"], first["level"], first["size"]) == ("something", "info", 3)
    assert first["logger"] == "runfold.x"
    assert first["timestamp"].endswith("Z")
    assert second["event"] == "from a library: yes"
    assert third["exception"][0]["exc_value"] == "a bug"


def test_a_terminal_gets_lines_for_people(own_logging: io.StringIO) -> None:
    configure_logging("console", "info", own_logging)
    structlog.stdlib.get_logger("runfold.x").info("something", size=3)
    assert "something" in own_logging.getvalue()
    assert not own_logging.getvalue().startswith("{")
