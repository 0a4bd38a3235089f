"""An import that is killed anywhere is recognised as unfinished, goes on where it stood, and ends as if nothing was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from runfold_events.check import check_ledger
from runfold_events.contract.errors import Conflict
from runfold_events.stores.postgres import PostgresStore
from runfold_events.stores.sqlite.store import SqliteStore
from runfold_events.sync import run_sync
from runfold_events.transfer import importing
from runfold_events.transfer.importing import ImportLog
from tests.support.killing import run_killer
from tests.support.ledgers import desk
from tests.support.moving import exported, fill, imported, kept, lines_of, movable
from tests.support.postgres_store import as_service, template
from tests.support.stack import StackForTest

KILLS_MIN: Final = 5
TIMEOUT_S: Final = 100
PARTITIONS: Final = 4


@pytest.fixture(scope="module")
def data() -> bytes:
    with desk() as source:
        fill(source)
        return exported(source.store)


def import_until_done(data: bytes, folder: Path, place: str) -> list[tuple[int, str]]:
    """What was found after each kill: how many events, and what the store said of it."""
    file = folder / "ledger.ndjson"
    file.write_bytes(data)
    told = run_killer("import_killer", str(file), place, timeout_s=TIMEOUT_S)
    found = [line.split(" ", 1) for line in told.splitlines()]
    return [(int(count), said) for count, said in found]


def check_kills(found: list[tuple[int, str]], data: bytes) -> None:
    counts = [count for count, _ in found]
    assert len(found) >= KILLS_MIN
    assert counts == sorted(counts), "nothing is lost, nothing is taken back"
    assert len(set(counts) - {0}) > 1, "it was killed half way, and more than once"
    whole = lines_of(data)[-1]["events"] + 2
    for count, said in found:
        assert said == ("unfinished" if 0 < count < whole else "nothing unfinished")


def test_killed_anywhere_on_sqlite_it_goes_on(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    check_kills(import_until_done(data, tmp_path, str(path)), data)

    store = SqliteStore.open(path)
    assert kept(exported(store)) == kept(data)
    assert run_sync(check_ledger(store)).is_sound
    run_sync(store.close())


def test_killed_anywhere_on_postgres_it_goes_on(data: bytes, stack: StackForTest, tmp_path: Path) -> None:
    dsn = as_service(stack.database(template(PARTITIONS)))
    check_kills(import_until_done(data, tmp_path, dsn), data)

    with asyncio.Runner() as runner:
        store = runner.run(PostgresStore.open(dsn))
        assert kept(exported(store, drive=runner.run)) == kept(data)
        assert runner.run(check_ledger(store)).is_sound
        runner.run(store.close())


class Stopped(Exception):
    """Stands for a kill."""


def test_control_without_the_events_around_it_half_an_import_looks_whole(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells that the rest is missing, and nobody can bring it."""

    async def says_nothing(*given: object, **options: object) -> None:
        return None

    def stop(name: str) -> None:
        if name == "import.append.after":
            raise Stopped

    monkeypatch.setattr(ImportLog, "note", says_nothing)
    monkeypatch.setattr(importing, "BATCH_LINES_MAX", 4)
    with desk() as target:
        monkeypatch.setattr(importing, "reach", stop)
        with pytest.raises(Stopped):
            imported(target.store, data)
        assert 0 < len(kept(exported(target.store))) < len(kept(data))
        assert run_sync(ImportLog(movable(target.store)).read_on()) is None
        with pytest.raises(Conflict, match="no import is unfinished here"):
            imported(target.store, data, resume=True)
