"""Reading, numbers, and closing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import chain
from typing import Any, Final

import pytest

from runfold_events.contract.envelope import public_part
from runfold_events.contract.errors import Unavailable
from runfold_events.ports import EventStore, WriterMark
from runfold_events.testing.contract.base import ANN, BOB, ELSEWHERE, ONE, TWO, ContractBase, Scene, driven

EXPERIMENT = "default/experiment/e"
OTHER = "default/experiment/o"


class ReadContract(ContractBase):
    """Committed events, in order, in pages."""

    @driven
    async def test_read_gives_pages_in_order(self, scene: Scene) -> None:
        placed = await scene.append(0, [scene.build.event(ONE) for _ in range(7)])
        assert await scene.store.read(0, 0, 3) == placed[:3]
        assert await scene.store.read(0, 3, 3) == placed[3:6]
        assert await scene.store.read(0, 6, 3) == placed[6:]
        assert await scene.store.read(0, 7, 3) == []
        assert await scene.store.read(0, 99, 3) == []
        assert await scene.store.read(3, 0, 3) == []

    @driven
    async def test_who_proves_nothing_reads_the_same_events(self, scene: Scene) -> None:
        placed = await scene.append(0, [scene.build.event(ONE) for _ in range(5)])
        for first, count in ((0, 9), (2, 2), (9, 1)):
            found = await scene.store.read_public(0, first, count)
            assert [public_part(event) for event in found] == [
                public_part(event) for event in placed[first : first + count]
            ]

    @driven
    async def test_read_stream_gives_one_stream_only(self, scene: Scene) -> None:
        placed = await scene.append(0, [scene.build.event(stream) for stream in (ONE, TWO, ONE, TWO, ONE)])
        await scene.append(1, [scene.build.event(ELSEWHERE)])
        ones = placed[::2]
        assert await scene.store.read_stream(ONE, 1, 10) == ones
        assert await scene.store.read_stream(ONE, 2, 1) == ones[1:2]
        assert await scene.store.read_stream(ONE, 4, 10) == []
        assert await scene.store.read_stream("default/run/unknown", 1, 10) == []
        assert [event.stream_seq for event in ones] == [1, 2, 3]

    @driven
    async def test_outcomes_are_found_by_command(self, scene: Scene) -> None:
        build = scene.build
        placed = await scene.append(
            0,
            [
                build.event(ONE, "run.created", writer_id=ANN, writer_seq=1),
                build.event(ONE, "run.started", writer_id=ANN, writer_seq=1),
                build.event(ONE, "run.tags_set", writer_id=BOB, writer_seq=1),
                build.event(TWO, "run.tags_set", writer_id=ANN, writer_seq=1),
                build.event(ONE, "run.tags_set", writer_id=ANN, writer_seq=3),
            ],
        )
        found = await scene.store.outcomes(
            [(ONE, ANN, 1), (ONE, ANN, 2), (ONE, ANN, 3), (TWO, ANN, 1), (TWO, BOB, 1), (ONE, ANN, 1)]
        )
        assert found == {
            (ONE, ANN, 1): placed[:2],
            (ONE, ANN, 3): placed[4:],
            (TWO, ANN, 1): placed[3:4],
        }
        assert await scene.store.outcomes([]) == {}

    @driven
    async def test_outcomes_hold_no_metric_events(self, scene: Scene) -> None:
        metrics = scene.build.event(ONE, "run.metrics_logged", writer_id=ANN, writer_seq=1)
        rejected = scene.build.event(ONE, "run.command_rejected", writer_id=ANN, writer_seq=2)
        placed = await scene.append(0, [metrics, rejected])
        found = await scene.store.outcomes([(ONE, ANN, 1), (ONE, ANN, 2)])
        assert found == {(ONE, ANN, 2): placed[1:]}


class NumbersContract(ContractBase):
    """Run numbers."""

    @driven
    async def test_run_numbers_ascend_per_experiment(self, scene: Scene) -> None:
        reserve = scene.store.reserve_run_numbers
        assert [await reserve(EXPERIMENT, 1), await reserve(EXPERIMENT, 10)] == [1, 2]
        assert [await reserve(EXPERIMENT, 2), await reserve(OTHER, 1)] == [12, 1]

    @driven
    async def test_run_numbers_are_unique_under_concurrency(self, scene: Scene) -> None:
        async def reserve() -> list[int]:
            firsts = [await scene.store.reserve_run_numbers(EXPERIMENT, 3) for _ in range(20)]
            return [first + step for first in firsts for step in range(3)]

        results = await self.at_once(*[reserve] * 4)
        numbers = [result for result in results if not isinstance(result, BaseException)]
        assert sorted(chain.from_iterable(numbers)) == list(range(1, 241))


async def _begin(store: EventStore) -> None:
    async with store.transaction(0):
        pass


CALLS: Final[dict[str, Callable[[EventStore], Coroutine[Any, Any, Any]]]] = {
    "transaction": _begin,
    "read": lambda store: store.read(0, 0, 1),
    "read_stream": lambda store: store.read_stream(ONE, 1, 1),
    "ends": lambda store: store.ends(),
    "outcomes": lambda store: store.outcomes([(ONE, ANN, 1)]),
    "heads": lambda store: store.heads([ONE]),
    "writers": lambda store: store.writers(ONE),
    "announce": lambda store: store.announce({(ONE, ANN): 1}),
    "reserve_run_numbers": lambda store: store.reserve_run_numbers(EXPERIMENT, 1),
    "renew_lease": lambda store: store.renew_lease(ANN, 1),
    "end_lease": lambda store: store.end_lease(ANN),
    "held_by": lambda store: store.held_by(ANN),
    "without_live_holder": lambda store: store.without_live_holder(1),
    "lost_with_live_holder": lambda store: store.lost_with_live_holder(1),
}


class CloseContract(ContractBase):
    """After the end."""

    @pytest.mark.parametrize("method", CALLS)
    @driven
    async def test_a_closed_store_is_unavailable(self, scene: Scene, method: str) -> None:
        await scene.append(0, [scene.build.event(ONE)], marks=[WriterMark(ONE, ANN, 1, None)])
        await scene.store.close()
        await scene.store.close()
        with pytest.raises(Unavailable):
            await CALLS[method](scene.store)
