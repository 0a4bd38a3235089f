"""Random work over a wire that fails at random: whatever happens, everything arrives once and in order."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from runfold import _spool_log
from runfold._drain import drain_spool
from runfold._spool import Place, spools_in
from runfold._streams import Pending
from runfold._transport import Answer, Batch
from runfold_events.contract import commands as c
from runfold_events.contract.errors import Invalid, RunfoldError, Unavailable
from runfold_events.contract.submission import Accepted
from tests.support.sdk import Desk, Submit, Wire, lose_answer, lose_request
from tests.support.sdk_log import LogWire
from tests.support.sdk_model import DeliveryModel

RUNS = ("a", "b", "c")


def hiccup(chance: random.Random) -> Any:
    """What may happen to a request."""

    def too_large(batch: Batch, submit: Submit) -> Answer:
        if len(batch.items) > 1:
            raise Invalid("the request is too large")
        return submit(batch)

    def half_done(batch: Batch, submit: Submit) -> Answer:
        """Some of it is committed, then the server dies."""
        middle = chance.randint(0, len(batch.items))
        submit(Batch(workspace=batch.workspace, writer_id=batch.writer_id, items=batch.items[:middle]))
        raise Unavailable("died in the middle")

    return chance.choice([lose_request, lose_answer, half_done, too_large])


def seeds(by_http: int, by_log: int) -> list[tuple[int, bool]]:
    """Seeds, and whether values go by a log."""
    return [*((seed, False) for seed in range(by_http)), *((seed, True) for seed in range(by_log))]


@pytest.mark.parametrize(("seed", "by_log"), seeds(25, 15))
def test_everything_arrives_once_and_in_order(
    seed: int, by_log: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    wire = LogWire(chance=random.Random(seed)) if by_log else Wire()
    monkeypatch.setattr(_spool_log, "SEGMENT_BYTES_MIN", 4096)
    place = Place(folder=chance.choice([None, tmp_path]), bytes_max=chance.choice([12_288, 400_000]))
    desk, model = Desk(place, wire), DeliveryModel()
    streams = {run_id: desk.run(run_id) for run_id in RUNS}
    waiting: list[tuple[Pending, bool]] = []
    desk.deliver()
    for _ in range(150):
        run_id = chance.choice(RUNS)
        stream = streams[run_id]
        match chance.randint(0, 9):
            case 0 | 1 | 2 | 3:
                values = [chance.random() for _ in range(chance.randint(1, 8))]
                before = stream.lost_values
                desk.log(stream, "loss", *values)
                model.log(run_id, values, stream.lost_values - before)
            case 4:
                desk.put(stream, c.SetTags(run_id=run_id, tags={"n": str(_)}))
                model.tag(run_id, str(_))
            case 5:
                key, value = chance.choice("pq"), chance.choice("12")
                command = c.AddProperties(run_id=run_id, properties={key: value})
                waiting.append((desk.put(stream, command, waited=True), model.property(run_id, key, value)))
            case 6 | 7:
                desk.wire.faults.append(hiccup(chance))
            case _:
                desk.now_s += desk.sender.wait_s()
                desk.sender.deliver()
    desk.deliver(requests_max=2_000)

    for pending, is_accepted in waiting:
        assert isinstance(pending.outcome, Accepted if is_accepted else RunfoldError)
    for run_id in RUNS:
        view = desk.wire.run("w", run_id, None)
        assert desk.values(run_id, "loss") == model.values[run_id]
        assert view.tags == model.tags[run_id]
        assert view.properties == model.properties[run_id]
        assert view.lost_values == model.lost[run_id]
        stream = streams[run_id]
        twins = [stream] if stream.values_twin is None else [stream, stream.values_twin]
        writers = {one.writer_id: one.next_seq - 1 for one in twins}
        marks = desk.wire.writers("w", run_id)
        assert {mark.writer_id: mark.highest for mark in marks} == writers
        assert len(marks) == 1 + by_log
        assert all(mark.gaps == () for mark in marks)
        assert streams[run_id].rejections == []
    assert desk.journal.values == 0
    desk.wire.close()


class Killed(BaseException):
    """The process that sends ends here."""


def killing(chance: random.Random) -> Any:
    """Whoever sends is killed: before the request, after it, or when half of it is committed."""

    def fault(batch: Batch, submit: Submit) -> Answer:
        part = chance.choice([0, len(batch.items) // 2, len(batch.items)])
        if part:
            submit(Batch(workspace=batch.workspace, writer_id=batch.writer_id, items=batch.items[:part]))
        raise Killed

    return fault


class Lives:
    """One process after the other logs to the same runs; each dies and leaves its spool to whoever comes."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        forgets: Callable[[Path], None] = lambda folder: None,
        *,
        by_log: bool = False,
    ) -> None:
        self.chance = random.Random(seed)
        self.wire = LogWire(chance=random.Random(seed)) if by_log else Wire()
        self.place, self.model = Place(folder=folder), DeliveryModel()
        self._forgets = forgets  # what is done to a dead process's spool
        self._desk = Desk(self.place, self.wire)
        self._streams = {run_id: self._desk.run(run_id) for run_id in RUNS}
        self._desk.deliver()

    def live(self, steps: int) -> None:
        for number in range(steps):
            try:
                self._step(number)
            except Killed:
                self._die()
        self._die()

    def _step(self, number: int) -> None:
        chance, desk = self.chance, self._desk
        run_id = chance.choice(RUNS)
        match chance.randint(0, 11):
            case 0 | 1 | 2 | 3:
                values = [chance.random() for _ in range(chance.choice([1, 8, 150]))]
                desk.log(self._streams[run_id], "loss", *values)
                self.model.log(run_id, values, 0)
            case 4:
                desk.put(self._streams[run_id], c.SetTags(run_id=run_id, tags={"n": str(number)}))
                self.model.tag(run_id, str(number))
            case 5:
                key, value = chance.choice("pq"), chance.choice("12")
                desk.put(self._streams[run_id], c.AddProperties(run_id=run_id, properties={key: value}))
                self.model.property(run_id, key, value)
            case 6:
                self.wire.faults.append(hiccup(chance))
            case 7:
                self.wire.faults.append(killing(chance))
            case 8:
                self._die()
            case _:
                desk.now_s += desk.sender.wait_s()
                desk.sender.deliver()

    def _die(self) -> None:
        self._desk.die()
        for spool in spools_in(self.place.folder or Path()):
            self._forgets(spool)
        self._drain()
        self._desk = Desk(self.place, self.wire)
        self._streams = {run_id: self._desk.run(run_id, create=False) for run_id in RUNS}

    def _drain(self) -> None:
        folder = self.place.folder or Path()
        for _ in range(200):
            for spool in spools_in(folder):
                with suppress(Killed):
                    drain_spool(spool, lambda: self.wire, patience_s=0.0)
            if not list(spools_in(folder)):
                return
        raise AssertionError(f"left: {list(spools_in(folder))}")

    def differences(self) -> list[str]:
        """What is not as a faultless delivery would have left it."""
        found: list[str] = []
        for run_id in RUNS:
            view = self.wire.run("w", run_id, None)
            values = _values(self.wire, run_id)
            expected = self.model.values[run_id]
            found += [f"{run_id}: {len(expected)} values, {len(values)} arrived"] * (values != expected)
            found += [f"{run_id}: tags {view.tags}"] * (view.tags != self.model.tags[run_id])
            found += [f"{run_id}: properties"] * (view.properties != self.model.properties[run_id])
            found += [f"{run_id}: {view.lost_values} lost"] * bool(view.lost_values)
        return found


