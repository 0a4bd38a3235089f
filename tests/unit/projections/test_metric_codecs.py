"""Codecs of sealed columns: every bit comes back, and what is packed once can be unpacked for ever."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runfold_events.contract.errors import Invalid, Unavailable
from runfold_projections.metrics import codec
from runfold_projections.metrics.chunks import CHUNK_POINTS
from runfold_projections.metrics.codec import PCODEC, PLANES, RAW, ValueCodec
from runfold_projections.projection import FoldError
from runfold_services.settings import value_codec

CODECS: tuple[ValueCodec, ...] = ("base", "pcodec")
EVERY_BIT = st.integers(0, 2**64 - 1)


def packed_bits(bits: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(bits)}Q", *bits)


@pytest.mark.parametrize("name", CODECS)
@given(bits=st.lists(EVERY_BIT, max_size=60), tail=st.integers(0, 300))
def test_every_bit_of_a_float_comes_back(name: ValueCodec, bits: list[int], tail: int) -> None:
    raw = packed_bits(bits + bits[:1] * tail)
    assert codec.unpack_floats(codec.pack_floats(raw, name), len(raw) // 8) == raw


@pytest.mark.parametrize("name", CODECS)
def test_a_full_chunk_of_any_kind_of_float_comes_back(name: ValueCodec) -> None:
    import numpy as np

    random = np.random.default_rng(3)
    columns = [
        random.normal(size=CHUNK_POINTS),
        random.normal(size=CHUNK_POINTS).astype("f4").astype("f8"),
        np.round(random.uniform(size=CHUNK_POINTS), 3),
        np.full(CHUNK_POINTS, -0.0),
        np.where(random.uniform(size=CHUNK_POINTS) < 0.5, np.nan, np.inf),
        random.integers(0, 2**64, CHUNK_POINTS, dtype=np.uint64).view("f8"),  # signalling NaN among them
    ]
    for column in columns:
        raw = column.tobytes()
        packed = codec.pack_floats(raw, name)
        assert codec.unpack_floats(packed, CHUNK_POINTS) == raw
        assert len(packed) <= len(raw) + 1


def test_each_value_is_packed_by_what_makes_it_smallest() -> None:
    import numpy as np

    random = np.random.default_rng(5)
    decimals = np.round(random.uniform(size=CHUNK_POINTS), 3).tobytes()
    noise = random.integers(0, 2**64, CHUNK_POINTS, dtype=np.uint64).tobytes()

    assert codec.pack_floats(decimals)[:1] == PLANES
    assert codec.pack_floats(decimals, "pcodec")[:1] == PCODEC
    assert len(codec.pack_floats(decimals, "pcodec")) < len(codec.pack_floats(decimals)) / 3
    assert codec.pack_floats(noise, "pcodec")[:1] == codec.pack_floats(noise)[:1] == RAW


def test_packed_columns_of_earlier_versions_stay_readable() -> None:
    """Bytes of every codec as it was first written."""
    flat = array("d", [1.5] * 40).tobytes()
    planes = bytes.fromhex("03922898c40100c40100c40100c40100c40100c40100c401f8c4013f")
    by_pcodec = bytes.fromhex("0270636f210300050a040106270000001000000000000000c0ff050000")
    assert codec.unpack_floats(planes, 40) == flat
    assert codec.unpack_floats(by_pcodec, 40) == flat
    mixed = array("d", [1.0, 2.0, -0.0, float("nan")] * 20 + [0.1] * 40).tobytes()
    one_by_one = bytes.fromhex(
        "03927898c41428b52ffd20785d00001800009a02004029160558c41428b52ffd20785d00001800009902004029160558"
        "c41428b52ffd20785d00001800009902004029160558c41428b52ffd20785d00001800009902004029160558"
        "c41428b52ffd20785d00001800009902004029160558c41428b52ffd20785d00001800009902004029160558"
        "c41728b52ffd207875000028f00000f8b9020070a5c8514704c41628b52ffd20786d0000203f40807f0200400974d41101"
    )
    assert codec.unpack_floats(one_by_one, 120) == mixed


@pytest.mark.parametrize("name", CODECS)
def test_a_column_of_another_size_is_refused(name: ValueCodec) -> None:
    packed = codec.pack_floats(array("d", [0.25 * i for i in range(100)]).tobytes(), name)
    for count in (99, 101, 0):
        with pytest.raises(FoldError):
            codec.unpack_floats(packed, count)


def test_without_its_package_a_codec_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = codec.pack_floats(array("d", [0.25 * i for i in range(100)]).tobytes(), "pcodec")
    assert packed[:1] == PCODEC
    codec.find_pcodec.cache_clear()
    monkeypatch.setitem(sys.modules, "pcodec.standalone", None)
    try:
        with pytest.raises(Unavailable, match=r"pip install 'runfold\[pcodec\]'"):
            codec.unpack_floats(packed, 100)
        monkeypatch.setattr("runfold_services.settings.find_spec", dict[str, None]().get)
        with pytest.raises(Invalid, match=r"pip install 'runfold\[pcodec\]'"):
            value_codec({"RUNFOLD_VALUE_CODEC": "pcodec"})
    finally:
        codec.find_pcodec.cache_clear()


def test_the_codec_is_chosen_from_outside() -> None:
    assert value_codec({}) == "base"
    assert value_codec({"RUNFOLD_VALUE_CODEC": "pcodec"}) == "pcodec"
    with pytest.raises(Invalid, match="RUNFOLD_VALUE_CODEC must be one of base, pcodec"):
        value_codec({"RUNFOLD_VALUE_CODEC": "zip"})


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60))
@example([-(2**63), 2**63 - 1])
@example([1_700_000_000_000, 1_700_000_000_127, 1_699_999_999_999])
def test_narrow_numbers_come_back_and_those_that_are_not_stay_wide(values: list[int]) -> None:
    raw = array("q", values).tobytes()
    found = codec.narrow(raw)
    added = [(b - a + 2**63) % 2**64 - 2**63 for a, b in pairwise(values)]
    if found is None:
        assert max(map(abs, added)) >= 2**31 - 1
    else:
        assert codec.widened(*found) == raw
        assert len(found[2]) == found[1] * len(added)
        assert all(-(2 ** (8 * found[1] - 1)) <= one < 2 ** (8 * found[1] - 1) for one in added)
