"""Uploads a file again and again, each time in a new process that is killed one step later.

    python -m tests.chaos.files_killer FOLDER HOW STRIDE

``FOLDER/1`` is killed at the first step, the next one ``STRIDE`` steps later, until one comes to the end alive.
``HOW`` is ``ours``, or a protection that is off: ``in-place`` writes the content under its name, ``record-first``
records it before it is stored.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

from runfold import Experiment, Run, Workspace
from runfold_events import failpoints
from runfold_events.contract.commands import RecordArtifact
from runfold_events.stores.sqlite import connection
from runfold_services.files import local, naming
from runfold_services.files.port import Content
from tests.support.killing import die_at, kill_until_done

DATA = bytes(range(256)) * 20_000  # five pieces
WORKSPACE = "default"
PATH = "outputs/model.bin"
KILLS_MAX = 500


class InPlace(local.LocalIncoming):
    """Gives the content its name before it is complete."""

    def write(self, data: bytes) -> None:
        goal = self._contents / naming.content_name(hashlib.sha256(DATA).hexdigest())
        goal.parent.mkdir(parents=True, exist_ok=True)
        with goal.open("ab") as file:
            file.write(data)
        super().write(data)

    def finish(self) -> Content:
        return Content(hashlib.sha256(DATA).hexdigest(), len(DATA))


def main(folder: Path, how: str, stride: int) -> None:
    """Fork, upload, die at step ``kill``, for ever later steps, until the upload ends before the step is reached."""
    if how == "in-place":
        local.LocalIncoming = InPlace  # type: ignore[misc]
    kill_until_done(
        range(1, KILLS_MAX, stride), lambda kill: upload_and_die(folder / str(kill), how, kill), "upload"
    )


def upload_and_die(home: Path, how: str, kill: int) -> None:
    """In the child: one upload, up to its ``kill``-th step."""
    run = Experiment(Workspace(workspace_name=WORKSPACE, home=home), "killed").start_logging(run_id="run")
    die_at(kill)
    if how == "record-first":
        record(run)
    run.upload_file(PATH, io.BytesIO(DATA))
    failpoints.disarm_all()


def record(run: Run) -> None:
    """Say that the file is there, which it is not yet."""
    digest = hashlib.sha256(DATA).hexdigest()
    command = RecordArtifact(run_id=run.id, path=PATH, sha256=digest, size_bytes=len(DATA))
    run._call(command)  # pyright: ignore[reportPrivateUsage]


if __name__ == "__main__":
    connection.SYNCHRONOUS = "OFF"  # a killed process loses nothing that it wrote, synced or not
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
