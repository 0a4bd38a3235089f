"""A run's snapshot: the code that it was started with."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runfold import _downloads
from runfold._downloads import HIDDEN_PREFIX
from runfold._files import Upload, is_path, upload
from runfold._run_base import RunBase
from runfold_events.contract.commands import AddProperties
from runfold_events.contract.errors import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from runfold_projections.model import RunView

SNAPSHOT_PROPERTY: Final = "ContentSnapshotId"
_ZIP: Final = "application/zip"


class RunSnapshots(RunBase):
    """Take a snapshot of a folder, and get it back."""

    def take_snapshot(self, file_or_folder_path: str | os.PathLike[str]) -> str:
        """Store a folder (or one file) as the run's snapshot; returns its id, which follows from the content.

        What ``.amlignore`` names stays out, else what ``.gitignore`` names; in every folder, by git's rules. Links that
        lead out of the folder, devices and pipes stay out with a warning.

        Raises:
            Conflict: the run has a snapshot already.
            FileNotFoundError: there is no such folder or file.
            LimitExceeded: it has more than 10,000 files or 1 GiB.
        """
        from runfold._snapshots import pack

        there = self.get_snapshot_id()
        if there is not None:
            raise _has_one(there)
        with tempfile.TemporaryFile() as packed:
            snapshot_id = pack(Path(file_or_folder_path).expanduser(), packed).snapshot_id
            upload(self, [Upload(_path(snapshot_id), packed, _ZIP)])
        self._call(AddProperties(run_id=self._run_id, properties={SNAPSHOT_PROPERTY: snapshot_id}))
        return snapshot_id

    def get_snapshot_id(self) -> str | None:
        """The id of the run's snapshot; None when it has none."""
        return self._fetch().properties.get(SNAPSHOT_PROPERTY)

    def restore_snapshot(
        self, snapshot_id: str | None = None, path: str | os.PathLike[str] | None = None
    ) -> str:
        """Download a snapshot; returns the path of a zip.

        Args:
            snapshot_id: default: this run's own. Any snapshot of the workspace can be had.
            path: a folder, which is made; default: the current one.

        Raises:
            NotFound: there is no such snapshot, or the run has none.
        """
        own = self.get_snapshot_id()
        wanted = own if snapshot_id is None else str(snapshot_id)
        if wanted is None:
            raise NotFound(
                f"run {self._run_id!r} has no snapshot; take_snapshot makes one",
                facts={"run_id": self._run_id},
            )
        owner = self if wanted == own else self._owner_of(wanted)
        folder = Path(path or ".").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{wanted}.zip"
        _downloads.write_whole(place, lambda: _downloads.pieces_of(owner, _path(wanted)))
        return str(place)

    def _owner_of(self, snapshot_id: str) -> RunBase:
        """Some run of the workspace that has this snapshot."""
        from runfold_projections.model import RunQuery

        query = RunQuery(
            properties={SNAPSHOT_PROPERTY: snapshot_id}, include_children=True, include_archived=True
        )
        found: RunView | None = next(self._workspace._pages(query, 1), None)
        if found is None:
            raise NotFound(f"there is no snapshot {snapshot_id!r}", facts={"snapshot_id": snapshot_id[:200]})
        return self._workspace.get_run(found.run_id)


def _path(snapshot_id: str) -> str:
    """Where a snapshot lies among its run's files."""
    return f"{HIDDEN_PREFIX}snapshots/{snapshot_id}.zip"


def _has_one(snapshot_id: str) -> Conflict:
    return Conflict(
        f"Cannot take snapshot as the run already has one: {snapshot_id}",
        facts={"snapshot_id": snapshot_id},
    )


def check_folder(given: Any, field: str) -> str | None:
    """A ``snapshot_directory`` argument: a folder that is there, or None."""
    if given is None:
        return None
    if not is_path(given) or not Path(given).expanduser().is_dir():
        raise Invalid(
            f"{field} must be a folder that exists; got {str(given)[:200]!r}",
            facts={"field": field, "limit": "a folder", "size": str(given)[:200]},
        )
    return str(Path(given).expanduser())
