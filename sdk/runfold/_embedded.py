"""The transport to a ledger in this very process: no server, no socket, one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar
from uuid import UUID, uuid4

from runfold._transport import Answer, Batch, CommandLog, Item, submissions_of
from runfold_events.contract.commands import RecordArtifact
from runfold_events.contract.errors import error_from
from runfold_events.contract.submission import Actor, Outcome, Refused
from runfold_events.contract.tokens import parse_token
from runfold_events.contract.validation import check_artifact_path, check_command
from runfold_events.sync import run_sync

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from runfold_events.ports import WriterMark
    from runfold_events.rules.run_state import RunState
    from runfold_projections.model import (
        ChildCounts,
        Curve,
        CurveQuery,
        ExperimentView,
        FileInfo,
        HistoryEntry,
        Page,
        RunQuery,
        RunView,
        SeriesData,
        SeriesInfo,
    )
    from runfold_services.files.port import Content, LogInfo
    from runfold_services.service import HeartbeatAnswer, Service
    from runfold_services.usage import Usage

T = TypeVar("T")

_DOOR: Final = "embedded"
_REACH_WAIT_S: Final = 10.0


class EmbeddedTransport:
    """Drives a :class:`~runfold_services.service.Service` without an event loop.

    The service bounds its own waits (for the file's lock), so a command that takes long is never given up on here.
    """

    patience_s: float = 60.0
    log: CommandLog | None = None

    def __init__(self, service: Service, actor: Actor, traceparent: str | None = None) -> None:
        self._service = service
        self._actor = actor
        self._traceparent = traceparent

    def submit(self, batch: Batch) -> Answer:
        submissions = submissions_of(batch, self._actor, _DOOR, self._traceparent)
        outcomes = run_sync(self._service.submit(submissions))
        return Answer(outcomes, _token_of(outcomes))

    def heartbeat(self, process_id: UUID, last_numbers: Mapping[str, int]) -> HeartbeatAnswer:
        return run_sync(self._service.heartbeat(process_id, last_numbers))

    def release(self, process_id: UUID) -> None:
        run_sync(self._service.release(process_id))

    def close(self) -> None:
        run_sync(self._service.close())

    def run_token(self, workspace: str, run_id: str) -> str | None:
        return None

    def run(self, workspace: str, run_id: str, at: str | None) -> RunView:
        return self._ask(at, lambda: self._service.views.run(workspace, run_id))

    def runs(self, workspace: str, query: RunQuery, at: str | None) -> Page:
        return self._ask(at, lambda: self._service.views.runs(workspace, query))

    def count(self, workspace: str, query: RunQuery, at: str | None) -> int:
        return self._ask(at, lambda: self._service.views.count(workspace, query))

    def usage(self, workspace: str) -> Usage:
        from runfold_services.usage import ALL_RUNS, Usage

        return Usage(workspace=workspace, runs=self.count(workspace, ALL_RUNS, None))

    def child_counts(self, workspace: str, run_id: str, at: str | None) -> ChildCounts:
        return self._ask(at, lambda: self._service.views.child_counts(workspace, run_id))

    def experiments(self, workspace: str, include_archived: bool, at: str | None) -> list[ExperimentView]:
        return self._ask(
            at, lambda: self._service.views.experiments(workspace, include_archived=include_archived)
        )

    def experiment(self, workspace: str, name: str, at: str | None) -> ExperimentView:
        return self._ask(at, lambda: self._service.views.experiment(workspace, name))

    def series(self, workspace: str, run_id: str, recursive: bool, at: str | None) -> list[SeriesInfo]:
        return self._ask(at, lambda: self._service.views.series(workspace, run_id, recursive=recursive))

    def metrics(
        self,
        workspace: str,
        run_id: str,
        names: tuple[str, ...],
        recursive: bool,
        points_max: int | None,
        at: str | None,
    ) -> list[SeriesData]:
        return self._ask(
            at,
            lambda: self._service.views.metrics(
                workspace, run_id, names=names, recursive=recursive, points_max=points_max
            ),
        )

    def curves(self, workspace: str, query: CurveQuery, at: str | None) -> list[Curve]:
        return self._ask(at, lambda: self._service.views.curves(workspace, query))

    def history(
        self, workspace: str, run_id: str, from_seq: int, limit: int, at: str | None
    ) -> list[HistoryEntry]:
        return self._ask(
            at,
            lambda: self._service.views.history(workspace, run_id, from_seq=from_seq, limit=limit),
        )

    def put_content(self, workspace: str, run_id: str, source: BinaryIO, size_bytes: int | None) -> Content:
        from runfold_services.files.pieces import check_file_size, pieces

        self._state(workspace, run_id)
        check_file_size(size_bytes or 0)
        with self._service.files.receive(workspace) as incoming:
            for piece in pieces(source, size_bytes):
                incoming.write(piece)
            return incoming.finish()

    def has_content(self, workspace: str, run_id: str, sha256: str) -> bool:
        return self._service.files.has(workspace, sha256)

    def files(self, workspace: str, run_id: str, prefix: str, at: str | None) -> list[FileInfo]:
        return self._ask(at, lambda: self._service.views.files(workspace, run_id, prefix=prefix))

    def open_file(self, workspace: str, run_id: str, path: str, at: str | None) -> Iterator[bytes]:
        file = self._ask(at, lambda: self._service.views.file(workspace, run_id, path))
        return self._service.files.read(workspace, file.sha256)

    def append_log(self, workspace: str, run_id: str, path: str, offset: int, data: bytes) -> int:
        from runfold_services.files.admission import check_log

        check_log(self._state(workspace, run_id), run_id, check_artifact_path(path))
        return self._service.files.append_log(workspace, run_id, path, offset, data)

    def read_log(self, workspace: str, run_id: str, path: str, offset: int, bytes_max: int) -> bytes:
        from runfold_services.files.logs import finished_text

        files = self._service.files
        self._state(workspace, run_id)
        live = files.read_log(workspace, run_id, check_artifact_path(path), offset, bytes_max)
        if live is not None:
            return live
        state = self._state(
            workspace, run_id
        )  # after the look at the log, which may have been finished just now
        return finished_text(files, state, workspace, run_id, path, offset, bytes_max)

    def logs(self, workspace: str, run_id: str) -> list[LogInfo]:
        self._state(workspace, run_id)
        return self._service.files.logs(workspace, run_id)

    def finish_log(self, workspace: str, run_id: str, path: str, content_type: str) -> None:
        from runfold_services.files.logs import finish_into, no_log

        files, state = self._service.files, self._state(workspace, run_id)
        with files.receive(workspace) as incoming:
            content = finish_into(incoming, files, workspace, run_id, check_artifact_path(path))
            if content is None:
                if path not in state.artifacts:
                    raise no_log(run_id, path)
                return
            self._record(
                workspace,
                RecordArtifact(
                    run_id=run_id,
                    path=path,
                    sha256=content.sha256,
                    size_bytes=content.size_bytes,
                    content_type=content_type,
                ),
            )
            if not files.has(workspace, content.sha256):
                incoming.finish()
        files.remove_log(workspace, run_id, path)

    def _state(self, workspace: str, run_id: str) -> RunState:
        return run_sync(self._service.run_state(workspace, run_id))

    def _record(self, workspace: str, command: RecordArtifact) -> None:
        """Submit a command as a writer of its own, as a server does for a request that names none."""
        check_command(command)
        batch = Batch(
            workspace=workspace, writer_id=uuid4(), items=[Item(command, 1, time.time_ns() // 1_000)]
        )
        (outcome,) = self.submit(batch).outcomes
        if isinstance(outcome, Refused):
            raise error_from(outcome.code, outcome.message, outcome.facts)

    def writers(self, workspace: str, run_id: str) -> list[WriterMark]:
        return run_sync(self._service.writers(workspace, run_id))

    def _ask(self, at: str | None, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Views of an embedded ledger are folded by whoever reads, so every answer is up to date."""
        run_sync(self._service.views.reach(None if at is None else parse_token(at), _REACH_WAIT_S))
        return run_sync(question())


def _token_of(outcomes: list[Outcome]) -> str | None:
    """The position that includes everything these outcomes tell of: an embedded store has one partition."""
    return next((outcome.token for outcome in reversed(outcomes) if outcome.token is not None), None)


def os_actor() -> Actor:
    """Whoever runs this process, as the operating system knows them."""
    import getpass
    import os

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # no entry for this uid, as in many containers; OSError from Python 3.13 on
        name = f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return Actor(name, "os")
