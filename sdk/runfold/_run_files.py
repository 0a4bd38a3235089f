"""Files of a run: up, down, and what there is."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from runfold import _downloads
from runfold._files import Upload, files_below, local_source, normal_path, upload
from runfold._run_base import RunBase
from runfold_events.contract.errors import Invalid


class RunFiles(RunBase):
    """A run's files: each is stored once under its path and never changes.

    What is uploaded is stored before the call returns; while the server is gone it raises ``Unavailable``. The same
    file again changes nothing; another content under the same path is refused with ``Conflict``.
    """

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: str | None = None) -> None:
        """Upload one file.

        Args:
            name: its path in the run, such as ``outputs/model.bin``.
            path_or_stream: a local path, or a stream of bytes, which is read to its end; large ones are streamed.
            datastore_name: accepted and not used.

        Raises:
            FileNotFoundError: there is no such local file.
            Conflict: the run has another file of this name.
            Invalid: no path or stream of bytes, or a name that no file of a run can have.
        """
        upload(self, [Upload(_own_path(name), local_source(path_or_stream))])

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        return_artifacts: bool = False,
        timeout_seconds: int | None = None,
        datastore_name: str | None = None,
    ) -> dict[str, str] | None:
        """Upload several files.

        Args:
            names: their paths in the run.
            paths: local paths, as many.
            return_artifacts: return ``{name: SHA-256}``.
            timeout_seconds: accepted and not used: an upload takes the time it needs.
            datastore_name: accepted and not used.

        Raises:
            TypeError: ``names`` and ``paths`` are not as many.
            FileNotFoundError, Conflict, Invalid: as for :meth:`upload_file`; files that are fine are uploaded also
                where others are in conflict.
        """
        if len(names) != len(paths):
            raise TypeError(f"names and paths must be as many; got {len(names)} names and {len(paths)} paths")
        uploads = [
            Upload(_own_path(name, "names"), local_source(path, "paths"))
            for name, path in zip(names, paths, strict=True)
        ]
        for one in uploads:
            if isinstance(one.source, Path) and not one.source.exists():
                raise FileNotFoundError(2, "No such file or directory", str(one.source))
        records = upload(self, uploads)
        return {record.path: record.sha256 for record in records} if return_artifacts else None

    def upload_folder(
        self, name: str, path: str | os.PathLike[str], datastore_name: str | None = None
    ) -> None:
        """Upload every file below a folder as ``{name}/{path in the folder}``.

        Links to files inside the folder are uploaded as what they lead to; links out of it, devices and pipes are left
        out with a warning.

        Raises:
            FileNotFoundError: there is no such folder.
            Conflict: the run has other files of some of these names; the rest was uploaded.
        """
        folder = Path(path).expanduser()
        prefix = _own_path(name.removesuffix("/"))
        upload(self, [Upload(f"{prefix}/{relative}", file) for relative, file in files_below(folder)])

    def get_file_names(self) -> list[str]:
        """Paths of the run's files, and of logs that it is writing, in order."""
        return _downloads.shown_names(self)

    def download_file(
        self,
        name: str,
        output_file_path: str | os.PathLike[str] | None = None,
        _validate_checksum: bool = False,
    ) -> None:
        """Download one file; a log that is being written as far as it goes.

        Args:
            name: its path in the run.
            output_file_path: where to: a file, whose folders are made, or a folder that exists. Default: a file of the
                same name in the current folder.
            _validate_checksum: always done.

        Raises:
            NotFound: the run has no such file (also an ``Invalid``, as in Azure ML); the message lists what it has.
            Unavailable: it did not arrive as it was recorded; nothing was written.
        """
        path = normal_path(name)
        place = Path(path.rpartition("/")[2] if output_file_path is None else output_file_path).expanduser()
        if place.is_dir():
            place /= path.rpartition("/")[2]
        if path not in _downloads.all_names(self, path):
            raise _downloads.not_there(self, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        _downloads.write_whole(place, lambda: _downloads.pieces_of(self, path))

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Sequence[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: int | None = None,
    ) -> None:
        """Download all files whose path begins with ``prefix``.

        Args:
            prefix: default: all files.
            output_directory: where to; default: the current folder. Nothing is written outside of it.
            output_paths: a path in that folder for each file, in the order of their names.
            batch_size: accepted and not used.
            append_prefix: False: leave the prefix out of the paths below ``output_directory``.
            timeout_seconds: accepted and not used: a download takes the time it needs.

        Raises:
            ValueError: ``output_paths`` are not as many as the files.
            Invalid: a file cannot be written in this folder; those before it were.
        """
        prefix = (prefix or "").removeprefix("./")
        names = _downloads.shown_names(self, prefix)
        places = list(output_paths) if output_paths is not None else names
        if output_paths is None and not append_prefix:
            places = [_without(prefix, name) for name in names]
        if len(places) != len(names):
            raise Invalid(
                f"output_paths must be as many as the files; got {len(places)} for {len(names)} files",
                facts={"field": "output_paths", "limit": len(names), "size": len(places)},
            )
        goal = _downloads.Goal(Path(output_directory or ".").expanduser())
        for name, place in zip(names, places, strict=True):
            goal.write(normal_path(place, "output_paths"), partial(_downloads.pieces_of, self, name))

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> list[str]:
        """Download all logs, also those that are being written; returns where they are.

        Args:
            destination: a folder; default ``assets/{run id}`` in the current one.
        """
        folder = Path(destination or Path("assets") / self._run_id).expanduser()
        goal = _downloads.Goal(folder)
        return [
            str(goal.write(name, partial(_downloads.pieces_of, self, name)))
            for name in _downloads.log_names(self)
        ]


def _own_path(name: Any, field: str = "name") -> str:
    """The path of a user's file: any but those that runfold keeps for itself."""
    path = normal_path(name, field)
    if f"{path}/".startswith(_downloads.HIDDEN_PREFIX):
        raise Invalid(
            f"{field} may not begin with {_downloads.HIDDEN_PREFIX}, which is kept for runfold itself",
            facts={"field": field, "limit": f"not {_downloads.HIDDEN_PREFIX}", "size": path[:80]},
        )
    return path


def _without(prefix: str, name: str) -> str:
    """A name below its prefix; of the prefix itself the last part."""
    return name[len(prefix) :].lstrip("/") or name.rpartition("/")[2]
