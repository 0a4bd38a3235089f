"""``…/runs/{id}/logs``: texts that grow while a run writes them, and become files when they are finished."""

from __future__ import annotations

from typing import Final

from runfold_events.contract import limits
from runfold_events.contract.commands import RecordArtifact
from runfold_events.contract.validation import check_artifact_path
from runfold_services.api.bodies import FileAnswer, FinishLogBody, LogEnd
from runfold_services.api.call import Call, accepted_all
from runfold_services.api.operations import Answer, Operation
from runfold_services.api.parameters import AppendParams, LogPartParams
from runfold_services.api.routes.files import BINARY, file_answer, guarded, keep, media_type, run_state
from runfold_services.api.routes.runs import RUN
from runfold_services.files.admission import check_log
from runfold_services.files.logs import finish_into, finished_text, no_log
from runfold_services.files.port import LogInfo


async def append_log(call: Call) -> Answer:
    """``offset`` is where the log ends; the same bytes again change nothing, other bytes or a gap are a conflict."""
    path, stream = call.file_path, call.stream
    assert stream is not None  # the operation says so
    state = await run_state(call)
    check_log(state, call.run_id, path)
    data = await stream.whole(limits.LOG_APPEND_BYTES_MAX)
    store, workspace, run_id, offset = (
        call.runtime.backend.files,
        call.workspace,
        call.run_id,
        call.query.offset,
    )
    end = await call.runtime.files.run(lambda: store.append_log(workspace, run_id, path, offset, data))
    return call.answer(LogEnd(end))


async def read_log(call: Call) -> Answer:
    """As it is so far; of a log that was finished, the file's content. Empty at the end."""
    path, files = call.file_path, call.runtime.files
    store, workspace, run_id, query = call.runtime.backend.files, call.workspace, call.run_id, call.query
    await run_state(call)
    start, bytes_max = query.from_byte, query.bytes_max
    data = await files.run(lambda: store.read_log(workspace, run_id, path, start, bytes_max))
    is_live = data is not None
    if data is None:
        state = await run_state(call)  # after the look at the log, which may have been finished just now
        data = await files.run(lambda: finished_text(store, state, workspace, run_id, path, start, bytes_max))
    headers = (*guarded(path.rpartition("/")[2]), ("Runfold-Log", "live" if is_live else "finished"))
    return Answer(body=data, content_type=BINARY, headers=headers)


async def list_logs(call: Call) -> Answer:
    await run_state(call)
    store, workspace, run_id = call.runtime.backend.files, call.workspace, call.run_id
    return call.answer(await call.runtime.files.run(lambda: store.logs(workspace, run_id)))


async def finish_log(call: Call) -> Answer:
    """Its content becomes a recorded file of the same path. Asked again, it answers the same."""
    body: FinishLogBody = call.body
    path, files = check_artifact_path(body.path), call.runtime.files
    store, workspace, run_id = call.runtime.backend.files, call.workspace, call.run_id
    await run_state(call)
    with await files.run(lambda: store.receive(workspace)) as incoming:
        stored = await files.run(lambda: finish_into(incoming, store, workspace, run_id, path))
        # Asked after the look at the log, which another request may have finished just now.
        content = stored or (await run_state(call)).artifacts.get(path)
        if content is None:
            raise no_log(run_id, path)
        command = RecordArtifact(
            run_id=run_id,
            path=path,
            sha256=content.sha256,
            size_bytes=content.size_bytes,
            content_type=media_type(body.content_type),
        )
        (accepted,) = accepted_all(await call.submit([command]))
        if stored is not None:
            await keep(call, incoming, stored)
    await files.run(lambda: store.remove_log(workspace, run_id, path))
    return file_answer(call, command, accepted)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path=RUN + "/logs",
        name="listLogs",
        tag="files",
        summary="Logs that the run is writing, by path",
        run=list_logs,
        answer=list[LogInfo],
    ),
    Operation(
        method="POST",
        path=RUN + "/logs/{file_path}",
        name="appendLog",
        tag="files",
        summary="Append to a log",
        run=append_log,
        body_is_stream=True,
        answer=LogEnd,
        query=AppendParams,
    ),
    Operation(
        method="GET",
        path=RUN + "/logs/{file_path}",
        name="readLog",
        tag="files",
        summary="A part of a log",
        run=read_log,
        answer_type=BINARY,
        query=LogPartParams,
    ),
    Operation(
        method="POST",
        path=RUN + "/logs:finish",
        name="finishLog",
        tag="files",
        summary="Turn a log into a file",
        run=finish_log,
        body=FinishLogBody,
        answer=FileAnswer,
        statuses=(201, 200),
        is_command=True,
    ),
)
