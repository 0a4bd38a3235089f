"""Token buckets in debt: nothing is too large to come in, and over time no more than the rate does."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from runfold_events.contract.columns import Column
from runfold_events.contract.commands import Command, CompleteRun, LogMetrics
from runfold_events.contract.envelope import JSON, MSGPACK
from runfold_events.contract.errors import Invalid, Unavailable
from runfold_events.contract.metrics import Series, encode_batch
from runfold_events.contract.submission import Actor, Submission
from runfold_services import quotas
from runfold_services.quotas import BURST_S, QuotaFile, Quotas, QuotaSettings, load_quotas


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def submission(command: Command, content_type: str = MSGPACK) -> Submission:
    return Submission(
        workspace="w",
        command=command,
        writer_id=uuid4(),
        writer_seq=1,
        occurred_at=0,
        actor=Actor("a", "anonymous"),
        door="http",
        content_type=content_type,
    )


def completions(count: int) -> list[Submission]:
    return [submission(CompleteRun(run_id="r"))] * count


def points(count: int) -> list[Submission]:
    column = Column(dtype="i64", values=list(range(count)))
    batch = encode_batch([Series(name="loss", times=column, columns={"loss": column})])
    return [submission(LogMetrics(run_id="r", batch=msgspec.Raw(batch)))]


def made(clock: Clock, **rates: float) -> Quotas:
    return Quotas(QuotaFile(workspaces={"busy": QuotaSettings(**rates)}), clock)


def refused(made: Quotas, workspace: str, submissions: list[Submission]) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        made.admit(workspace, submissions)
    assert caught.value.code == "too_many_requests"
    return caught.value


def test_a_request_of_any_size_comes_in_and_the_next_waits_until_the_debt_is_paid() -> None:
    clock = Clock()
    bounded = made(clock, commands_per_s=10.0)
    bounded.admit("busy", completions(1_000))  # a burst of 100 is free, 900 are debt

    error = refused(bounded, "busy", completions(1))
    assert error.retry_after == pytest.approx(90.1)
    assert error.facts["field"] == "commands_per_s"
    clock.now += 90.0
    refused(bounded, "busy", completions(1))
    clock.now += 0.2
    bounded.admit("busy", completions(1))


@pytest.mark.parametrize("size", [1, 7, 400])
def test_over_time_no_more_than_the_rate_comes_in(size: int) -> None:
    clock = Clock()
    bounded, taken, seconds = made(clock, points_per_s=50.0), 0, 200
    for _ in range(seconds * 20):
        clock.now += 0.05
        try:
            bounded.admit("busy", points(size))
            taken += size
        except Unavailable:
            pass
    # Without a bound twenty times the size would come in every second.
    assert taken <= 50 * (seconds + BURST_S) + size
    assert taken >= 0.95 * min(50, 20 * size) * seconds


def test_neighbours_share_nothing() -> None:
    bounded = made(Clock(), commands_per_s=1.0)
    bounded.admit("busy", completions(1_000))
    refused(bounded, "busy", completions(1))

    for _ in range(100):
        bounded.admit("calm", completions(1_000))


def test_a_request_that_is_refused_for_one_bound_takes_nothing_of_the_others() -> None:
    bounded = made(Clock(), commands_per_s=100.0, points_per_s=1.0)
    bounded.admit("busy", points(1_000))
    before = bounded.meters("busy")
    refused(bounded, "busy", points(1))

    after = bounded.meters("busy")
    assert [meter.taken for meter in after] == [meter.taken for meter in before] == [1, 1_000, 0]
    assert [meter.refused for meter in after] == [0, 1, 0]
    assert bounded.refused == {"commands": 0, "points": 1, "file_bytes": 0}


def test_a_workspace_in_debt_for_points_may_still_end_its_runs() -> None:
    bounded = made(Clock(), points_per_s=1.0)
    bounded.admit("busy", points(1_000))
    refused(bounded, "busy", points(1))

    bounded.admit("busy", completions(1))


def test_points_are_those_of_all_series_in_either_format() -> None:
    bounded = made(Clock(), points_per_s=100.0)
    body = (
        b'{"series": [{"name": "a", "times": {"dtype": "i64", "values": [1, 2, 3]}, '
        b'"columns": {"a": {"dtype": "f64", "values": [1, 2, 3]}}}]}'
    )
    bounded.admit("busy", [*points(2), submission(LogMetrics(run_id="r", batch=msgspec.Raw(body)), JSON)])

    assert bounded.meters("busy")[1].taken == 5


def test_a_batch_that_is_none_or_lies_is_left_to_whoever_opens_it() -> None:
    bounded = made(Clock(), points_per_s=100.0)
    liar = encode_batch(
        [Series(name="a", times=Column(dtype="i64", codec="delta-zstd", count=-5, data=b""), columns={})]
    )
    for body in (b"\xc1", liar):
        bounded.admit("busy", [submission(LogMetrics(run_id="r", batch=msgspec.Raw(body)))])

    assert bounded.meters("busy")[1].taken == 0


def test_files_are_counted_as_they_come() -> None:
    clock = Clock()
    bounded = made(clock, file_bytes_per_s=10.0)
    bounded.admit_files("busy")
    bounded.took_files("busy", 150)
    with pytest.raises(Unavailable, match="file bytes"):
        bounded.admit_files("busy")
    clock.now += 5.2
    bounded.admit_files("busy")


def test_names_from_outside_take_no_more_than_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "METERS_MAX", 10)
    clock = Clock()
    bounded = Quotas(QuotaFile(default=QuotaSettings(commands_per_s=1.0)), clock)
    bounded.admit("busy", completions(1_000))
    for number in range(1_000):
        bounded.meters(f"asked-{number}")

    assert bounded.remembered <= 10
    refused(bounded, "busy", completions(1))  # its debt is not forgotten for that
    for number in range(1_000):
        bounded.admit(f"in-debt-{number}", completions(1_000))
    assert bounded.remembered <= 10


def test_what_a_workspace_does_not_say_the_default_says(tmp_path: Path) -> None:
    path = tmp_path / "quotas.toml"
    path.write_text(
        "[default]\ncommands_per_s = 500\npoints_per_s = 1e5\n\n"
        "[workspaces.vision]\npoints_per_s = 2_000_000\ncommands_per_s = inf\n"
    )
    file = load_quotas(path)

    assert [file.rate("other", name) for name in ("commands", "points", "file_bytes")] == [500.0, 1e5, None]
    assert [file.rate("vision", name) for name in ("commands", "points", "file_bytes")] == [None, 2e6, None]
    assert load_quotas(None).rate("any", "commands") is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[default]\ncommands = 5\n", "commands"),
        ("[default]\npoints_per_s = 0\n", "default: points"),
        ("[default]\npoints_per_s = nan\n", "default: points"),
        ("[workspaces.a]\npoints_per_s = 'many'\n", "points_per_s"),
        ("[workspaces.'a b']\npoints_per_s = 1\n", "workspace"),
        ("default", "Expected"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "quotas.toml"
    path.write_text(text)

    with pytest.raises(Invalid, match=names) as caught:
        load_quotas(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be used"):
        load_quotas(tmp_path / "none.toml")
