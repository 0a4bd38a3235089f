"""The store's contract on Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from runfold_events.clock import ManualClock
from runfold_events.ports import EventStore
from runfold_events.stores.postgres.store import PostgresTimeouts
from runfold_events.testing.contract.base import Scene, Work
from runfold_events.testing.store_contract import LOCK_TIMEOUT_S, SharedStoreContract
from tests.support.postgres_store import as_service, open_named_in, place_dsn, shift_clock, template
from tests.support.stack import StackForTest

T = TypeVar("T")


class TestPostgresStore(SharedStoreContract):
    _runner: asyncio.Runner
    _stack: StackForTest
    _dsn: str
    _shift_s: float

    @pytest.fixture(autouse=True)
    def loop_and_database(self, stack: StackForTest, tmp_path: Path) -> Generator[None]:
        self._stack = stack
        self._shift_s = 0.0
        self._dsn = self._make(tmp_path / "dsn")
        with asyncio.Runner() as self._runner:
            yield

    def _make(self, place: Path) -> str:
        """A store in a database of its own, which the file ``place`` names from now on."""
        dsn = self._stack.database(template(self.PARTITIONS))
        place_dsn(place, dsn)
        return dsn

    @pytest.fixture
    def place(self, loop_and_database: None, tmp_path: Path) -> Path:
        return tmp_path / "dsn"

    async def open_store(
        self, place: Path, clock: ManualClock, *, lock_timeout_s: float = LOCK_TIMEOUT_S
    ) -> EventStore:
        if not await asyncio.to_thread(place.exists):
            self._make(place)
        return await open_named_in(place, timeouts=PostgresTimeouts(lock_ms=round(lock_timeout_s * 1_000)))

    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    async def at_once(self, *works: Work[T]) -> list[T | BaseException]:
        return list(await asyncio.gather(*(work() for work in works), return_exceptions=True))

    async def pass_time(self, scene: Scene, seconds: float) -> None:
        self._shift_s += seconds
        await shift_clock(self._dsn, self._shift_s)

    def opener(self, place: Path) -> list[str]:
        return ["tests.support.postgres_store:open_named_in", str(place)]

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE runfold.events SET actor = 'nobody'",
            "DELETE FROM runfold.events",
            "TRUNCATE runfold.events",
            "INSERT INTO runfold.heads VALUES ('w/run/r', 1, '')",
            "UPDATE runfold.partitions SET next_pos = 0",
            "ALTER TABLE runfold.events DISABLE TRIGGER ALL",
            "DROP TRIGGER events_update ON runfold.events",
            "SET session_replication_role = replica",
            "CREATE TABLE runfold.mine (x int)",
            "SELECT runfold.erase_bodies(0, 99, '{w/run/r}')",
        ],
    )
    def test_the_service_role_can_change_nothing_but_by_the_functions(
        self, scene: Scene, statement: str
    ) -> None:
        async def attack() -> None:
            connection = await asyncpg.connect(as_service(self._dsn))
            try:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
            finally:
                await connection.close()

        self.drive(scene.append(0, [scene.build.event("w/run/r")]))
        self.drive(attack())

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE runfold.events SET actor = 'nobody'",
            "UPDATE runfold.events SET body = NULL, salt = NULL",
            "DELETE FROM runfold.events",
            "TRUNCATE runfold.events",
            "DELETE FROM runfold.partitions",
            "UPDATE runfold.meta SET partitions = 1",
            "SET session_replication_role = replica; DELETE FROM runfold.events",
            "SET session_replication_role = replica; TRUNCATE runfold.events",
        ],
    )
    def test_not_even_the_owner_changes_events_while_the_triggers_stand(
        self, scene: Scene, statement: str
    ) -> None:
        async def attack() -> None:
            connection = await asyncpg.connect(self._dsn)
            try:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
            finally:
                await connection.close()

        placed = self.drive(scene.append(0, [scene.build.event("w/run/r")]))
        self.drive(attack())
        assert self.drive(scene.store.read(0, 0, 10)) == placed
