"""The example's view: what follows on what, and what a restored store takes back."""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.repository import ROOT

PATH: Final = ROOT / "deploy" / "examples" / "completed_runs" / "completed_view.py"
A, B, C = "epoch-a", "epoch-b", "epoch-c"


def _load() -> Any:
    """The module as a program beside it imports it."""
    spec = importlib.util.spec_from_file_location("completed_view", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["completed_view"] = module
    spec.loader.exec_module(module)
    return module


view_module: Any = _load()


class View:
    """A view and what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.view: Any = view_module.CompletedRuns(path)

    def rows(self) -> list[str]:
        with closing(sqlite3.connect(self.path)) as db:
            return [row[0] for row in db.execute("SELECT stream FROM completed_run ORDER BY stream")]

    def apply(self, *events: Any) -> int:
        return int(self.view.apply(events))


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    view = View(tmp_path / "view.db")
    yield view
    view.view.close()


def event(pos: int, kind: str, run: str = "r", epoch: str = A, partition: int = 0, **body: Any) -> Any:
    return view_module.Event(partition, pos, epoch, kind, f"w/run/{run}", "2026-01-31T00:00:00Z", body)


def created(pos: int, run: str, epoch: str = A, **more: Any) -> Any:
    return event(pos, "run.created", run, epoch, experiment="e", number=pos, **more)


def completed(pos: int, run: str, epoch: str = A) -> Any:
    return event(pos, "run.completed", run, epoch)


def restored(pos: int, previous: str, epoch: str) -> Any:
    return event(pos, "store.restored", "-", epoch, previous_epoch=previous)


STORY: Final = (created(0, "a"), completed(1, "a"), created(2, "b"), completed(3, "b"), created(4, "c"))


def test_events_are_taken_once(view: View) -> None:
    assert view.apply(*STORY) == view.apply(*STORY) == 5
    assert view.rows() == ["w/run/a", "w/run/b"]
    assert view.view.next_pos(0) == 5


def test_without_the_checkpoint_a_repetition_does_damage(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    view.apply(*STORY)

    def nothing_seen(partition: int) -> tuple[str, int]:
        return A, 0

    monkeypatch.setattr(view.view, "_checkpoint", nothing_seen)
    with pytest.raises(sqlite3.IntegrityError):
        view.apply(STORY[0])


def test_a_skipped_position_is_not_taken(view: View) -> None:
    assert view.apply(STORY[0], STORY[1], STORY[3]) == 2
    assert view.view.next_pos(0) == 2
    assert view.apply(*STORY[2:]) == 3


def test_who_does_not_look_at_positions_misses_what_was_skipped(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    following = [STORY[0], STORY[1], STORY[2], STORY[4]]

    def as_it_comes(partition: int) -> tuple[str, int]:
        return A, following[0].pos

    monkeypatch.setattr(view.view, "_checkpoint", as_it_comes)
    while following:
        assert view.apply(following[0]) == 1
        following.pop(0)
    assert view.rows() == ["w/run/a"]  # and nobody was told that b is missing


def test_a_first_event_that_is_not_the_first_is_a_hole(view: View) -> None:
    assert view.apply(STORY[2]) == 0
    assert view.view.next_pos(0) == 0


def test_partitions_are_apart(view: View) -> None:
    view.apply(*STORY)
    assert view.apply(event(0, "run.created", "z", partition=1)) == 1
    assert (view.view.next_pos(0), view.view.next_pos(1)) == (5, 1)


def test_a_transaction_is_whole_or_not_there(view: View) -> None:
    broken = event(2, "run.created", run="b")
    object.__setattr__(broken, "stream", None)
    with pytest.raises(sqlite3.IntegrityError):
        view.apply(STORY[0], STORY[1], broken)
    assert (view.view.next_pos(0), view.rows()) == (0, [])


def test_what_a_restored_store_does_not_know_is_taken_back(view: View) -> None:
    view.apply(*STORY, completed(5, "c"), event(6, "run.erased", "a"))
    assert view.rows() == ["w/run/b", "w/run/c"]
    assert view.apply(restored(3, A, B)) == 1
    assert view.rows() == ["w/run/a"]  # b's end and c are void, and so is a's erasure
    assert view.view.next_pos(0) == 4
    assert view.apply(completed(4, "b", B), created(5, "c", B)) == 2
    assert view.rows() == ["w/run/a", "w/run/b"]


def test_without_taking_back_void_runs_stay(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    view.apply(*STORY)

    def nothing(partition: int, from_pos: int) -> None:
        pass

    monkeypatch.setattr(view.view, "_take_back", nothing)
    view.apply(restored(3, A, B))
    assert "w/run/b" in view.rows()


def test_what_still_comes_of_a_past_epoch_is_dropped(view: View) -> None:
    view.apply(*STORY, restored(3, A, B))
    assert view.apply(completed(5, "c", A), created(4, "x", A)) == 2
    assert view.view.next_pos(0) == 4
    assert view.rows() == ["w/run/a"]


def test_events_before_the_restoration_are_missed_first(view: View) -> None:
    view.apply(*STORY[:2])
    assert view.apply(restored(3, A, B)) == 0
    assert view.apply(STORY[2], restored(3, A, B)) == 2


def test_an_epoch_that_nobody_announced_is_not_taken(view: View) -> None:
    view.apply(*STORY)
    assert view.apply(created(5, "x", C)) == 0
    assert view.apply(restored(3, B, C)) == 0
    assert not view.view.is_of_now(created(5, "x", C))
    view.view.forget(0)
    assert view.apply(STORY[0], restored(1, A, B), restored(2, B, C), created(3, "x", C)) == 4
    assert view.rows() == []
    view.view.end_epoch(0, "epoch-of-nobody")
    assert view.apply(created(9, "y", "epoch-of-nobody")) == 1
