"""What the ledger refuses whatever the store holds: bad values around a command, and sizes that no event may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from msgspec import Raw

from runfold_events.contract import commands as c
from runfold_events.contract import limits
from runfold_events.contract.envelope import JSON
from runfold_events.contract.submission import Actor, Outcome, Refused
from tests.support.ledgers import A, B, Desk, desk, refused, taken

TAG: Final = c.SetTags(run_id="r", tags={"k": "1"})
MIB: Final = 1024 * 1024


@pytest.fixture
def store() -> Iterator[Desk]:
    """A store with the run ``r``."""
    with desk() as opened:
        opened.ensure()
        opened.create("r")
        yield opened


def told(outcome: Outcome) -> Refused:
    """The refusal, which can be sent to whoever asked."""
    assert isinstance(outcome, Refused), outcome
    msgspec.json.encode(outcome)
    return outcome


@pytest.mark.parametrize(
    ("around", "field"),
    [
        ({"workspace": ""}, "workspace"),
        ({"workspace": "_system"}, "workspace"),
        ({"workspace": "a/b"}, "workspace"),
        ({"workspace": "w" * 65}, "workspace"),
        ({"workspace": "a\ud800"}, "workspace"),
        ({"actor": Actor("a" * 257, "os")}, "actor"),
        ({"actor": Actor("a\0", "os")}, "actor"),
        ({"actor": Actor("a\ud800", "os")}, "actor"),
        ({"traceparent": "0" * 129}, "traceparent"),
        ({"traceparent": "\0"}, "traceparent"),
        ({"occurred_at": 2**63}, "occurred_at"),
        ({"occurred_at": -(2**63) - 1}, "occurred_at"),
        ({"occurred_at": 10**30}, "occurred_at"),
        ({"writer_seq": 0}, "writer_seq"),
        ({"writer_seq": 2**63}, "writer_seq"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_bad_values_around_a_command_are_refused_by_name(
    store: Desk, around: dict[str, Any], field: str
) -> None:
    before = store.all_events()
    number = around.get("writer_seq", 1)
    rest = {name: value for name, value in around.items() if name != "writer_seq"}
    answer = told(store.send(A, number, TAG, **rest))
    assert answer.code in ("invalid", "limit_exceeded")
    assert answer.facts["field"] == field
    assert store.all_events() == before


@pytest.mark.parametrize(
    "around",
    [{"workspace": "w" * 64}, {"actor": Actor("é" * 256, "os")}, {"traceparent": "0" * 128}],
    ids=lambda around: next(iter(around)),
)
def test_values_at_their_limit_pass(store: Desk, around: dict[str, Any]) -> None:
    taken(store.send(A, 1, c.EnsureExperiment(experiment="e"), **around))


@pytest.mark.parametrize("occurred_at", [0, -1, limits.TIME_US_MIN, limits.TIME_US_MAX])
def test_any_time_that_can_be_written_is_a_time(store: Desk, occurred_at: int) -> None:
    """A client's clock may be wrong in every way; nothing is ordered by it."""
    taken(store.send(A, 1, TAG, occurred_at=occurred_at))


@pytest.mark.parametrize(
    "command",
    [
        c.SetTags(run_id="a b", tags={}),
        c.SetTags(run_id="a\ud800", tags={}),
        c.SetTags(run_id="r", tags={"": "1"}),
        c.LogMetrics(run_id="r", batch=Raw(b"")),
        c.LogMetrics(run_id="r", batch=Raw()),
        c.LogMetrics(run_id="r", batch=Raw(b'{"series":[{}]}')),
        c.LogParams(run_id="r", params={"k": 2**70}),
        c.RecordArtifact(run_id="r", path="../x", sha256="a" * 64, size_bytes=1),
        c.RecordArtifact(run_id="r", path="x", sha256="a" * 64, size_bytes=10**30),
        c.DeclareLost(run_id="r", first=1, last=10**30, reason=""),
        c.EnsureExperiment(experiment=""),
    ],
    ids=lambda command: ascii(command).split(" object at ")[0][:70],
)
def test_a_malformed_command_is_answered_only(store: Desk, command: c.Command) -> None:
    before = store.all_events()
    answer = told(store.send(A, 1, command))
    assert (answer.event, answer.code in ("invalid", "limit_exceeded")) == (None, True)
    assert answer.facts["field"]
    assert store.all_events() == before
    taken(store.send(A, 1, TAG))


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────────


def big(text: str, keys: int) -> dict[str, str | None]:
    return {f"k{number}": text for number in range(keys)}


def test_a_command_is_smaller_than_an_event() -> None:
    assert limits.METRIC_BATCH_BYTES_MAX < limits.COMMAND_BYTES_MAX < limits.EVENT_BYTES_MAX


def test_a_command_takes_5_mib_and_no_more(store: Desk) -> None:
    """Every value is within its own bound; all of them together are not."""
    taken(store.send(A, 1, c.AddProperties(run_id="r", properties=big("x" * 10_000, 500))))
    before = store.ends()
    answer = told(store.send(A, 2, c.AddProperties(run_id="r", properties=big("x" * 10_000, 1_000))))
    assert (answer.code, answer.facts["limit"]) == ("limit_exceeded", limits.COMMAND_BYTES_MAX)
    assert answer.facts["size"] > limits.COMMAND_BYTES_MAX
    assert store.ends() == before


@pytest.mark.parametrize("character", ["\x01", '"', "\U0001f600"], ids=ascii)
def test_no_event_is_larger_than_what_can_be_published(store: Desk, character: str) -> None:
    """JSON writes some characters six times as long as msgpack does."""
    command = c.AddProperties(run_id="r", properties=big(character * 10_000, 1_000))
    store.send(A, 1, command)
    assert max(len(event.body or b"") for event in store.all_events()) <= limits.EVENT_BYTES_MAX


def test_no_rejection_is_larger_than_what_can_be_published(store: Desk) -> None:
    """A conflict of two large creations names what differs, yet may not be twice as large as each."""

    def create(text: str) -> c.CreateRun:
        return c.CreateRun(run_id="s", experiment="exp", properties=big(text * 10_000, 450))

    taken(store.send(A, 1, create("x")))
    refused(store.send(B, 1, create("y")), "conflict")
    assert max(len(event.body or b"") for event in store.all_events()) <= limits.EVENT_BYTES_MAX


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────


def test_every_answer_can_be_sent(store: Desk) -> None:
    commands: list[c.Command] = [
        TAG,
        c.AddProperties(run_id="r", properties={"p": None}),
        c.AddProperties(run_id="r", properties={"p": "1"}),
        c.LogParams(run_id="r", params={"a": 1.5, "b": None, "c": True}),
        c.LogParams(run_id="r", params={"a": 2**63 - 1}),
        c.CreateRun(run_id="r", experiment="exp", tags={"t": None}),
        c.CompleteRun(run_id="r"),
        c.FailRun(run_id="r"),
        c.EraseRun(run_id="r"),
        TAG,
    ]
    for number, command in enumerate(commands, start=1):
        outcome = store.send(UUID(int=number), 1, command, content_type=JSON)
        encoded = msgspec.json.encode(outcome)
        assert msgspec.json.decode(encoded)["outcome"] in ("accepted", "refused")
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(outcome))
