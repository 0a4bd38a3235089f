"""Runs that log, through a tracker, as a training job would; and a copy of a store in memory to fold anew."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from runfold_events.contract.commands import Command, CompleteRun, CreateRun, EnsureExperiment, LogMetrics
from runfold_events.contract.envelope import MSGPACK
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.metrics import encode_batch
from runfold_events.contract.submission import Accepted, Actor, Outcome, Submission
from runfold_events.contract.tokens import Token, parse_token
from runfold_events.ports import EventStore
from runfold_projections.testing.history import MemorySource, floats
from runfold_services.service import Service

WORKSPACE: Final = "default"
EXPERIMENT: Final = "exp"
EVENTS_MAX: Final = 100_000
ANSWER_S_MAX: Final = 20.0


class Job:
    """One writer of several runs; everything it sends must be taken."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._writer = uuid4()
        self._numbers: dict[str, int] = {}
        self.token: Token | None = None  # a position after everything that was sent

    async def send(self, *commands: Command) -> None:
        """Submit in one batch; the same numbers again for as long as there is no answer."""
        submissions = [self._submission(command) for command in commands]
        for outcome in await self._answer(submissions):
            assert isinstance(outcome, Accepted), outcome
            token = parse_token(outcome.token)
            self.token = token if self.token is None else self.token.merge(token)

    async def _answer(self, submissions: list[Submission]) -> list[Outcome]:
        async with asyncio.timeout(ANSWER_S_MAX):
            while True:
                try:
                    return await self._service.submit(submissions)
                except Unavailable:
                    await asyncio.sleep(0.02)

    async def begin(self, *run_ids: str, **content: Any) -> None:
        """The experiment and these runs."""
        await self.send(EnsureExperiment(experiment=EXPERIMENT))
        await self.send(*(CreateRun(run_id=run, experiment=EXPERIMENT, **content) for run in run_ids))

    async def log(self, run_id: str, *values: float, name: str = "loss") -> None:
        """A batch of one series."""
        batch = encode_batch([floats(name, values)])
        await self.send(LogMetrics(run_id=run_id, batch=msgspec.Raw(batch)))

    async def complete(self, *run_ids: str) -> None:
        await self.send(*(CompleteRun(run_id=run) for run in run_ids))

    def _submission(self, command: Command) -> Submission:
        around: dict[str, Any] = {
            "workspace": WORKSPACE,
            "command": command,
            "writer_id": self._writer,
            "occurred_at": time.time_ns() // 1_000,
            "actor": Actor("ann", "os"),
            "door": "http",
        }
        if isinstance(command, LogMetrics):
            around["content_type"] = MSGPACK
        stream = Submission(writer_seq=1, **around).stream
        number = self._numbers[stream] = self._numbers.get(stream, 0) + 1
        return Submission(writer_seq=number, **around)


async def copied(store: EventStore) -> MemorySource:
    """Everything in a store, as a source in memory."""
    source = MemorySource(store.partitions, UUID(int=store.epoch.int))
    for partition in range(store.partitions):
        source.events[partition] = await store.read(partition, 0, EVENTS_MAX)
    return source
