"""The transport to a server: msgpack over a small pool of kept connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

import msgspec
import urllib3
from msgspec import Struct
from urllib3.exceptions import HTTPError

from runfold import _http_files as http_files
from runfold._transport import Answer, Batch, CommandLog
from runfold._version import VERSION
from runfold_events.contract.commands import CommandBatch, CommandItem, CreateRun, LogMetrics
from runfold_events.contract.envelope import MSGPACK
from runfold_events.contract.errors import RunfoldError, Unauthorized, Unavailable, error_from
from runfold_events.contract.submission import Outcome
from runfold_events.contract.validation import check_artifact_path
from runfold_events.fates import Asked, Fate
from runfold_events.ports import WriterMark
from runfold_events.unreadable import EntryPage, EntryQuery, EntryRecord
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
from runfold_services.service import HeartbeatAnswer
from runfold_services.usage import Usage

CONNECT_TIMEOUT_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 30.0
HEARTBEAT_TIMEOUT_S: Final = 5.0
POSITION_WAIT_S: Final = 10.0  # how long a server may wait for its views before it answers a question
QUESTION_TRIES: Final = 4
_TRY_AGAIN_AFTER_S: Final = (0.05, 0.2, 0.8)
_CONNECTIONS_KEPT: Final = 8
_GONE: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

T = TypeVar("T")


class _CommandsAnswer(Struct, frozen=True):
    token: str | None
    outcomes: list[Outcome]


class _Count(Struct, frozen=True):
    count: int


class _Curves(Struct, frozen=True):
    curves: list[Curve]


class _Stored(Struct, frozen=True):
    stored: bool


class _LogEnd(Struct, frozen=True):
    end: int


class _Finish(Struct, frozen=True):
    path: str
    content_type: str


class _RunToken(Struct, frozen=True):
    token: str | None


class _Problem(Struct, frozen=True):
    """RFC 9457 as the API writes it; of foreign servers' answers only the status is sure."""

    code: str = ""
    detail: str = ""
    facts: dict[str, Any] = {}


class _OutcomeQuery(Struct, frozen=True):
    writer: UUID
    commands: Sequence[Asked]


class _Fates(Struct, frozen=True):
    fates: list[Fate]


class _Heartbeat(Struct, frozen=True):
    last_numbers: Mapping[str, int]


