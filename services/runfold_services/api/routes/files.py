"""``…/runs/{id}/artifacts`` and ``…/runs/{id}/contents``: files of runs, in and out, streamed.

A file in one request: ``PUT …/artifacts/{path}``. A program that numbers its commands stores the content first
(``POST …/contents``), records it with a command like any other, and asks whether the content is still there; why that
question is needed stands in :mod:`runfold_services.files.erasing`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from urllib.parse import quote

from runfold_events.contract import limits
from runfold_events.contract.commands import RecordArtifact
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.submission import Accepted
from runfold_projections.model import FileInfo
from runfold_services.api.bodies import FileAnswer, StoredAnswer
from runfold_services.api.call import Call, accepted_all
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import FilesParams
from runfold_services.api.reading import BodyStream, TooLargeBody
from runfold_services.api.routes.runs import RUN
from runfold_services.files.admission import check_file
from runfold_services.files.pieces import PIECE_BYTES, check_file_size, no_content
from runfold_services.files.port import Content, Incoming

BINARY: Final = "application/octet-stream"
_STORES_MAX: Final = 5
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.\"+-]+)*\Z", re.ASCII)
_RANGE: Final = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?\Z", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")


async def put_artifact(call: Call) -> Answer:
    """The content is stored while it arrives, then recorded: the file is there complete, or not at all.

    The same path with the same content again changes nothing; with another content it is a conflict.
    """
    path, body = call.file_path, _body(call)
    state = await run_state(call)
    check_file(state, call.run_id, path, body.size)
    files = call.runtime.files
    with await files.run(lambda: call.runtime.backend.files.receive(call.workspace)) as incoming:
        content = await receive(call, incoming)
        command = RecordArtifact(
            run_id=call.run_id,
            path=path,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            content_type=media_type(body.content_type),
        )
        (accepted,) = accepted_all(await call.submit([command]))
        await keep(call, incoming, content)
    return file_answer(call, command, accepted)


async def put_content(call: Call) -> Answer:
    """For who records it next, with its digest; a content that nobody records is removed after a day."""
    await run_state(call)
    with await call.runtime.files.run(lambda: call.runtime.backend.files.receive(call.workspace)) as incoming:
        content = await receive(call, incoming)
    await call.runtime.scopes.note_upload(call, content.sha256)
    return call.answer(content, status=201)


async def show_content(call: Call) -> Answer:
    """Of the run's workspace, whoever stored it. Who has a run's token learns of that run's contents only."""
    await run_state(call)
    sha256 = call.path["sha256"]
    if not _SHA256.match(sha256):
        raise Invalid(
            "a SHA-256 has 64 hex digits", facts={"field": "sha256", "limit": 64, "size": len(sha256)}
        )
    store, workspace = call.runtime.backend.files, call.workspace
    if not await call.runtime.scopes.knows_content(call, call.run_id, sha256):
        return call.answer(StoredAnswer(stored=False))
    return call.answer(StoredAnswer(await call.runtime.files.run(lambda: store.has(workspace, sha256))))


async def list_artifacts(call: Call) -> Answer:
    workspace, run_id, prefix = call.workspace, call.run_id, call.query.prefix
    return await call.ask(lambda views: views.files(workspace, run_id, prefix=prefix))


async def get_artifact(call: Call) -> Answer:
    """The content, as an attachment that no browser runs or shows in the name of this server. Takes a Range."""
    workspace, run_id, path = call.workspace, call.run_id, call.file_path
    file = await call.look_up(lambda views: views.file(workspace, run_id, path))
    store = call.runtime.backend.files
    # As it is and not as it was recorded: whoever recorded it may have said anything.
    size = await call.runtime.files.run(lambda: store.size(workspace, file.sha256))
    if size is None:
        raise no_content(file.sha256)
    asked = _range(call.headers.get("range"), size)
    start, end = asked or (0, size)
    found = await call.runtime.files.run(lambda: store.read(workspace, file.sha256, start, end))
    headers = [*_headers_of(file), ("Content-Length", str(end - start))]
    if asked is not None:
        headers.append(("Content-Range", f"bytes {start}-{end - 1}/{size}"))
    return Answer(
        status=200 if asked is None else 206,
        content_type=file.content_type if _MEDIA_TYPE.match(file.content_type) else BINARY,
        token=call.reached,
        headers=tuple(headers),
        stream=_sent(call, found),
    )


# shared with the routes of logs


async def run_state(call: Call) -> Any:
    """The run as the ledger has it; an unknown or erased one takes no files."""
    workspace, run_id, backend = call.workspace, call.run_id, call.runtime.backend
    return await call.runtime.threads.query(lambda: backend.run_state(workspace, run_id))


