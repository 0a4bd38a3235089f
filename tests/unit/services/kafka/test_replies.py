"""Answers: sent where there is a topic, dropped otherwise, never in anybody's way."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import msgspec

from runfold_events.buses.memory import MemoryReplyTopics
from runfold_events.contract.cloudevents import Record
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.submission import Accepted
from runfold_events.log_door import Reply
from runfold_services.replies import Replies, reply_record

TOPIC = "runfold.replies.mine"


def reply(number: int, topic: str = TOPIC) -> Reply:
    return Reply(topic, b"w/run/r", b"c%d" % number, UUID(int=1), number, Accepted(token="t"))


class SlowTopics(MemoryReplyTopics):
    """Takes for ever."""

    async def send(self, topic: str, record: Record) -> None:
        await asyncio.sleep(3_600)


class DeadTopics(MemoryReplyTopics):
    """Cannot even be asked."""

    async def existing(self) -> frozenset[str]:
        raise Unavailable("gone")


async def _settle(replies: Replies, count: int) -> None:
    async with asyncio.timeout(5):
        while replies.counts.sent + replies.counts.dropped < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def test_answers_are_sent_with_what_their_sender_gave() -> None:
    async def body() -> None:
        topics = MemoryReplyTopics(TOPIC)
        replies = Replies(topics)
        await replies.start()
        replies.offer([reply(1), reply(2, "runfold.replies.nobodys"), reply(3)])
        await _settle(replies, 3)
        assert [dict(r.headers)["ce_correlationid"] for r in topics.sent[TOPIC]] == [b"c1", b"c3"]
        assert (replies.counts.sent, replies.counts.dropped, topics.asked) == (2, 1, 1)
        await replies.stop()
        await replies.stop()

    asyncio.run(body())


def test_the_record_says_which_command_it_answers() -> None:
    record = reply_record(reply(7))
    headers = dict(record.headers)
    assert record.key == b"w/run/r"
    assert headers["ce_writerid"] == str(UUID(int=1)).encode()
    assert headers["ce_writerseq"] == b"7"
    assert msgspec.json.decode(record.value) == {"outcome": "accepted", "token": "t"}


def test_too_many_answers_are_dropped_and_counted() -> None:
    async def body() -> None:
        replies = Replies(MemoryReplyTopics(TOPIC), queue_max=10)
        replies.offer([reply(number) for number in range(25)])
        assert replies.counts.dropped == 15
        await replies.start()
        await _settle(replies, 25)
        assert replies.counts.sent == 10
        await replies.stop()

    asyncio.run(body())


def test_a_topic_that_takes_for_ever_does_not_keep_the_end_waiting() -> None:
    async def body() -> None:
        replies = Replies(SlowTopics(TOPIC))
        await replies.start()
        replies.offer([reply(1)])
        await asyncio.sleep(0.01)
        replies.offer([reply(2)])
        began = time.monotonic()
        await replies.stop()
        assert time.monotonic() - began < 4
        assert replies.counts.sent == 0

    asyncio.run(body())


def test_what_was_taken_is_sent_before_the_end() -> None:
    async def body() -> None:
        topics = MemoryReplyTopics(TOPIC)
        replies = Replies(topics)
        await replies.start()
        replies.offer([reply(number) for number in range(1_200)])
        await replies.stop()
        assert len(topics.sent[TOPIC]) == 1_200

    asyncio.run(body())


def test_when_topics_cannot_be_asked_for_answers_are_dropped() -> None:
    async def body() -> None:
        replies = Replies(DeadTopics(TOPIC))
        await replies.start()
        replies.offer([reply(1)])
        await _settle(replies, 1)
        assert replies.counts.dropped == 1
        await replies.stop()

    asyncio.run(body())
