"""Leases and holders, judged by the store's clock."""

from __future__ import annotations

from uuid import UUID

from runfold_events.ports import Holders
from runfold_events.testing.contract.base import ANN, BOB, LEASE_US, ONE, TWO, ContractBase, Scene, driven

MUCH = 100


class LeaseContract(ContractBase):
    """Who holds a run, and whether they live."""

    @driven
    async def test_a_run_that_nobody_held_has_no_holders(self, scene: Scene) -> None:
        await scene.append(0, [scene.build.event(ONE)])
        assert (await scene.load([ONE])).holders == {}
        assert not (await scene.holders(ONE)).ever
        assert await scene.store.without_live_holder(MUCH) == []

    @driven
    async def test_a_holder_lives_as_long_as_its_lease(self, scene: Scene) -> None:
        await scene.store.renew_lease(ANN, LEASE_US)
        await scene.append(0, hold=[(ONE, ANN)])
        assert await scene.holders(ONE) == Holders(live=frozenset({ANN}))
        await self.pass_time(scene, 119)
        assert await scene.holders(ONE) == Holders(live=frozenset({ANN}))
        await self.pass_time(scene, 2)
        assert await scene.holders(ONE) == Holders(dead=frozenset({ANN}))

    @driven
    async def test_live_leases_are_counted(self, scene: Scene) -> None:
        assert await scene.store.live_leases() == 0
        await scene.store.renew_lease(ANN, LEASE_US)
        await self.pass_time(scene, 100)
        await scene.store.renew_lease(BOB, LEASE_US)
        assert await scene.store.live_leases() == 2
        await self.pass_time(scene, 100)
        assert await scene.store.live_leases() == 1
        await scene.store.end_lease(BOB)
        assert await scene.store.live_leases() == 0

    @driven
    async def test_a_heartbeat_brings_a_holder_back(self, scene: Scene) -> None:
        await scene.store.renew_lease(ANN, LEASE_US)
        await scene.append(0, hold=[(ONE, ANN)])
        await self.pass_time(scene, 200)
        assert await scene.store.without_live_holder(MUCH) == [ONE]
        await scene.store.renew_lease(ANN, LEASE_US)
        assert await scene.holders(ONE) == Holders(live=frozenset({ANN}))
        assert await scene.store.without_live_holder(MUCH) == []

    @driven
    async def test_renewing_counts_from_now(self, scene: Scene) -> None:
        await scene.append(0, hold=[(ONE, ANN)])
        for _ in range(3):
            await scene.store.renew_lease(ANN, LEASE_US)
            await self.pass_time(scene, 100)
        assert (await scene.holders(ONE)).live == {ANN}
        await self.pass_time(scene, 30)
        assert (await scene.holders(ONE)).live == frozenset()

    @driven
    async def test_a_holder_without_any_lease_is_dead(self, scene: Scene) -> None:
        await scene.append(0, hold=[(ONE, ANN)])
        assert await scene.holders(ONE) == Holders(dead=frozenset({ANN}))
        assert await scene.store.without_live_holder(MUCH) == [ONE]

    @driven
    async def test_one_live_holder_is_enough(self, scene: Scene) -> None:
        await scene.store.renew_lease(BOB, LEASE_US)
        await scene.append(0, hold=[(ONE, ANN), (ONE, BOB), (ONE, BOB)])
        assert await scene.holders(ONE) == Holders(live=frozenset({BOB}), dead=frozenset({ANN}))
        assert await scene.store.without_live_holder(MUCH) == []

    @driven
    async def test_end_lease_names_what_was_held(self, scene: Scene) -> None:
        await scene.store.renew_lease(ANN, LEASE_US)
        await scene.append(0, hold=[(TWO, ANN), (ONE, ANN), (TWO, BOB)])
        assert sorted(await scene.store.end_lease(ANN)) == sorted([ONE, TWO])
        assert await scene.holders(ONE) == Holders(dead=frozenset({ANN}))
        assert sorted(await scene.store.without_live_holder(MUCH)) == sorted([ONE, TWO])

    @driven
    async def test_ending_an_unknown_lease_changes_nothing(self, scene: Scene) -> None:
        await scene.store.renew_lease(ANN, LEASE_US)
        await scene.append(0, hold=[(ONE, ANN)])
        assert await scene.store.end_lease(UUID(int=99)) == []
        assert await scene.holders(ONE) == Holders(live=frozenset({ANN}))

    @driven
    async def test_held_by_names_runs_that_have_not_ended(self, scene: Scene) -> None:
        await scene.append(0, hold=[(ONE, ANN), (TWO, ANN)])
        assert sorted(await scene.store.held_by(ANN)) == sorted([ONE, TWO])
        await scene.append(0, ended=[ONE])
        assert await scene.store.held_by(ANN) == [TWO]
        assert await scene.store.held_by(BOB) == []

    @driven
    async def test_who_is_dropped_holds_a_run_no_more_unless_it_takes_it_at_once(self, scene: Scene) -> None:
        await scene.append(0, hold=[(ONE, ANN), (TWO, ANN), (ONE, BOB)])
        await scene.append(0, drop=[(ONE, ANN), (ONE, BOB)], hold=[(ONE, BOB)])
        assert await scene.store.held_by(ANN) == [TWO]
        assert await scene.store.held_by(BOB) == [ONE]

    @driven
    async def test_nobody_holds_what_ended(self, scene: Scene) -> None:
        await scene.append(0, hold=[(ONE, ANN), (ONE, BOB)], lost=[ONE])
        await scene.append(0, ended=[ONE])
        assert (await scene.load([ONE])).holders == {}
        await scene.store.renew_lease(ANN, LEASE_US)
        assert await scene.store.without_live_holder(MUCH) == []
        assert await scene.store.lost_with_live_holder(MUCH) == []

    @driven
    async def test_what_starts_and_ends_at_once_is_held_by_nobody(self, scene: Scene) -> None:
        await scene.append(0, hold=[(ONE, ANN)], ended=[ONE])
        assert (await scene.load([ONE])).holders == {}
        assert await scene.store.without_live_holder(MUCH) == []

    @driven
    async def test_lost_runs_wait_for_a_live_holder(self, scene: Scene) -> None:
        store = scene.store
        await scene.append(0, hold=[(ONE, ANN), (TWO, BOB)])
        await scene.append(0, lost=[ONE])
        assert await store.without_live_holder(MUCH) == [TWO]
        assert await store.lost_with_live_holder(MUCH) == []
        await store.renew_lease(ANN, LEASE_US)
        assert await store.lost_with_live_holder(MUCH) == [ONE]
        await scene.append(0, found=[ONE])
        assert await store.lost_with_live_holder(MUCH) == []
        await self.pass_time(scene, 200)
        assert sorted(await store.without_live_holder(MUCH)) == sorted([ONE, TWO])

    @driven
    async def test_another_process_can_find_a_lost_run(self, scene: Scene) -> None:
        await scene.append(0, hold=[(ONE, ANN)], lost=[ONE])
        await scene.store.renew_lease(BOB, LEASE_US)
        await scene.append(0, hold=[(ONE, BOB)])
        assert await scene.store.lost_with_live_holder(MUCH) == [ONE]

    @driven
    async def test_candidates_are_limited(self, scene: Scene) -> None:
        names = [f"default/run/{number:02}" for number in range(12)]
        await scene.append(0, hold=[(name, ANN) for name in names])
        assert len(await scene.store.without_live_holder(5)) == 5
        await scene.append(0, lost=names)
        await scene.store.renew_lease(ANN, LEASE_US)
        assert len(await scene.store.lost_with_live_holder(5)) == 5
