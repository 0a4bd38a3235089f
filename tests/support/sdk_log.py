"""A wire whose values go by a command log in memory; the ledger reads it when it is asked, as far as it likes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from runfold._kafka import asked_about
from runfold._transport import Batch, CommandLog, Place, submissions_of
from runfold_events.contract.cloudevents import Record, command_record
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.submission import Actor
from runfold_events.fates import Fate, fates
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import LogDoor, LogRecord
from runfold_events.sync import run_sync
from runfold_services.compose import EmbeddedTracker
from runfold_services.kafka_settings import KafkaSettings
from tests.support.sdk import Wire

PARTITION = 0
_SENDER = Actor("", "kafka")


class MemoryLog:
    """Takes the next of the wire's faults with every post.

    Attributes:
        records: all that was ever appended.
        posted: the requests.
        reads: the ledger handles what is there before it answers a question.
        is_deaf: questions are not answered.
    """

    def __init__(self, wire: LogWire, service: EmbeddedTracker, chance: random.Random | None) -> None:
        self._wire = wire
        self._chance = chance
        self._ledger = Ledger(service._store, SystemIds())  # pyright: ignore[reportPrivateUsage]
        settings = KafkaSettings(bootstrap_servers="none")
        self._door = LogDoor(self._ledger, settings.actor_of, uuid4())
        self.records: list[LogRecord] = []
        self.posted: list[Batch] = []
        self.questions = 0
        self.reads = True
        self.is_deaf = False

    def post(self, batch: Batch) -> list[Place]:
        self._wire.check()
        self.posted.append(batch)
        if self._wire.faults:
            fault: Any = self._wire.faults.popleft()
            places: list[Place] = fault(batch, self._append)
            return places
        return self._append(batch)

    def _append(self, batch: Batch) -> list[Place]:
        made: list[Record] = [command_record(one) for one in submissions_of(batch, _SENDER, "kafka", None)]
        first = len(self.records)
        for offset, record in enumerate(made, first):
            self.records.append(LogRecord(PARTITION, offset, 0, record.key, record.value, record.headers))
        return [(PARTITION, offset) for offset in range(first, first + len(made))]

    def fates(self, batch: Batch, places: Sequence[Place]) -> list[Fate]:
        self._wire.check()
        self.questions += 1
        if self.is_deaf or (self._chance is not None and self._chance.random() < 0.2):
            raise Unavailable("the question was lost")
        if self.reads:
            self.read()
        asked = asked_about(batch, places)
        return run_sync(fates(self._ledger, self._cursors, batch.writer_id, asked))

    def read(self) -> None:
        """Handle what is there, or by chance only some of it."""
        cursor = self.cursor()
        end = len(self.records)
        if self._chance is not None:
            end = self._chance.randint(cursor, end)
        if cursor < end:
            run_sync(self._door.handle(self.records[cursor:end], cursor))

    def cursor(self) -> int:
        """The next offset that the ledger will handle."""

        async def look() -> int:
            async with self._ledger.store.transaction(PARTITION) as transaction:
                return transaction.row.next_offset

        return run_sync(look())

    async def _cursors(self) -> dict[int, int]:
        async with self._ledger.store.transaction(PARTITION) as transaction:
            return {PARTITION: transaction.row.next_offset}

    def close(self) -> None:
        """Nothing to let go of."""


class LogWire(Wire):
    """See the module."""

    def __init__(self, service: EmbeddedTracker | None = None, chance: random.Random | None = None) -> None:
        super().__init__(service)
        self.memory = MemoryLog(self, self.service, chance)
        self.log: CommandLog | None = self.memory

    def check(self) -> None:
        """Raise where nobody is there."""
        self._check()
