"""Names, ids and where their streams live."""

from __future__ import annotations

from typing import Final
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfold_events.contract import ids
from runfold_events.contract.errors import Invalid, LimitExceeded
from tests.support import independent

# The first six stand in Kafka's own tests (org.apache.kafka.common.utils.UtilsTest.testMurmur2).
KAFKA_VECTORS: Final = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
    b"": 275646681,
}


@pytest.mark.parametrize("key", KAFKA_VECTORS)
def test_murmur2_is_kafka_s(key: bytes) -> None:
    assert ids.murmur2(key) == KAFKA_VECTORS[key] & 0xFFFFFFFF
    assert independent.murmur2(key) == KAFKA_VECTORS[key]


@given(st.binary(max_size=40))
def test_murmur2_is_the_java_algorithm(key: bytes) -> None:
    assert ids.murmur2(key) == independent.murmur2(key) & 0xFFFFFFFF


@given(st.text(max_size=20))
def test_a_slice_is_the_positive_hash_modulo_1024(name: str) -> None:
    stream = ids.run_stream("w", name)
    assert ids.slice_of(stream) == independent.slice_of(f"w/run/{name}")


@pytest.mark.parametrize("partitions", [1, 2, 16, 64, 1024])
def test_a_partition_is_the_slice_modulo_their_number(partitions: int) -> None:
    """Kafka's partitioner takes the hash modulo P; since P divides 1024 both name the same partition."""
    for number in range(50):
        stream = f"w/run/{number}"
        expected = (independent.murmur2(stream.encode()) & 0x7FFFFFFF) % partitions
        assert ids.partition_of(stream, partitions) == expected


@pytest.mark.parametrize("partitions", [0, -1, 3, 12, 1023, 1025, 2048])
def test_the_number_of_partitions_is_a_power_of_two_up_to_1024(partitions: int) -> None:
    with pytest.raises(Invalid, match="power of two"):
        ids.check_partitions(partitions)


def test_streams_are_named_for_their_workspace_and_kind() -> None:
    experiment = ids.experiment_id("w", "exp")
    assert ids.run_stream("w", "r") == "w/run/r"
    assert ids.experiment_stream("w", "exp") == f"w/experiment/{experiment}"
    assert ids.split_stream(f"w/experiment/{experiment}") == ("w", "experiment", str(experiment))


def test_derived_ids_are_fixed_for_ever() -> None:
    """They stand in stored streams, so they may never change: computed once, written down here."""
    assert ids.experiment_id("default", "diabetes") == UUID("9f3f225b-2aed-5bac-ad62-22e4f904c302")
    assert ids.bulk_run_id("key", 0) == "02266b43-2a37-86dc-bda3-0f5200000000"
    assert ids.idempotency_writer("ann", "key") == UUID("7a7079b6-a6a1-55a9-b3c8-51f5f97f8bb8")


def test_derived_ids_are_uuid5_and_all_different() -> None:
    derived = [
        ids.experiment_id("w", "e"),
        ids.experiment_id("we", ""),
        ids.experiment_id("w2", "e"),
        ids.idempotency_writer("a", "k"),
        ids.idempotency_writer("b", "k"),
        ids.idempotency_writer("a", "kk"),
    ]
    assert {value.version for value in derived} == {5}
    assert len(set(derived)) == len(derived)


def test_ids_of_a_bulk_follow_one_another_and_are_no_other_bulks() -> None:
    of_one = [ids.bulk_run_id("k", index) for index in (0, 1, 11, 255, 256, 9_999, 2**32 - 1)]
    others = [ids.bulk_run_id(key, index) for key in ("k1", "K", "") for index in (0, 1, 11)]
    made = [UUID(text) for text in of_one + others]
    assert of_one == sorted(of_one)
    assert [str(value) for value in made] == of_one + others
    assert {(value.version, value.variant) for value in made} == {(8, RFC_4122)}
    assert len(set(made)) == len(made)


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "run_id", ["a", "A" * 256, "0_.-z", "-", "_", "a..b", "...", "0190a1b2-c3d4-7e5f-8a6b-00000000000e"]
)
def test_legal_run_ids(run_id: str) -> None:
    assert ids.check_run_id(run_id) == run_id


@pytest.mark.parametrize(
    "run_id",
    [" ", "a b", "a/b", "a\n", "\na", "a\0", "é", "a\u0301", "٣", "\ud800", "a%2Fb", "a:b", "..", "."],
)
def test_illegal_run_ids(run_id: str) -> None:
    with pytest.raises(Invalid) as caught:
        ids.check_run_id(run_id)
    assert caught.value.field == "run_id"
    assert caught.value.limit is not None


@pytest.mark.parametrize(
    ("check", "chars_max"),
    [(ids.check_run_id, 256), (ids.check_workspace_name, 64), (ids.check_experiment_name, 255)],
)
def test_names_have_a_length(check: object, chars_max: int) -> None:
    assert callable(check)
    assert check("a" * chars_max) == "a" * chars_max
    with pytest.raises(Invalid):
        check("")
    with pytest.raises(LimitExceeded) as caught:
        check("a" * (chars_max + 1))
    assert (caught.value.limit, caught.value.size) == (chars_max, chars_max + 1)


@pytest.mark.parametrize("name", ["a", "9", "a-b_c", "Été"[1:], "aé", "a" * 255])
def test_legal_experiment_names(name: str) -> None:
    assert ids.check_experiment_name(name) == name


@pytest.mark.parametrize("name", ["-a", "_a", "a b", "a.b", "a\n", "a/b", "a\0", "a\ud800", "é", "a\u0301"])
def test_illegal_experiment_names(name: str) -> None:
    with pytest.raises(Invalid, match="Experiment name must be between 1 and 255 characters long") as caught:
        ids.check_experiment_name(name)
    assert caught.value.field == "experiment"


@pytest.mark.parametrize("name", ["a", "A-1_b", "0"])
def test_legal_workspace_names(name: str) -> None:
    assert ids.check_workspace_name(name) == name


@pytest.mark.parametrize("name", ["_system", "_", "-a", "a/b", "a b", "a\n", "é", "a\0", "\ud800", "a.b"])
def test_illegal_workspace_names(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        ids.check_workspace_name(name)
    assert caught.value.field == "workspace"
