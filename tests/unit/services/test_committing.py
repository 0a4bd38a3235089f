"""What a server and the helper that commits for it tell each other."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from runfold_events.contract import commands as c
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.submission import Accepted, Actor, Outcome, Refused, Submission
from runfold_services.committing import answer_to, encode_submissions, read_answer
from tests.support.strategies import INTEGERS, JSON_VALUES, TEXTS, structs

BATCHES: Final = (JSON_VALUES.map(msgspec.json.encode) | JSON_VALUES.map(msgspec.msgpack.encode)).map(Raw)


@pytest.mark.parametrize("kind", get_args(c.Command))
@settings(max_examples=20)
@given(st.data())
def test_a_submission_arrives_as_it_was_sent(kind: type[Any], data: st.DataObject) -> None:
    sent = data.draw(st.lists(_submissions(structs(kind, BATCHES)), min_size=1, max_size=3))
    arrived: list[Submission] = []

    def handle(submissions: list[Submission]) -> list[Outcome]:
        arrived.extend(submissions)
        return []

    answer_to(encode_submissions(sent), handle)
    assert list(map(_comparable, arrived)) == list(map(_comparable, sent))


@settings(max_examples=50)
@given(st.lists(structs(Accepted) | structs(Refused), max_size=4))
def test_outcomes_arrive_as_they_were_given(outcomes: list[Outcome]) -> None:
    answered = read_answer(answer_to(encode_submissions([]), lambda submissions: outcomes))
    assert answered.outcomes == outcomes
    assert answered.error is None


def test_an_error_of_the_whole_batch_arrives_as_one() -> None:
    def handle(submissions: list[Submission]) -> list[Outcome]:
        raise Unavailable("the file is locked", facts={"retry_after": 1.5})

    answered = read_answer(answer_to(encode_submissions([]), handle))
    assert answered.error == ("unavailable", "the file is locked", {"retry_after": 1.5})


def _submissions(commands: st.SearchStrategy[Any]) -> st.SearchStrategy[Submission]:
    return st.builds(
        Submission,
        workspace=TEXTS,
        command=commands,
        writer_id=st.uuids(),
        writer_seq=INTEGERS,
        occurred_at=INTEGERS,
        actor=structs(Actor),
        door=TEXTS,
        content_type=TEXTS,
        hold=st.booleans(),
        correlation_id=st.none() | st.uuids(),
        causation_id=st.none() | st.uuids(),
        traceparent=st.none() | TEXTS,
    )


def _comparable(submission: Submission) -> tuple[Submission, bytes]:
    """A raw batch is equal to nothing but itself."""
    command = submission.command
    if not isinstance(command, c.LogMetrics):
        return submission, b""
    empty = c.LogMetrics(run_id=command.run_id, batch=_EMPTY)
    return msgspec.structs.replace(submission, command=empty), bytes(command.batch)


_EMPTY: Final = Raw(b"")
