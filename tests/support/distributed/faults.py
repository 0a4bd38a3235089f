"""What happens to a fleet while it works, one fault at a time, and how long it takes to be well again."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import asyncpg
import urllib3
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import Struct

from tests.support.distributed.fleet import PROGRESS, ROLES, Fleet, Progress, RoleName

RECOVER_S_MAX: Final = 300.0
PROBE_S: Final = 0.1
ADMIN_S_MAX: Final = 30.0
STAGES: Final = ("stored", "published", "folded")

Deed = Callable[[], Awaitable[None]]


class Suffered(Struct, kw_only=True):
    """One fault, survived. Seconds."""

    fault: str
    lasted_s: float
    recovered_s: float  # after its end, until all that was sent by then is stored, published and folded
    stood_s: dict[str, float]  # the longest time without progress, from its begin to its recovery


class Monitor:
    """Looks at the fleet's progress all the time, and remembers the longest time without any, stage by stage."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None
        self.last: Progress | None = None
        self._totals = dict.fromkeys(STAGES, -1)
        self._since = dict.fromkeys(STAGES, time.monotonic())
        self._stood = dict.fromkeys(STAGES, 0.0)

    async def __aenter__(self) -> Monitor:
        self.forget()
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._drop()

    def forget(self) -> None:
        """Measure from now on."""
        self._since = dict.fromkeys(STAGES, time.monotonic())
        self._stood = dict.fromkeys(STAGES, 0.0)

    def look_again(self) -> None:
        """What was seen before does not count."""
        self.last = None

    def stood_s(self) -> dict[str, float]:
        """The longest time without progress since :meth:`forget`."""
        return {stage: round(seconds, 2) for stage, seconds in self._stood.items()}

    async def _run(self) -> None:
        while True:
            self._take(await self._look())
            await asyncio.sleep(PROBE_S)

    async def _look(self) -> Progress | None:
        try:
            if self._connection is None:
                self._connection = await asyncpg.connect(self._fleet.dsn, timeout=5, command_timeout=5)
            rows = await self._connection.fetch(PROGRESS)
            return Progress(*[list(column) for column in zip(*rows, strict=True)])
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            self._drop()
            return None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _take(self, progress: Progress | None) -> None:
        now = time.monotonic()
        if progress is not None:
            self.last = progress
            totals = (sum(progress.ends), sum(progress.published), sum(progress.folded))
            for stage, total in zip(STAGES, totals, strict=True):
                if total != self._totals[stage]:
                    self._stood[stage] = max(self._stood[stage], now - self._since[stage])
                    self._totals[stage], self._since[stage] = total, now
        for stage in STAGES:
            self._stood[stage] = max(self._stood[stage], now - self._since[stage])


