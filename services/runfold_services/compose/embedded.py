"""A service over one SQLite file, for a program or a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from runfold_events.clock import Clock, SystemClock
from runfold_events.contract import limits
from runfold_events.contract.errors import Unavailable
from runfold_events.ids_source import SystemIds
from runfold_events.ledger import Ledger
from runfold_events.restoring import Restoration
from runfold_events.stores.sqlite import SqliteStore
from runfold_events.stores.sqlite.restore import mark_restored
from runfold_events.sync import run_sync
from runfold_projections.views import EmbeddedViews, open_sqlite_views
from runfold_services.background import Background
from runfold_services.compose.files import open_files
from runfold_services.files.port import FileStore
from runfold_services.settings import value_codec
from runfold_services.tracker import Tracker

LEDGER_FILE: Final = "ledger.db"
MEMORY: Final = ":memory:"


class EmbeddedTracker(Tracker):
    """A tracker over one SQLite file, with what only an embedded ledger can do."""

    def __init__(
        self,
        store: SqliteStore,
        views: EmbeddedViews,
        clock: Clock,
        files: FileStore,
        *,
        lease_s: float,
        has_background: bool,
    ) -> None:
        super().__init__(Ledger(store, SystemIds()), views, clock, files, lease_s=lease_s)
        self.store = store
        self.embedded_views = views
        self._background = Background(self, lease_s=lease_s) if has_background else None
        if self._background is not None:
            self.on_append = self._background.wake

    async def rebuild(
        self, names: tuple[str, ...] = (), progress: Callable[[int, int], None] | None = None
    ) -> int:
        """Fold the named views (none named: all) again from the first event; returns the number of events folded."""
        return await self.embedded_views.rebuild(names, progress)

    async def vacuum(self) -> None:
        """Rewrite the file without what was erased, so that no byte of it is left."""
        await self.store.vacuum()

    async def close(self) -> None:
        """See :class:`Tracker`; ends the background thread first."""
        if self._background is not None:
            self._background.stop()
        await super().close()


def ledger_path(home: Path) -> Path:
    """Where the embedded ledger of a runfold home lies."""
    return home / LEDGER_FILE


def open_embedded(
    home: Path | str,
    *,
    background: bool = True,
    clock: Clock | None = None,
    lease_s: float = limits.LEASE_S,
    files: str | None = None,
) -> EmbeddedTracker:
    """The service over the SQLite file of ``home``, which is created if need be; ``":memory:"`` keeps nothing.

    A program that opens the file with a background is its keeper: runs whose last holder is gone are marked before
    this returns. A server is not yet: while it was down its workers could not renew their leases, so it waits for a
    lease of its own first (:class:`runfold_services.keeper.KeeperGuard`).

    Args:
        home: directory of the embedded ledger (see ``RUNFOLD_HOME``), or ``":memory:"``.
        background: fold and keep leases in a thread of this process. A server does both on its own threads.
        clock: the store's clock.
        lease_s: how long a process may be silent before its runs are marked NotResponding.
        files: where contents of files are kept, see :func:`~runfold_services.compose.files.open_files`.

    Raises:
        Invalid: the file is not a ledger, is newer than this program, or lies on a network file system.
        Unavailable: the file cannot be opened.
    """
    clock, codec = clock or SystemClock(), value_codec()
    kept = open_files(files, None if str(home) == MEMORY else Path(home))
    store = SqliteStore.open(_prepared(home), clock=clock)
    tracker = EmbeddedTracker(
        store,
        open_sqlite_views(store, codec),
        clock,
        kept,
        lease_s=lease_s,
        has_background=background,
    )
    if not background:
        return tracker
    try:
        run_sync(tracker.keeper_pass())
    except BaseException:
        run_sync(tracker.close())
        raise
    return tracker


def restore_embedded(home: Path) -> Restoration:
    """Mark the ledger of ``home`` as restored from a backup; see :mod:`runfold_events.stores.sqlite.restore`."""
    return mark_restored(ledger_path(home))


def _prepared(home: Path | str) -> Path | str:
    if str(home) == MEMORY:
        return MEMORY
    home = Path(home)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the runfold home {home} cannot be made: {error.strerror}; set RUNFOLD_HOME to a writable directory",
            facts={"path": str(home)},
        ) from None
    return ledger_path(home)
