"""Records of every released version: commands stay readable, events and replies are written as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from runfold_events.contract import commands as c
from runfold_events.contract.cloudevents import Record, command_record, event_record, plain_type, read_command
from runfold_events.contract.envelope import JSON
from runfold_events.contract.schemas import EVENTS, PUBLIC_COMMANDS, tag_of
from runfold_events.contract.submission import Actor
from runfold_events.ledger import refusal_of
from runfold_services.replies import reply_record
from tests.compatibility import records
from tests.compatibility.write_goldens import GOLDEN, newest

RELEASES: Final = sorted(folder.name for folder in GOLDEN.iterdir())
SENDER: Final = Actor("kafka", "kafka")


def files(kind: str) -> list[Any]:
    """Golden records of all releases, each a parameter named by its path."""
    paths = sorted(path for name in RELEASES for path in (GOLDEN / name / "records" / kind).glob("*.json"))
    return [pytest.param(path, id=str(path.relative_to(GOLDEN))) for path in paths]


def names(kind: str) -> set[str]:
    return {path.stem for path in (GOLDEN / newest() / "records" / kind).glob("*.json")}


def test_every_command_and_event_has_a_record() -> None:
    assert {tag_of(kind) for kind in PUBLIC_COMMANDS} <= names("commands")
    assert {tag_of(kind) for kind in EVENTS} <= names("events")
    for name in ("run.metrics_logged", "run.metrics_logged.msgpack", "run.created.erased"):
        assert name in names("events")
    assert names("replies") == set(records.REPLIES)


@pytest.mark.parametrize("path", files("commands"))
def test_a_command_is_read_and_nothing_of_it_is_lost(path: Path) -> None:
    record = records.read_golden(path.read_bytes()).record()
    incoming = read_command(record.key, record.value, record.headers, actor=SENDER)
    submission = incoming.submission
    assert refusal_of(submission) is None
    assert command_record(submission, reply_to=incoming.reply_to).headers == record.headers
    assert c.command_type(submission.command) == plain_type(dict(record.headers)["ce_type"].decode())
    if isinstance(submission.command, c.LogMetrics):
        assert bytes(submission.command.batch) == record.value
    else:
        assert submission.content_type == JSON
        assert msgspec.json.decode(msgspec.json.encode(submission.command)) == msgspec.json.decode(
            record.value
        )


def check_written(path: Path, written: Record) -> None:
    """Key, value and every released header are as they were; only a later version may have added headers."""
    released = records.read_golden(path.read_bytes()).record()
    assert (written.key, written.value) == (released.key, released.value)
    kept = {name for name, _ in released.headers}
    assert tuple(header for header in written.headers if header[0] in kept) == released.headers
    if newest() in path.parts:
        assert written == released


@pytest.mark.parametrize("path", files("events"))
def test_an_event_is_written_to_the_byte_as_it_was(path: Path) -> None:
    check_written(path, event_record(records.recorded_events()[path.stem]))


@pytest.mark.parametrize("path", files("replies"))
def test_a_reply_is_written_to_the_byte_as_it_was(path: Path) -> None:
    check_written(path, reply_record(records.REPLIES[path.stem]))


def test_another_byte_is_told(tmp_path: Path) -> None:
    record = event_record(records.recorded_events()["run.completed"])
    path = tmp_path / "record.json"
    path.write_bytes(records.golden(record))
    check_written(path, record)
    for changed in (
        Record(record.key, record.value + b" ", record.headers),
        Record(record.key, record.value, record.headers[1:]),
        Record(record.key + b"x", record.value, record.headers),
    ):
        with pytest.raises(AssertionError):
            check_written(path, changed)