class Nemesis:
    """Does harm to a fleet, and waits until it is well again."""

    def __init__(
        self, fleet: Fleet, monitor: Monitor, luck: random.Random, stop_s: tuple[float, float]
    ) -> None:
        self.emptied: set[int] = set()  # partitions of the events topic that records were removed from
        self.suffered: list[Suffered] = []
        self._fleet = fleet
        self._monitor = monitor
        self._luck = luck
        self._stop_s = stop_s
        self._http = urllib3.PoolManager(retries=False, timeout=5.0)

    def faults(self) -> Mapping[str, Deed]:
        """Every fault there is."""
        found: dict[str, Deed] = {}
        for role in ROLES:
            found[f"kill -9 {role}"] = partial(self._kill, role)
            found[f"SIGSTOP {role}"] = partial(self._pause, role)
        found["broker stop"] = partial(self._restart_broker, clean=True)
        found["broker kill -9"] = partial(self._restart_broker, clean=False)
        found["postmaster immediate stop"] = self._restart_postgres
        found["head of the events topic lost"] = self._lose_head
        found["all of an events partition lost"] = self._lose_all
        found["kill -9 worker"] = self._kill_worker
        return found

    async def do(self, name: str) -> Suffered:
        """One fault, until its recovery."""
        self._monitor.forget()
        begun = time.monotonic()
        await self.faults()[name]()
        ended = time.monotonic()
        await self._recovery(ended + RECOVER_S_MAX, name)
        suffered = Suffered(
            fault=name,
            lasted_s=round(ended - begun, 2),
            recovered_s=round(time.monotonic() - ended, 2),
            stood_s=self._monitor.stood_s(),
        )
        self.suffered.append(suffered)
        return suffered

    async def _recovery(self, deadline: float, name: str) -> None:
        """Wait until everything that was sent and stored by now is everywhere, and the API answers."""
        offsets = await asyncio.to_thread(self._fleet.log_ends)
        self._monitor.look_again()
        ends: list[int] | None = None
        while True:
            assert time.monotonic() < deadline, f"no recovery from {name}: {self._monitor.last}"
            progress = self._monitor.last
            if progress is not None:
                ends = ends or progress.ends
                if progress.has_reached(offsets, ends) and await asyncio.to_thread(self._api_answers):
                    return
            await asyncio.sleep(PROBE_S)

    def _api_answers(self) -> bool:
        with suppress(urllib3.exceptions.HTTPError):
            return self._http.request("GET", f"{self._fleet.api_url}/health/ready").status == 200
        return False

    # Faults

    async def _kill(self, role: RoleName) -> None:
        victim = self._luck.choice(self._fleet.roles[role])
        self._fleet.roles[role].remove(victim)
        victim.kill()
        await self._fleet.start(role)

    async def _pause(self, role: RoleName) -> None:
        victim = self._luck.choice(self._fleet.roles[role])
        victim.send(signal.SIGSTOP)
        await asyncio.sleep(self._luck.uniform(*self._stop_s))
        victim.send(signal.SIGCONT)

    async def _restart_broker(self, *, clean: bool) -> None:
        broker = self._fleet.stack.servers.kafka
        await asyncio.to_thread(broker.stop if clean else broker.kill)
        await asyncio.sleep(self._luck.uniform(0.2, 2.0))
        await asyncio.to_thread(broker.start)

    async def _restart_postgres(self) -> None:
        server = self._fleet.stack.servers.postgres
        await asyncio.to_thread(server.stop, clean=False)
        await asyncio.sleep(self._luck.uniform(0.2, 2.0))
        await asyncio.to_thread(server.start)

    async def _lose_head(self) -> None:
        """The first half of a partition of the events topic is gone."""
        partition = self._luck.randrange(self._fleet.settings.partitions)
        await asyncio.to_thread(self._remove_records, partition, 0.5)

    async def _lose_all(self) -> None:
        """A partition of the events topic is empty when relays start: nothing there says how far they were."""
        count = len(self._fleet.roles["relay"])
        for relay in self._fleet.roles["relay"]:
            relay.kill()
        self._fleet.roles["relay"].clear()
        partition = self._luck.randrange(self._fleet.settings.partitions)
        await asyncio.to_thread(self._remove_records, partition, 1.0)
        await asyncio.gather(*(self._fleet.start("relay") for _ in range(count)))

    def _remove_records(self, partition: int, share: float) -> None:
        topic = self._fleet.kafka_settings.events_topic
        topics = self._fleet.topics()
        try:
            begin, end = topics.event_bounds(partition)
        finally:
            topics.close()
        self.emptied.add(partition)
        admin: Any = AdminClient({"bootstrap.servers": self._fleet.stack.kafka, "log_level": 2})
        place = TopicPartition(topic, partition, begin + round((end - begin) * share))
        for removed in admin.delete_records([place]).values():
            removed.result(ADMIN_S_MAX)

    async def _kill_worker(self) -> None:
        """A new process takes its place, which is another writer."""
        victim = self._luck.choice([w for w in self._fleet.workers if w.module == "kafka_worker"])
        self._fleet.workers.remove(victim)
        victim.kill()
        self._fleet.start_kafka_worker(victim.rate)