def _values(wire: Wire, run_id: str) -> list[Any]:
    found = wire.metrics("w", run_id, ("loss",), False, None, None)
    return found[0].columns["loss"] if found else []


@pytest.mark.parametrize(("seed", "by_log"), seeds(12, 8))
def test_whoever_is_killed_whenever_loses_and_doubles_nothing(
    seed: int, by_log: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The writer dies at random, and so do those who deliver what it left: each in the middle of a request, too."""
    monkeypatch.setattr(_spool_log, "SEGMENT_BYTES_MIN", 4096)
    lives = Lives(seed, tmp_path, by_log=by_log)
    lives.live(150)

    assert lives.differences() == []


@pytest.mark.parametrize("by_log", [False, True])
def test_without_the_log_of_deliveries_the_same_story_shows_the_damage(
    by_log: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The control: what was sent before is packed and numbered anew."""
    monkeypatch.setattr(_spool_log, "SEGMENT_BYTES_MIN", 4096)

    def forget(spool: Path) -> None:
        for path in spool.glob("sends-*"):
            path.unlink()

    damaged = 0
    for seed in range(3):
        lives = Lives(seed, tmp_path / str(seed), forget, by_log=by_log)
        lives.live(150)
        damaged += bool(lives.differences())

    assert damaged == 3
