"""The command topic for programs without an event loop: a fleet's workers. Needs the extra ``kafka``."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

from runfold_events.buses.kafka import CommandProducer, KafkaTopicAdmin
from runfold_events.contract.errors import LimitExceeded, RunfoldError, Unavailable
from runfold_events.contract.submission import Submission
from runfold_services.compose.cluster import cluster_of
from runfold_services.kafka_settings import KafkaSettings

POST_S_MAX: Final = 5.0
CLOSE_S_MAX: Final = 3.0

T = TypeVar("T")


class CommandLog:
    """Appends commands to their partitions. Its event loop runs only while a call lasts; calls take turns."""

    def __init__(self, settings: KafkaSettings, *, post_s_max: float = POST_S_MAX) -> None:
        self._settings = settings
        self._post_s_max = post_s_max
        self._turn = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._producer: CommandProducer | None = None
        self._is_closed = False
        _hush_aiokafka()

    def post(self, submissions: Sequence[Submission]) -> list[tuple[int, int]]:
        """Append; returns when the broker keeps all of them, with the partition and offset of each.

        That is no answer of the ledger.

        Raises:
            LimitExceeded: a command is too large for any topic of ours. Nothing was sent.
            Unavailable: not all were acknowledged in time; some may have been sent. The message says what to do.
        """
        with self._turn:
            if self._is_closed:
                raise Unavailable("the way to Kafka was closed")
            try:
                return self._run(self._post(submissions))
            except LimitExceeded as error:
                if error.facts.get("field") != "record":
                    raise
                raise self._unavailable(
                    f"{error.message}. Raise max.message.bytes of topic {self._settings.commands_topic}: a decider "
                    "says at its start what it must be"
                ) from None
            except (RunfoldError, OSError) as error:
                raise self._unavailable(str(error)) from None

    async def _post(self, submissions: Sequence[Submission]) -> list[tuple[int, int]]:
        try:
            async with asyncio.timeout(self._post_s_max):
                if self._producer is None:
                    self._producer = await self._open()
                return await self._producer.send(submissions)
        except TimeoutError:
            raise Unavailable(f"no answer within {self._post_s_max:g} s") from None

    async def _open(self) -> CommandProducer:
        """A topic that is named by mistake is not made by asking for it."""
        cluster = cluster_of(self._settings)
        admin = KafkaTopicAdmin(cluster)
        try:
            topics = await admin.topics()
        finally:
            await admin.stop()
        name = self._settings.commands_topic
        if name not in topics:
            raise Unavailable(
                f"there is no topic {name}: is RUNFOLD_KAFKA_PREFIX that of the deciders, has one been started, and "
                "may this user see it?"
            )
        return CommandProducer(cluster, name, topics[name], deadline_s=self._post_s_max)

    def close(self) -> None:
        """Let go of everything. Calling it twice is fine."""
        if not self._turn.acquire(timeout=CLOSE_S_MAX):
            return  # a call that waits for a broker; its thread ends with the process
        try:
            self._is_closed = True
            loop, self._loop = self._loop, None
            producer, self._producer = self._producer, None
            if loop is not None:
                if producer is not None:
                    loop.run_until_complete(producer.stop())
                loop.close()
        finally:
            self._turn.release()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        try:
            return self._loop.run_until_complete(work)
        finally:
            work.close()  # if it could not begin: another loop runs on this thread

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(
            f"nothing can be sent to Kafka at {self._settings.bootstrap_servers} (RUNFOLD_KAFKA): {why}",
            facts={"retry_after": 1.0},
        )


def _hush_aiokafka() -> None:
    """It tells of every attempt of an outage, on a job's terminal; what matters is told by the one who asked.

    A program that has set its level has decided by itself.
    """
    library = logging.getLogger("aiokafka")
    if library.level == logging.NOTSET:
        library.setLevel(logging.CRITICAL)