async def receive(call: Call, incoming: Incoming) -> Content:
    """Store the request's body; what was received is gone if it ends too early or is too large."""
    body, files = _body(call), call.runtime.files
    try:
        check_file_size(body.size or 0)
        async for piece in body.pieces(PIECE_BYTES):
            await files.run(lambda piece=piece: incoming.write(piece))  # type: ignore[misc]
    except LimitExceeded as error:
        raise TooLargeBody(error.message, facts=error.facts) from None
    return await files.run(incoming.finish)


async def keep(call: Call, incoming: Incoming, content: Content) -> None:
    """Now that the content is recorded, see to it that it is there; see :mod:`runfold_services.files.erasing`."""
    store, files, workspace = call.runtime.backend.files, call.runtime.files, call.workspace
    for _ in range(_STORES_MAX):
        if await files.run(lambda: store.has(workspace, content.sha256)):
            return
        await files.run(incoming.finish)


def file_answer(call: Call, command: RecordArtifact, accepted: Accepted) -> Answer:
    """What a file that was recorded is answered with: 201, or 200 when it had been before."""
    answer = FileAnswer(
        token=accepted.token or "",
        path=command.path,
        sha256=command.sha256,
        size_bytes=command.size_bytes,
        content_type=command.content_type,
        events=accepted.events,
    )
    return call.answer(answer, status=201 if accepted.events else 200, token=accepted.token)


def media_type(given: str | None) -> str:
    """A Content-Type as it is recorded; none given: bytes."""
    text = (given or BINARY).strip()
    if len(text) > limits.CONTENT_TYPE_CHARS_MAX or not _MEDIA_TYPE.match(text):
        raise Invalid(
            f"Content-Type must be like text/plain, of at most {limits.CONTENT_TYPE_CHARS_MAX} characters; got "
            f"{text[:80]!r}",
            facts={"field": "Content-Type", "limit": limits.CONTENT_TYPE_CHARS_MAX, "size": text[:80]},
        )
    return text


def guarded(name: str) -> list[tuple[str, str]]:
    """Headers that keep a browser from doing anything with what a run has uploaded but to save it."""
    plain = re.sub(r"[^\w. -]", "_", name, flags=re.ASCII)
    return [
        ("Content-Disposition", f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ]


def _headers_of(file: FileInfo) -> list[tuple[str, str]]:
    return [*guarded(file.path.rpartition("/")[2]), ("ETag", f'"{file.sha256}"'), ("Accept-Ranges", "bytes")]


async def _sent(call: Call, found: Iterator[bytes]) -> AsyncIterator[bytes]:
    files = call.runtime.files
    try:
        while (piece := await files.run(lambda: next(found, None))) is not None:
            yield piece
    finally:
        close = getattr(found, "close", None)
        if close is not None:
            await files.run(close)


def _range(given: str | None, size: int) -> tuple[int, int] | None:
    """One range of bytes as (start, end); None where there is none, or one that is not understood: then all of it."""
    match = _RANGE.match(given or "")
    if match is None or not (match[1] or match[2]):
        return None
    if match[1] is None:
        start, end = max(0, size - int(match[2])), size
    else:
        start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    if start >= end:
        raise Invalid(
            f"the file has {size} bytes; {given} is not among them",
            facts={"field": "Range", "limit": size, "size": given},
        )
    return start, end


def _body(call: Call) -> BodyStream:
    assert call.stream is not None  # the operation says so
    return call.stream


OPERATIONS: Final = (
    Operation(
        method="GET",
        path=RUN + "/artifacts",
        name="listArtifacts",
        tag="files",
        summary="Files of a run, by path",
        run=list_artifacts,
        answer=list[FileInfo],
        query=FilesParams,
        is_question=True,
    ),
    Operation(
        method="PUT",
        path=RUN + "/artifacts/{file_path}",
        name="putArtifact",
        tag="files",
        summary="Store a file and record it; write-once per path",
        run=put_artifact,
        body_is_stream=True,
        answer=FileAnswer,
        statuses=(201, 200),
        is_command=True,
    ),
    Operation(
        method="GET",
        path=RUN + "/artifacts/{file_path}",
        name="getArtifact",
        tag="files",
        summary="The content of a file",
        run=get_artifact,
        answer_is_file=True,
        statuses=(200, 206),
        is_question=True,
    ),
    Operation(
        method="POST",
        path=RUN + "/contents",
        name="putContent",
        tag="files",
        summary="Store a content that a command records afterwards",
        run=put_content,
        body_is_stream=True,
        answer=Content,
        statuses=(201,),
    ),
    Operation(
        method="GET",
        path=RUN + "/contents/{sha256}",
        name="showContent",
        tag="files",
        summary="Whether a content is stored",
        run=show_content,
        answer=StoredAnswer,
    ),
)
