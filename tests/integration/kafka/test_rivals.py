"""Several deciders on one partition, killed and stopped at random: the log is applied once, in order, densely.

The control takes the cursor's protection away and must find damage.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

from msgspec.structs import replace

from runfold_events.contract.envelope import RecordedEvent
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.log_door import Handled, LogDoor, LogRecord
from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.postgres.store import PostgresTimeouts
from runfold_events.stores.postgres.transactions import PostgresTransaction
from runfold_services.decider import Decider, DeciderSettings
from tests.integration.kafka.effects import LogWriter, damage
from tests.integration.kafka.scene import Scene, with_scene
from tests.support.checker import check_partition

RIVALS: Final = 4
SECONDS: Final = 4.0
ROUNDS: Final = 20
RECORDS: Final = 600
QUIET_RECORDS: Final = 100
TIMEOUTS: Final = PostgresTimeouts(lock_ms=1_000, idle_in_transaction_ms=300)
SETTINGS: Final = DeciderSettings(records_max=15, drain_s=0.0, retry_s_max=0.2, check_again_s=0.2)


class PausingStore(PostgresStore):
    """Stands still inside a transaction, holding the row, as a process that is stopped does."""

    pause_s: float = 0.0
    paused: int = 0

    @asynccontextmanager
    async def transaction(self, partition: int) -> AsyncGenerator[PostgresTransaction]:
        async with super().transaction(partition) as transaction:
            if partition == 0 and self.pause_s:
                seconds, self.pause_s = self.pause_s, 0.0
                self.paused += 1
                await asyncio.sleep(seconds)
            yield transaction


class CarelessStore(PausingStore):
    """Shows the cursor where the caller believes it to be: the control."""

    believed: int | None = None

    @asynccontextmanager
    async def transaction(self, partition: int) -> AsyncGenerator[PostgresTransaction]:
        async with super().transaction(partition) as transaction:
            if partition == 0 and self.believed is not None:
                transaction.row = replace(transaction.row, next_offset=self.believed)
            yield transaction


class CarelessDoor(LogDoor):
    """Believes that it is alone."""

    def __init__(self, store: CarelessStore, scene: Scene) -> None:
        super().__init__(Ledger(store, SystemIds()), scene.settings.actor_of, uuid4())
        self._store = store

    async def handle(self, records: Sequence[LogRecord], from_offset: int) -> Handled:
        if records[0].partition == 0:
            self._store.believed = from_offset
        return await super().handle(records, from_offset)


class Rival:
    """A decider that takes all partitions, with a store of its own, and comes back after every end."""

    def __init__(self, scene: Scene, store: PausingStore) -> None:
        self.store = store
        self.stops = 0
        self._scene = scene
        self._decider: Decider | None = None

    async def start(self) -> None:
        scene = self._scene
        store = self.store
        door = CarelessDoor(store, scene) if isinstance(store, CarelessStore) else scene.door(store)
        self._decider = scene.decider(
            self.store, source=scene.source(in_group=False), door=door, settings=SETTINGS
        )
        await self._decider.start()

    async def stop(self) -> None:
        decider, self._decider = self._decider, None
        if decider is not None:
            self.stops += 1
            await decider.stop()


async def _fight(scene: Scene, kind: type[PausingStore], seed: int) -> list[Rival]:
    """Let rivals handle a log that grows, while they are killed, stopped and paused."""
    luck = random.Random(seed)
    rivals = [Rival(scene, await scene.open_store_of(kind, TIMEOUTS)) for _ in range(RIVALS)]
    await asyncio.gather(*(rival.start() for rival in rivals))
    chaos = asyncio.ensure_future(_chaos(scene, rivals, luck))
    try:
        writer, quiet = LogWriter(scene, 0, uuid4()), LogWriter(scene, 1, uuid4())
        await writer.prepare()
        await quiet.prepare()
        for _ in range(ROUNDS):
            await writer.send(RECORDS // ROUNDS)
            await quiet.send(QUIET_RECORDS // ROUNDS)
            await asyncio.sleep(SECONDS / ROUNDS)
    finally:
        chaos.cancel()
        await asyncio.gather(chaos, return_exceptions=True)
    await scene.all_handled()
    for rival in rivals:
        await rival.stop()
    return rivals


async def _chaos(scene: Scene, rivals: list[Rival], luck: random.Random) -> None:
    while True:
        await asyncio.sleep(luck.uniform(0.02, 0.25))
        rival = luck.choice(rivals)
        deed = luck.random()
        if deed < 0.4:
            await _kill_a_session(scene, luck)
        elif deed < 0.7:
            rival.store.pause_s = luck.uniform(0.1, 0.6)  # to both sides of the session's time-out
        else:
            await rival.stop()
            await rival.start()


async def _kill_a_session(scene: Scene, luck: random.Random) -> None:
    await scene.sql(
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE "
        "application_name = 'runfold' AND datname = current_database() "
        f"ORDER BY md5(pid::text || '{luck.random()}') LIMIT 1) AS unlucky"
    )


def _waits_s(events: Sequence[RecordedEvent]) -> float:
    """The longest time between the sending of a command and its event."""
    return max((e.recorded_at - e.occurred_at) / 1e6 for e in events if e.type == "run.tags_set")


@with_scene()
async def test_a_log_with_rival_deciders_is_applied_once_in_order_and_densely(scene: Scene) -> None:
    rivals = await _fight(scene, PausingStore, seed=5)
    assert await damage(scene, 0) == []
    assert await damage(scene, 1) == []
    check_partition(await scene.events(0), 0, scene.partitions, scene.store.epoch)
    assert sum(rival.store.paused for rival in rivals) > 2
    assert sum(rival.stops for rival in rivals) > RIVALS + 2
    waited = _waits_s(await scene.events(1))
    print(f"the other partition waited {waited:.2f} s at most")
    assert waited < TIMEOUTS.lock_ms / 1_000 + SETTINGS.retry_s_max


@with_scene()
async def test_control_without_the_cursor_the_same_check_reports_damage(scene: Scene) -> None:
    await _fight(scene, CarelessStore, seed=5)
    found = await damage(scene, 0)
    print(f"damage found: {len(found)}, such as {found[:2]}")
    assert any("times" in what for what in found), found
