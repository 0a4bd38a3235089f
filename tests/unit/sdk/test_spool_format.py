"""Records of a spool: whatever is cut off or damaged, what is sound is read and what is not is told of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runfold import _spool_format as form
from runfold._spool_format import Damage, Found, Kind
from runfold._spool_log import Log, OldLog

SIZE = 4096
bodies = st.lists(st.binary(max_size=200), max_size=12)


def segment(*records: bytes) -> tuple[bytearray, list[int]]:
    """A segment of 4 KiB with these bodies, and where each record ends."""
    buffer = bytearray(SIZE)
    buffer[: form.SEGMENT_HEADER_BYTES] = form.segment_header(0)
    offset, ends = form.SEGMENT_HEADER_BYTES, []
    for body in records:
        record = form.encode_record(Kind.WIDE, body, offset)
        buffer[offset : offset + len(record)] = record
        offset += len(record)
        ends.append(offset)
    return buffer, ends


def read(buffer: bytearray | bytes) -> tuple[list[bytes], int]:
    """Bodies that are found, and how many bytes between them are damaged."""
    found = list(form.records(memoryview(bytes(buffer))))
    damaged = sum(one.size_bytes for one in found if isinstance(one, Damage))
    return [bytes(one.body) for one in found if isinstance(one, Found)], damaged


@given(bodies)
def test_what_is_written_is_read(records: list[bytes]) -> None:
    buffer, _ = segment(*records)

    assert read(buffer) == (records, 0)


@given(bodies, st.integers(0, SIZE), st.booleans())
@settings(max_examples=300)
def test_a_torn_tail_is_cut_wherever_it_is_torn(records: list[bytes], cut: int, is_short: bool) -> None:
    """As a kill leaves it (zeros behind the cut) or a file that was never as long."""
    buffer, ends = segment(*records)
    torn = bytes(buffer[:cut]) if is_short else bytes(buffer[:cut]) + bytes(SIZE - cut)
    found, damaged = read(torn)
    # A record whose last bytes are zeros anyway is whole before its end.
    whole = [body for body, end in zip(records, ends, strict=True) if end <= cut]

    assert damaged == 0
    assert found[: len(whole)] == whole
    assert found == records[: len(found)]
    assert is_short is False or len(found) == len(whole)


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=2, max_size=12), st.data())
@settings(max_examples=300)
def test_damage_costs_the_records_it_hits_and_no_other(records: list[bytes], data: st.DataObject) -> None:
    buffer, ends = segment(*records)
    hit = data.draw(st.integers(0, len(records) - 2))
    start = ends[hit - 1] if hit else form.SEGMENT_HEADER_BYTES
    place = data.draw(st.integers(start, start + form.HEAD_BYTES + len(records[hit]) - 1))
    buffer[place] ^= data.draw(st.integers(1, 255))
    found, damaged = read(buffer)

    assert found == records[:hit] + records[hit + 1 :]
    assert damaged == ends[hit] - start


def test_a_record_inside_of_a_body_is_not_taken_for_one() -> None:
    inner = form.encode_record(Kind.WIDE, b"not mine", 64)
    buffer, ends = segment(b"first", inner, b"last")
    buffer[ends[0]] ^= 1  # the head of the one around it

    assert read(buffer)[0] == [b"first", b"last"]


def test_a_log_goes_on_over_segments_and_says_what_lies_between_missing_ones(tmp_path: Path) -> None:
    log = Log(tmp_path, "calls")
    written: list[bytes] = []
    for number in range(3):
        log.roll(SIZE)
        for item in range(5):
            body = f"{number} {item}".encode()
            assert log.current.append(Kind.WIDE, body)
            written.append(body)
    log.close()
    whole = list(OldLog(tmp_path, "calls").records())
    assert [bytes(found.body) for _, found in whole if isinstance(found, Found)] == written

    sorted(tmp_path.iterdir())[1].unlink()
    found = [one for _, one in OldLog(tmp_path, "calls").records()]
    assert [bytes(one.body) for one in found if isinstance(one, Found)] == written[:5] + written[10:]
    assert [one.size_bytes for one in found if isinstance(one, Damage)][0] >= SIZE


def test_a_segment_without_room_takes_nothing(tmp_path: Path) -> None:
    log = Log(tmp_path, "calls")
    segment = log.roll(SIZE)

    assert log.current.append(Kind.WIDE, bytes(SIZE)) == 0
    assert segment.end == form.SEGMENT_HEADER_BYTES


def test_segments_are_removed_when_what_they_hold_is_not_needed(tmp_path: Path) -> None:
    log = Log(tmp_path, "calls")
    ends = [log.roll(SIZE).append(Kind.WIDE, bytes(3000)) for _ in range(3)]
    log.drop_before(ends[1])
    assert len(list(tmp_path.iterdir())) == 1
    log.drop_before(ends[2])
    assert list(tmp_path.iterdir()) == []
    assert log.end == ends[2]
    assert log.roll(SIZE).append(Kind.WIDE, b"more") > ends[2]


def test_records_are_written_through_where_a_mapping_is_not_safe(tmp_path: Path) -> None:
    log = Log(tmp_path, "calls", writes_through=True)
    log.roll(SIZE)
    log.current.append(Kind.WIDE, b"body")
    (found,) = [one for _, one in OldLog(tmp_path, "calls").records()]

    assert isinstance(found, Found)
    assert bytes(found.body) == b"body"
    log.close()


def test_a_body_has_a_largest_length() -> None:
    with pytest.raises(ValueError, match="a record holds at most"):
        form.encode_record(Kind.WIDE, bytes(form.BODY_BYTES_MAX + 1), 0)
