"""How commands of a request are numbered, and where run ids that the server makes come from."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.ids import idempotency_writer
from runfold_events.contract.submission import Actor
from runfold_services.api.identity import sender_of

ALICE = Actor("alice", "token")
BOB = Actor("bob", "token")
WRITER = uuid4()


def test_with_neither_header_each_request_is_a_new_writer() -> None:
    first, second = sender_of({}, ALICE), sender_of({}, ALICE)
    assert first.writer_id != second.writer_id
    assert not first.is_process
    assert first.numbers(["a", "b", "a", "a"]) == [1, 1, 2, 3]


def test_a_key_is_a_writer_per_actor_that_numbers_per_stream() -> None:
    sender = sender_of({"idempotency-key": "k"}, ALICE)
    assert sender.writer_id == idempotency_writer("alice", "k")
    assert sender.writer_id == sender_of({"idempotency-key": "k"}, ALICE).writer_id
    assert sender.writer_id != sender_of({"idempotency-key": "k"}, BOB).writer_id
    assert sender.numbers(["a", "b", "a"]) == [1, 1, 2]


def test_run_ids_derive_from_key_and_index_and_differ_between_actors() -> None:
    sender = sender_of({"idempotency-key": "k"}, ALICE)
    ids = [sender.run_id(index) for index in range(3)]
    assert ids == [sender_of({"idempotency-key": "k"}, ALICE).run_id(index) for index in range(3)]
    assert len(set(ids)) == 3
    assert sender_of({"idempotency-key": "k"}, BOB).run_id(0) not in ids


def test_a_process_says_its_number_and_further_commands_follow_on() -> None:
    sender = sender_of({"runfold-writer": str(WRITER), "runfold-writer-seq": "5"}, ALICE)
    assert (sender.writer_id, sender.is_process) == (WRITER, True)
    assert sender.numbers(["a", "a"]) == [5, 6]


def test_a_process_without_a_number_may_only_write_on_new_streams() -> None:
    sender = sender_of({"runfold-writer": str(WRITER)}, ALICE)
    assert sender.numbers(["a", "b"], fresh=True) == [1, 1]
    with pytest.raises(Invalid) as refused:
        sender.numbers(["a"])
    assert refused.value.field == "Runfold-Writer-Seq"


def test_a_process_chooses_run_ids_itself_or_gives_a_key_for_them() -> None:
    alone = sender_of({"runfold-writer": str(WRITER)}, ALICE)
    with pytest.raises(Invalid) as refused:
        alone.run_id(0)
    assert refused.value.field == "run_id"
    with_key = sender_of({"runfold-writer": str(WRITER), "idempotency-key": "k"}, ALICE)
    assert with_key.writer_id == WRITER
    assert with_key.run_id(0) == sender_of({"idempotency-key": "k"}, ALICE).run_id(0)


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"runfold-writer": "me"}, "Runfold-Writer"),
        ({"runfold-writer": ""}, "Runfold-Writer"),
        ({"runfold-writer-seq": "1"}, "Runfold-Writer"),
        ({"runfold-writer": str(UUID(int=1)), "runfold-writer-seq": "0"}, "Runfold-Writer-Seq"),
        ({"runfold-writer": str(UUID(int=1)), "runfold-writer-seq": "-1"}, "Runfold-Writer-Seq"),
        ({"runfold-writer": str(UUID(int=1)), "runfold-writer-seq": "1.5"}, "Runfold-Writer-Seq"),
        ({"runfold-writer": str(UUID(int=1)), "runfold-writer-seq": "9" * 19}, "Runfold-Writer-Seq"),
        ({"runfold-writer": str(UUID(int=1)), "runfold-writer-seq": "9" * 5_000}, "Runfold-Writer-Seq"),
        ({"runfold-writer": str(UUID(int=1)), "runfold-writer-seq": "²"}, "Runfold-Writer-Seq"),
    ],
)
def test_malformed_headers_are_named(headers: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        sender_of(headers, ALICE)
    assert refused.value.field == field


@pytest.mark.parametrize("key", ["", "k" * 257])
def test_a_key_has_bounds(key: str) -> None:
    with pytest.raises(LimitExceeded) as refused:
        sender_of({"idempotency-key": key}, ALICE)
    assert (refused.value.field, refused.value.limit) == ("Idempotency-Key", 256)
