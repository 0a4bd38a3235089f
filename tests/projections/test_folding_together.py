"""Little news of several partitions, folded in one transaction: views equal a replay, what goes wrong stays apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from runfold_events.contract import events as e
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.tokens import Token
from runfold_events.sync import run_sync
from runfold_projections.dump import dump
from runfold_projections.projection import FoldEvents, ViewTransaction
from runfold_projections.runner import Folder, Rival, active_checkpoint
from runfold_projections.runs.fold import RunsProjection
from runfold_projections.testing.history import MemorySource
from tests.projections.support import Folded, refolded

PARTITIONS = 4


class Fragile(RunsProjection):
    """A projection that cannot read some events."""

    async def apply(self, events: FoldEvents, tx: ViewTransaction) -> None:
        await super().apply(events, tx)
        if any(event.type == "run.archived" for event in events.recorded):
            raise ValueError("cannot read this")


def scattered(tmp_path: Path, name: str = "views.db") -> tuple[Folded, MemorySource]:
    """Runs and children over four partitions, and views that have folded nothing yet."""
    source = MemorySource(PARTITIONS)
    folded = Folded(source, tmp_path / name)
    run_sync(folded.views.catch_up(Token(source.epoch, {})))
    folded.history.experiment()
    for number in range(12):
        folded.history.create(f"r{number}", f"r{number - 1}" if number % 3 else None, tags={"n": str(number)})
    for number in range(12):
        folded.history.log(f"r{number}", "loss", [1.0, 0.5])
        folded.history.complete(f"r{number}")
    assert all(source.events)
    return folded, source


def fold_together(folded: Folded, source: MemorySource, **bounds: int) -> dict[int, int]:
    async def fold() -> dict[int, int]:
        folder = Folder(source, folded.store, folded.projections, **bounds)
        catalogue = await folder.catalogue()
        wanted = {
            partition: [active_checkpoint(catalogue, one, partition) for one in folded.projections]
            for partition in range(source.partitions)
        }
        return await folder.fold_together(source, wanted, await source.ends())

    return run_sync(fold())


def test_partitions_that_are_folded_together_give_the_views_of_a_replay(tmp_path: Path) -> None:
    folded, source = scattered(tmp_path)
    before = run_sync(dump(folded.store, folded.projections))
    assert fold_together(folded, source) == {p: len(events) for p, events in enumerate(source.events)}
    found = run_sync(dump(folded.store, folded.projections))
    assert found == refolded(source)
    assert found != before


def test_what_is_too_much_to_be_folded_together_is_left(tmp_path: Path) -> None:
    folded, source = scattered(tmp_path)
    sizes = [sum(len(event.body or b"") for event in events) for events in source.events]
    fewest = min(map(len, source.events))
    by_count = fold_together(folded, source, batch_events_max=fewest)
    assert by_count == {p: fewest for p, events in enumerate(source.events) if len(events) == fewest}
    folded, source = scattered(tmp_path, "other.db")
    by_size = fold_together(folded, source, batch_body_bytes_max=min(sizes) * 4)
    assert set(by_size) == {sizes.index(min(sizes))}
    assert folded.dump() == refolded(source)


def test_what_has_come_since_the_ends_were_read_is_folded_too(tmp_path: Path) -> None:
    folded, source = scattered(tmp_path)

    class Growing(MemorySource):
        async def read_several(
            self, places: Mapping[int, int], events_max: int, bytes_max: int
        ) -> list[RecordedEvent]:
            folded.history.log("r0", "loss", [0.25])
            return await source.read_several(places, events_max, bytes_max)

        async def ends(self) -> tuple[int, ...]:
            return await source.ends()

    assert fold_together(folded, Growing(PARTITIONS)) == {
        partition: len(events) for partition, events in enumerate(source.events)
    }
    assert folded.dump() == refolded(source)


def test_a_rival_on_one_of_them_leaves_all_as_they_are(tmp_path: Path) -> None:
    folded, source = scattered(tmp_path)

    class Late(MemorySource):
        async def read_several(
            self, places: Mapping[int, int], events_max: int, bytes_max: int
        ) -> list[RecordedEvent]:
            rival = Folded(source, tmp_path / "views.db")
            ends = {partition: len(events) for partition, events in enumerate(source.events)}
            await rival.views.catch_up(Token(source.epoch, {2: ends[2]}))
            return await source.read_several(places, events_max, bytes_max)

        async def ends(self) -> tuple[int, ...]:
            return await source.ends()

    late = Late(PARTITIONS)
    with pytest.raises(Rival):
        fold_together(folded, late)
    standing = run_sync(folded.store.catalogue()).checkpoints.values()
    assert {c.partition for c in standing if c.pos} == {2}
    assert folded.dump() == refolded(source)


def test_what_cannot_be_folded_stops_one_view_on_one_partition_only(tmp_path: Path) -> None:
    folded, source = scattered(tmp_path)
    bad = folded.history.run("r5", e.RunArchived())
    place = next(n for n, one in enumerate(folded.projections) if one.name == "runs")
    folded.projections[place] = Fragile()
    fold_together(folded, source)
    standing = run_sync(folded.store.catalogue()).checkpoints.values()
    behind = {
        (c.generation.projection, c.partition): c.pos
        for c in standing
        if c.pos < len(source.events[c.partition])
    }
    assert behind == {("runs", bad.partition): bad.pos}
