"""Lists, page after page: when a page is asked for, and when one that was asked for early is not used."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from runfold import _pages
from runfold._connection import Connection
from runfold._pages import pages
from runfold_events.contract import commands as c
from runfold_projections.model import Page, RunQuery
from tests.support.sdk import Wire, connection_over

RUNS = 12
EVERY_RUN = RunQuery(order_by="created_at", include_archived=True)
WAIT_S = 30.0


class Asked(Wire):
    """Remembers which pages were asked for, and by whom."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[tuple[int, bool]] = []  # rows; whether the reader itself asked
        self.reader = threading.get_ident()
        self.beside = threading.Event()
        self.fails_beside = False

    def runs(self, workspace: str, query: RunQuery, at: str | None) -> Page:
        is_reader = threading.get_ident() == self.reader
        self.questions.append((query.limit, is_reader))
        try:
            if self.fails_beside and not is_reader:
                raise OSError("no answer")
            return super().runs(workspace, query, at)
        finally:
            if not is_reader:
                self.beside.set()


@pytest.fixture
def wire() -> Asked:
    return Asked()


@pytest.fixture
def connection(wire: Asked, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setattr(_pages, "FIRST_PAGE_ROWS", 2)
    monkeypatch.setattr(_pages, "NEXT_PAGES_ROWS", 3)
    connection = connection_over(wire)
    connection.call(connection.experiment_stream("w", "e"), c.EnsureExperiment(experiment="e"))
    for number in range(RUNS):
        run_id = f"r{number:02}"
        connection.call(connection.run_stream("w", run_id), c.CreateRun(run_id=run_id, experiment="e"))
    yield connection
    connection.close()


def ids(connection: Connection, *, ahead: bool, limit: int | None = None) -> list[str]:
    return [view.run_id for view in pages(connection, "w", EVERY_RUN, limit, ahead=ahead)]


@pytest.mark.parametrize("limit", [None, 1, 2, 5, 6, 12, 40])
def test_pages_asked_for_early_hold_the_same_rows(connection: Connection, limit: int | None) -> None:
    expected = [f"r{number:02}" for number in range(RUNS)][:limit]

    assert ids(connection, ahead=False, limit=limit) == expected
    assert ids(connection, ahead=True, limit=limit) == expected


def test_from_the_third_page_on_one_is_asked_for_while_the_one_before_is_read(
    connection: Connection, wire: Asked
) -> None:
    rows = pages(connection, "w", EVERY_RUN, None, ahead=True)

    taken = [next(rows), next(rows)]
    assert wire.questions == [(2, True)]
    taken.append(next(rows))
    assert wire.beside.wait(WAIT_S), "the third page is not asked for before the second was read"
    taken += list(rows)

    assert wire.questions == [(2, True), (3, True), (3, False), (3, False), (3, False)]
    assert len(taken) == RUNS


def test_an_answer_never_misses_what_its_reader_has_done_since_it_was_asked_for(
    connection: Connection, wire: Asked
) -> None:
    rows = pages(connection, "w", EVERY_RUN, None, ahead=True)
    for _ in range(3):
        next(rows)
    assert wire.beside.wait(WAIT_S)

    connection.call(connection.run_stream("w", "r07"), c.SetTags(run_id="r07", tags={"seen": "yes"}))
    later = {view.run_id: view.tags for view in rows}

    assert later["r07"] == {"seen": "yes"}
    assert wire.questions[2:4] == [(3, False), (3, True)], "the early answer is not asked for anew"


def test_what_fails_early_is_asked_again_when_it_is_wanted(connection: Connection, wire: Asked) -> None:
    wire.fails_beside = True

    assert len(ids(connection, ahead=True)) == RUNS
    assert (3, False) in wire.questions


def test_a_reader_in_a_forks_child_asks_for_itself(
    connection: Connection, wire: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pages(connection, "w", EVERY_RUN, None, ahead=True)
    for _ in range(3):
        next(rows)
    assert wire.beside.wait(WAIT_S)
    child = os.getpid() + 1
    with monkeypatch.context() as forked:
        forked.setattr("runfold._pages.os.getpid", lambda: child)
        assert len(list(rows)) == RUNS - 3

    assert (3, True) in wire.questions[3:]


def test_whoever_reads_on_nothing_asks_for_nothing(connection: Connection, wire: Asked) -> None:
    assert len(ids(connection, ahead=True, limit=5)) == 5

    assert wire.questions == [(2, True), (3, True)]
