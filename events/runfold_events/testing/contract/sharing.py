"""What outlives a store object, and what several processes share."""

from __future__ import annotations

import os
import subprocess
import sys
from abc import abstractmethod
from pathlib import Path

from runfold_events.clock import ManualClock
from runfold_events.contract.envelope import CHAIN_START, check_events
from runfold_events.ports import Head, WriterMark
from runfold_events.testing.contract.base import ANN, EVENTS_MAX, LEASE_US, ONE, ContractBase, Scene, driven

PROCESSES = 3
TRANSACTIONS = 15
PROCESS_TIMEOUT_S = 60.0


class SharingContract(ContractBase):
    """For stores that more than one object can open."""

    @abstractmethod
    def opener(self, place: Path) -> list[str]:
        """Arguments for ``python -m runfold_events.testing.appender``: how another process opens the store."""

    @driven
    async def test_everything_is_there_after_reopening(self, scene: Scene, place: Path) -> None:
        head, mark = Head(ONE, 1, b"state"), WriterMark(ONE, ANN, 1, b"d" * 32)
        await scene.store.renew_lease(ANN, LEASE_US)
        placed = await scene.append(
            0, [scene.build.event(ONE)], heads=[head], marks=[mark], hold=[(ONE, ANN)], next_offset=3
        )
        first = await scene.store.reserve_run_numbers("default/experiment/e", 5)
        await scene.store.close()
        store = await self.open_store(place, scene.clock)
        again = Scene(store, scene.clock)
        loaded = await again.load([ONE], [(ONE, ANN)])
        assert (store.epoch, store.partitions) == (scene.store.epoch, self.PARTITIONS)
        assert await store.read(0, 0, 10) == placed
        assert (loaded.heads, loaded.marks) == ({ONE: head}, {(ONE, ANN): mark})
        assert loaded.holders[ONE].live == {ANN}
        assert await store.reserve_run_numbers("default/experiment/e", 1) == first + 5
        async with store.transaction(0) as transaction:
            assert transaction.row.next_offset == 3
        await store.close()

    @driven
    async def test_two_stores_see_one_truth(self, scene: Scene, place: Path) -> None:
        other = await self.open_store(place, scene.clock)
        assert other.epoch == scene.store.epoch
        first = await scene.append(0, [scene.build.event(ONE)])
        assert await other.read(0, 0, 10) == first
        async with other.transaction(0) as transaction:
            assert transaction.row.chain_head == first[0].chain
        await other.close()
        assert await scene.store.ends() == (1, 0, 0, 0)

    def test_processes_append_to_one_chain(self, place: Path) -> None:
        self.drive(self._create(place))
        programs = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "runfold_events.testing.appender", f"p{number}"),
                    *(str(TRANSACTIONS), *self.opener(place)),
                ],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for number in range(PROCESSES)
        ]
        assert [program.wait(PROCESS_TIMEOUT_S) for program in programs] == [0] * PROCESSES
        self.drive(self._check_processes(place))

    async def _create(self, place: Path) -> None:
        await (await self.open_store(place, ManualClock())).close()

    async def _check_processes(self, place: Path) -> None:
        store = await self.open_store(place, ManualClock())
        events = await store.read(0, 0, EVENTS_MAX)
        damage, _ = check_events(events, partition=0, from_pos=0, previous_chain=CHAIN_START)
        assert damage == []
        counts = {number: sum(event.actor == f"p{number}" for event in events) for number in range(PROCESSES)}
        assert counts == dict.fromkeys(range(PROCESSES), TRANSACTIONS)
        await store.close()
