"""A view of completed runs in a SQLite file of our own, folded from runfold's events.

Events and how far we are stand in the same file and move in the same transaction: whatever is delivered again is
dropped, and whatever is missing shows. Knows the published contract (docs/integration.md) and nothing else of runfold.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

RESTORED: Final = "store.restored"
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS checkpoint (partition INTEGER PRIMARY KEY, epoch TEXT NOT NULL, next_pos INTEGER NOT NULL)
    STRICT;
-- Epochs that are over: what still comes of them is old news, or void.
CREATE TABLE IF NOT EXISTS past_epoch (partition INTEGER, epoch TEXT, PRIMARY KEY (partition, epoch)) STRICT;
-- Where each fact came from stands beside it, so that what a restored store does not know can be taken back.
CREATE TABLE IF NOT EXISTS run (
    stream TEXT PRIMARY KEY, partition INTEGER NOT NULL, created_pos INTEGER NOT NULL,
    experiment TEXT, number INTEGER,
    completed_pos INTEGER, completed_at TEXT,
    erased_pos INTEGER
) STRICT;
CREATE VIEW IF NOT EXISTS completed_run AS
    SELECT stream, experiment, number, completed_at FROM run
    WHERE completed_pos IS NOT NULL AND erased_pos IS NULL;
"""


@dataclass(frozen=True)
class Event:
    """What we need of an event, whether it came by Kafka or by HTTP."""

    partition: int
    pos: int
    epoch: str
    type: str
    stream: str
    time: str
    body: dict[str, Any]  # empty where it was erased, or is no JSON


class CompletedRuns:
    """The view. One process at a time folds a partition; a second one only finds nothing to do."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def next_pos(self, partition: int) -> int:
        """The position that we wait for."""
        return self._checkpoint(partition)[1]

    def is_of_now(self, event: Event) -> bool:
        """True when the event is of the epoch that we are in."""
        return self._checkpoint(event.partition)[0] == event.epoch

    def apply(self, events: Sequence[Event]) -> int:
        """Take events in order, in one transaction, up to the first that does not follow on; returns how many."""
        with self._transaction():
            for count, event in enumerate(events):
                if not self._take(event):
                    return count
        return len(events)

    def forget(self, partition: int) -> None:
        """Begin a partition anew."""
        with self._transaction():
            self._db.execute("DELETE FROM run WHERE partition = ?", (partition,))
            self._db.execute("DELETE FROM past_epoch WHERE partition = ?", (partition,))
            self._db.execute("DELETE FROM checkpoint WHERE partition = ?", (partition,))

    def end_epoch(self, partition: int, epoch: str) -> None:
        """What comes of ``epoch`` from now on is void."""
        self._db.execute("INSERT OR IGNORE INTO past_epoch VALUES (?, ?)", (partition, epoch))

    # One event

    def _take(self, event: Event) -> bool:
        """True when the event is dealt with; False when something before it is missing."""
        epoch, next_pos = self._checkpoint(event.partition)
        if epoch is None or event.epoch == epoch:
            if event.pos < next_pos:
                return True  # delivered again
            if event.pos > next_pos:
                return False
        elif self._is_past(event):
            return True
        elif event.type != RESTORED or event.body.get("previous_epoch") != epoch or event.pos > next_pos:
            return False
        else:
            self._take_back(event.partition, event.pos)
            self.end_epoch(event.partition, epoch)
        self._fold(event)
        self._db.execute(
            "INSERT INTO checkpoint VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET epoch = excluded.epoch, next_pos = excluded.next_pos",
            (event.partition, event.epoch, event.pos + 1),
        )
        return True

    def _fold(self, event: Event) -> None:
        """What the event means to us; most mean nothing, and types that we do not know mean nothing."""
        if event.type == "run.created":
            self._db.execute(
                "INSERT INTO run (stream, partition, created_pos, experiment, number) VALUES (?, ?, ?, ?, ?)",
                (
                    event.stream,
                    event.partition,
                    event.pos,
                    event.body.get("experiment"),
                    event.body.get("number"),
                ),
            )
        elif event.type == "run.completed":
            self._db.execute(
                "UPDATE run SET completed_pos = ?, completed_at = ? WHERE stream = ?",
                (event.pos, event.time, event.stream),
            )
        elif event.type == "run.erased":
            self._db.execute("UPDATE run SET erased_pos = ? WHERE stream = ?", (event.pos, event.stream))

    def _take_back(self, partition: int, from_pos: int) -> None:
        """Undo what was said at ``from_pos`` and beyond: the store was restored to before it."""
        void = (partition, from_pos)
        self._db.execute("DELETE FROM run WHERE partition = ? AND created_pos >= ?", void)
        self._db.execute(
            "UPDATE run SET completed_pos = NULL, completed_at = NULL WHERE partition = ? AND completed_pos >= ?",
            void,
        )
        self._db.execute("UPDATE run SET erased_pos = NULL WHERE partition = ? AND erased_pos >= ?", void)

    # The file

    def _checkpoint(self, partition: int) -> tuple[str | None, int]:
        row = self._db.execute(
            "SELECT epoch, next_pos FROM checkpoint WHERE partition = ?", (partition,)
        ).fetchone()
        return (None, 0) if row is None else (row[0], row[1])

    def _is_past(self, event: Event) -> bool:
        known = self._db.execute(
            "SELECT 1 FROM past_epoch WHERE partition = ? AND epoch = ?", (event.partition, event.epoch)
        )
        return known.fetchone() is not None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
