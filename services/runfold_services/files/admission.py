"""What a run lets in: asked of the ledger's own state before bytes are moved, so that nobody uploads for nothing."""

from __future__ import annotations

from runfold_events.contract.errors import Conflict, NotFound
from runfold_events.rules.run_state import RunState


def check_open(state: RunState | None, run_id: str) -> RunState:
    """The state of a run that can take files.

    Raises:
        NotFound: there is no such run.
        Conflict: it was erased.
    """
    if state is None:
        raise NotFound(f"there is no run {run_id!r}", facts={"run_id": run_id})
    if state.erased:
        raise Conflict(f"run {run_id!r} was erased", facts={"run_id": run_id, "erased": True})
    return state


def check_file(state: RunState, run_id: str, path: str, size_bytes: int | None) -> None:
    """Refuse a file whose path has another content already, where its size tells so before it is sent.

    Raises:
        Conflict: it has.
    """
    there = state.artifacts.get(path)
    if there is not None and size_bytes is not None and size_bytes != there.size_bytes:
        raise Conflict(
            f"Resource Conflict: ArtifactId ExperimentRun/dcid.{run_id}/{path} already exists.",
            facts={"run_id": run_id, "path": path, "sha256": there.sha256, "size_bytes": there.size_bytes},
        )


def check_log(state: RunState, run_id: str, path: str) -> None:
    """Refuse to write a log that was finished.

    Raises:
        Conflict: it was.
    """
    if path in state.artifacts:
        raise Conflict(
            f"log {path!r} of run {run_id!r} was finished: it is a file now, which never changes",
            facts={"run_id": run_id, "path": path},
        )
