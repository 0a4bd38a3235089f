"""Bytes of every released version stay readable for ever, and what the ledger encodes stays the same to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest
from msgspec.structs import replace

from runfold_events.contract import codec
from runfold_events.contract import events as e
from runfold_events.contract.envelope import CHAIN_START, JSON, MSGPACK, RecordedEvent, check_events
from runfold_events.contract.metrics import decode_batch
from tests.compatibility import samples
from tests.compatibility.write_goldens import GOLDEN, Refused, fixed_files, main, newest, other_files, write
from tests.support import independent

RELEASES: Final = sorted(folder.name for folder in GOLDEN.iterdir())
FIRST: Final = "0.1"


def files(pattern: str) -> list[Any]:
    """Golden files of all releases, each a parameter named by its path."""
    paths = sorted(path for release in RELEASES for path in (GOLDEN / release).glob(pattern))
    return [pytest.param(path, id=str(path.relative_to(GOLDEN))) for path in paths]


def test_the_first_release_is_there() -> None:
    assert FIRST in RELEASES
    assert len(files("events/*.json")) >= len(get_args(e.Event))


def test_everything_of_the_contract_has_a_sample_and_the_newest_release_holds_it() -> None:
    assert samples.missing() == []
    for name in fixed_files() | other_files():
        assert (GOLDEN / newest() / name).is_file(), f"python -m tests.compatibility.write_goldens {newest()}"


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────


def stored(path: Path) -> RecordedEvent:
    """The body in a golden file as an event of the type that its name says."""
    return replace(
        samples.envelopes()[0], type=path.stem, body=path.read_bytes(), content_type=JSON, data_version=1
    )


@pytest.mark.parametrize("path", files("events/*.json"))
def test_an_event_is_read_and_encoded_to_the_same_bytes(path: Path) -> None:
    event = codec.decode_event(stored(path))
    assert event is not None
    assert e.event_type(event) == path.stem
    assert codec.encode_event(event) == (JSON, path.read_bytes())


@pytest.mark.parametrize("path", files("events/*.json"))
def test_nothing_of_an_event_is_lost_in_reading(path: Path) -> None:
    plain = msgspec.json.decode(path.read_bytes())
    event = codec.decode_event(stored(path))
    read = msgspec.json.decode(
        msgspec.json.encode({key: getattr(event, key) for key in plain if key != "type"})
    )
    assert read == {key: value for key, value in plain.items() if key != "type"}


# ── envelopes ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", files("envelopes.json"))
def test_envelopes_keep_their_digests_and_their_chain(path: Path) -> None:
    events = msgspec.json.decode(path.read_bytes(), type=list[RecordedEvent])
    damage, last = check_events(events, partition=3, from_pos=0, previous_chain=CHAIN_START)
    assert (damage, last) == ([], events[-1].chain)
    chain = bytes(32)
    for event in events:
        if event.salt is not None and event.body is not None:
            assert independent.digest(event.salt, event.body) == event.digest
        chain = independent.chain(chain, event)
        assert chain == event.chain


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", files("commands.*"))
def test_requests_stay_readable_and_their_digests_the_same(path: Path) -> None:
    digests = msgspec.json.decode(path.with_name("digests.json").read_bytes())
    batch = codec.decode_command_batch(samples.type_of(path.name), path.read_bytes())
    assert [
        codec.command_digest(item.command, samples.type_of(path.name)).hex() for item in batch.commands
    ] == digests[path.name]


@pytest.mark.parametrize("path", files("commands.json"))
def test_both_encodings_of_a_request_say_the_same(path: Path) -> None:
    first = codec.decode_command_batch(JSON, path.read_bytes())
    second = codec.decode_command_batch(MSGPACK, path.with_name("commands.bin").read_bytes())
    assert (first.workspace, first.hold, len(first.commands)) == (
        second.workspace,
        second.hold,
        len(second.commands),
    )
    for one, two in zip(first.commands, second.commands, strict=True):
        assert one == two or type(one.command).__name__ == type(two.command).__name__ == "LogMetrics"


@pytest.mark.parametrize("path", files("commands.json"))
def test_nothing_of_a_request_is_lost_in_reading(path: Path) -> None:
    batch = codec.decode_command_batch(JSON, path.read_bytes())
    assert msgspec.json.decode(msgspec.json.encode(batch)) == msgspec.json.decode(path.read_bytes())


# ── metric batches ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [one for one in files("metrics/*") if one.values[0].name != "expected.json"])
def test_a_metric_batch_is_read_as_it_was(path: Path) -> None:
    expected = msgspec.json.decode(path.with_name("expected.json").read_bytes())
    name = f"metrics/{path.name}"
    read = [samples.readable(one) for one in decode_batch(samples.type_of(name), path.read_bytes())]
    assert msgspec.json.decode(msgspec.json.encode(read)) == expected[name]


def test_every_codec_has_a_golden_batch() -> None:
    names = {path.values[0].name for path in files("metrics/*")}
    assert {"raw.bin", "zstd.bin", "delta-zstd.bin", "shuffle-zstd.bin", "plain.bin", "plain.json"} <= names


# ── the script ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_script_writes_everything_into_a_new_folder(tmp_path: Path) -> None:
    written = write(tmp_path / "9.9")
    assert set(written) == {*fixed_files(), *other_files()}


def test_the_script_writes_only_what_is_missing(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "events" / "run.lost.json").unlink()
    assert write(tmp_path) == ["events/run.lost.json"]
    assert write(tmp_path) == []


def test_the_script_refuses_to_overwrite_and_then_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "events" / "run.lost.json").write_bytes(b'{"type":"run.lost","since":1}')
    (tmp_path / "events" / "run.found.json").unlink()
    with pytest.raises(Refused, match=r"events/run\.lost\.json"):
        write(tmp_path)
    assert not (tmp_path / "events" / "run.found.json").exists()
    assert (tmp_path / "events" / "run.lost.json").read_bytes() == b'{"type":"run.lost","since":1}'


def test_the_script_leaves_batches_of_other_compressors_alone(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "metrics" / "zstd.bin").write_bytes(b"older")
    assert write(tmp_path) == []
    assert (tmp_path / "metrics" / "zstd.bin").read_bytes() == b"older"


def test_the_script_needs_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "write_goldens 0.2" in capsys.readouterr().err


def test_this_version_would_write_the_same_bytes_again() -> None:
    for release in RELEASES:
        for name, data in samples.ledger_encoded().items():
            path = GOLDEN / release / name
            assert not path.exists() or path.read_bytes() == data, name