class HttpTransport:
    """Speaks to one server. Retries of commands are the sender's: it knows their numbers."""

    patience_s: float = 2.0
    log: CommandLog | None = None

    def __init__(self, url: str, token: str | None = None, traceparent: str | None = None) -> None:
        self._url = url
        headers = {
            "Accept": MSGPACK,
            "Content-Type": MSGPACK,
            "User-Agent": f"runfold/{VERSION}",
        }
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if traceparent is not None:
            headers["traceparent"] = traceparent
        self._headers = headers
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=_CONNECTIONS_KEPT, retries=False)

    def submit(self, batch: Batch) -> Answer:
        commands = tuple(
            CommandItem(
                command=item.command,
                writer_seq=item.writer_seq,
                occurred_at=item.occurred_at,
                correlation_id=item.correlation_id,
            )
            for item in batch.items
        )
        body = CommandBatch(workspace=batch.workspace, commands=commands, hold=batch.hold)
        headers = {"Runfold-Writer": str(batch.writer_id)}
        if all(isinstance(item.command, CreateRun | LogMetrics) for item in batch.items):
            headers["Prefer"] = "return=minimal"  # of these nobody looks at the events
        answer = self._send("POST", "/api/v1/commands", _CommandsAnswer, body=body, headers=headers)
        return Answer(answer.outcomes, answer.token)

    def fates(self, writer_id: UUID, asked: Sequence[Asked]) -> list[Fate]:
        """What became of commands that went by Kafka."""
        body = _OutcomeQuery(writer_id, asked)
        return self._send("POST", "/api/v1/outcomes:query", _Fates, body=body).fates

    def heartbeat(self, process_id: UUID, last_numbers: Mapping[str, int]) -> HeartbeatAnswer:
        return self._send(
            "PUT",
            f"/api/v1/processes/{process_id}",
            HeartbeatAnswer,
            body=_Heartbeat(last_numbers),
            timeout_s=HEARTBEAT_TIMEOUT_S,
        )

    def release(self, process_id: UUID) -> None:
        self._request("DELETE", f"/api/v1/processes/{process_id}", timeout_s=HEARTBEAT_TIMEOUT_S)

    def close(self) -> None:
        self._pool.clear()
        if self.log is not None:
            self.log.close()

    def run_token(self, workspace: str, run_id: str) -> str | None:
        return self._send("POST", f"{_run(workspace, run_id)}/token", _RunToken).token

    def run(self, workspace: str, run_id: str, at: str | None) -> RunView:
        return self._ask(_run(workspace, run_id), RunView, at)

    def runs(self, workspace: str, query: RunQuery, at: str | None) -> Page:
        return self._ask(f"{_workspace(workspace)}/runs:query", Page, at, body=query)

    def count(self, workspace: str, query: RunQuery, at: str | None) -> int:
        return self._ask(f"{_workspace(workspace)}/runs:count", _Count, at, body=query).count

    def usage(self, workspace: str) -> Usage:
        return self._ask(f"{_workspace(workspace)}/usage", Usage, None)

    def child_counts(self, workspace: str, run_id: str, at: str | None) -> ChildCounts:
        return self._ask(f"{_run(workspace, run_id)}/children/counts", ChildCounts, at)

    def experiments(self, workspace: str, include_archived: bool, at: str | None) -> list[ExperimentView]:
        path = f"{_workspace(workspace)}/experiments" + _parameters([("include_archived", include_archived)])
        return self._ask(path, list[ExperimentView], at)

    def experiment(self, workspace: str, name: str, at: str | None) -> ExperimentView:
        return self._ask(f"{_workspace(workspace)}/experiments/{quote(name, safe='')}", ExperimentView, at)

    def series(self, workspace: str, run_id: str, recursive: bool, at: str | None) -> list[SeriesInfo]:
        path = f"{_run(workspace, run_id)}/series" + _parameters([("recursive", recursive)])
        return self._ask(path, list[SeriesInfo], at)

    def metrics(
        self,
        workspace: str,
        run_id: str,
        names: tuple[str, ...],
        recursive: bool,
        points_max: int | None,
        at: str | None,
    ) -> list[SeriesData]:
        parameters: list[tuple[str, object]] = [("name", name) for name in names]
        parameters += [("recursive", recursive), ("points_max", points_max)]
        return self._ask(f"{_run(workspace, run_id)}/metrics" + _parameters(parameters), list[SeriesData], at)

    def curves(self, workspace: str, query: CurveQuery, at: str | None) -> list[Curve]:
        return self._ask(f"{_workspace(workspace)}/curves:query", _Curves, at, body=query).curves

    def history(
        self, workspace: str, run_id: str, from_seq: int, limit: int, at: str | None
    ) -> list[HistoryEntry]:
        path = f"{_run(workspace, run_id)}/history" + _parameters([("from_seq", from_seq), ("limit", limit)])
        return self._ask(path, list[HistoryEntry], at)

    def writers(self, workspace: str, run_id: str) -> list[WriterMark]:
        return self._ask(f"{_run(workspace, run_id)}/writers", list[WriterMark], None)

    def put_content(self, workspace: str, run_id: str, source: BinaryIO, size_bytes: int | None) -> Content:
        """See the port. A source that can go back is sent again when no answer came."""
        return http_files.put_content(self, f"{_run(workspace, run_id)}/contents", source, size_bytes)

    def has_content(self, workspace: str, run_id: str, sha256: str) -> bool:
        return self._ask(f"{_run(workspace, run_id)}/contents/{sha256}", _Stored, None).stored

    def files(self, workspace: str, run_id: str, prefix: str, at: str | None) -> list[FileInfo]:
        path = f"{_run(workspace, run_id)}/artifacts" + _parameters([("prefix", prefix or None)])
        return self._ask(path, list[FileInfo], at)

    def open_file(self, workspace: str, run_id: str, path: str, at: str | None) -> Iterator[bytes]:
        return http_files.open_file(self, f"{_run(workspace, run_id)}/artifacts/{_file(path)}", at)

    def append_log(self, workspace: str, run_id: str, path: str, offset: int, data: bytes) -> int:
        place = f"{_run(workspace, run_id)}/logs/{_file(path)}?offset={offset}"
        answer = self._request("POST", place, raw=data)
        return self._decode(answer, _LogEnd).end

    def read_log(self, workspace: str, run_id: str, path: str, offset: int, bytes_max: int) -> bytes:
        place = f"{_run(workspace, run_id)}/logs/{_file(path)}?from={offset}&max={bytes_max}"
        return self._again(lambda: self._request("GET", place))

    def logs(self, workspace: str, run_id: str) -> list[LogInfo]:
        return self._ask(f"{_run(workspace, run_id)}/logs", list[LogInfo], None)

    def finish_log(self, workspace: str, run_id: str, path: str, content_type: str) -> None:
        body = _Finish(check_artifact_path(path), content_type)
        place = f"{_run(workspace, run_id)}/logs:finish"
        timeout_s = http_files.STORE_TIMEOUT_S
        self._again(lambda: self._request("POST", place, body=body, timeout_s=timeout_s))

    def unreadable(self, query: EntryQuery) -> EntryPage:
        """What was kept of the command topic; for the command line."""
        pairs = [(name, getattr(query, name)) for name in query.__struct_fields__]
        given = [(name, value) for name, value in pairs if value is not None and value is not False]
        path = f"/api/v1/unreadable?{urlencode([(n, 'true' if v is True else v) for n, v in given])}"
        return self._ask(path, EntryPage, None)

    def unreadable_record(self, name: str) -> EntryRecord:
        """One such entry with its bytes."""
        return self._ask(f"/api/v1/unreadable/{quote(name, safe='')}", EntryRecord, None)

    def _ask(self, path: str, kind: type[T], at: str | None, body: object = None) -> T:
        """A question changes nothing, so it is simply asked again when no answer came."""
        headers = {"Runfold-Wait": f"{POSITION_WAIT_S:g}"}
        if at is not None:
            headers["Runfold-Position"] = at
        method = "GET" if body is None else "POST"
        return self._again(lambda: self._send(method, path, kind, body=body, headers=headers))

    def _again(self, request: Callable[[], T]) -> T:
        """Do what may be done twice until it is answered, a few times."""
        for pause_s in _TRY_AGAIN_AFTER_S:
            try:
                return request()
            except Unavailable as error:
                http_files.pause(error, pause_s)
        return request()

    def _send(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> T:
        return self._decode(
            self._request(method, path, body=body, headers=headers, timeout_s=timeout_s), kind
        )

    def _decode(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.msgpack.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise Unavailable(f"{self._url} answers, but not as a runfold server does: {error}") from None

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> bytes:
        sent = raw if body is None else msgspec.msgpack.encode(body)
        return self.request(method, path, sent, headers or {}, timeout_s).data

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
        timeout_s: float,
        *,
        preload: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """One request; its answer, if that is no problem. Without ``preload`` the answer's body is left to be read."""
        try:
            response = self._pool.request(
                method,
                self._url + path,
                body=body,
                headers={**self._headers, **headers},
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=timeout_s),
                redirect=False,
                preload_content=preload,
            )
            if 200 <= response.status < 300:
                return response
            _ = response.data  # read here, where what goes wrong with the connection is understood
        except (HTTPError, OSError) as error:
            raise Unavailable(f"{self._url} cannot be reached: {error}") from None
        raise self._error_of(response)

    def _error_of(self, response: urllib3.BaseHTTPResponse) -> RunfoldError:
        try:
            problem = msgspec.json.decode(response.data, type=_Problem)
        except msgspec.MsgspecError:
            problem = _Problem()
        message = problem.detail or f"{self._url} answered with HTTP status {response.status}"
        if response.status in _GONE:
            after = response.headers.get("retry-after", "")
            facts = problem.facts | ({"retry_after": float(after)} if after.isdigit() else {})
            return Unavailable(message, code=problem.code or None, facts=facts)
        if not problem.code:
            return _of_foreign(response.status, message)
        return error_from(problem.code, message, problem.facts)


def _of_foreign(status: int, message: str) -> RunfoldError:
    """Something between us and the server spoke, or it is no runfold server at all."""
    if status in {401, 403, 407}:
        return Unauthorized(message)
    return RunfoldError(
        f"{message}, which no runfold server does; is the address right?", facts={"status": status}
    )


def _workspace(workspace: str) -> str:
    return f"/api/v1/workspaces/{quote(workspace, safe='')}"


def _run(workspace: str, run_id: str) -> str:
    return f"{_workspace(workspace)}/runs/{quote(run_id, safe='')}"


def _file(path: str) -> str:
    """A file's path as a part of an address, checked here: clients and proxies tidy up what looks like ``a/../b``."""
    return quote(check_artifact_path(path), safe="/")


def _parameters(pairs: Iterable[tuple[str, object]]) -> str:
    """A query string without what is absent or false."""
    given = [
        (name, "true" if value is True else value) for name, value in pairs if value not in {None, False}
    ]
    return f"?{urlencode(given)}" if given else ""
