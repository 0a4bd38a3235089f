"""Tokens that are good for one run: what an agent gives to the script that it executes.

A script is whatever somebody submitted, and must not get the agent's own credential. Its token carries the run, and is
signed with what the server knows of the credential that the agent used: so nothing is stored, every server with the
same credentials knows it, and it is void once that credential is. It reaches the run and everything below it, and
nothing else; and it ends soon after the run has.

It also names the processes that hold the run when it is made, the agent's above all: whoever has the token speaks for
processes of its own, and for none of those.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from runfold_events.contract.commands import CommandBatch, CreateRun, RecordArtifact, RunCommand
from runfold_events.contract.errors import Conflict, LimitExceeded, NotFound, Unauthorized
from runfold_events.contract.ids import run_stream, split_stream
from runfold_events.contract.submission import Actor

if TYPE_CHECKING:
    from runfold_events.rules.run_state import RunState
    from runfold_projections.model import RunView
    from runfold_services.api.bodies import CurveQueryBody
    from runfold_services.api.call import Call
    from runfold_services.backend import Backend

K = TypeVar("K")
V = TypeVar("V")

PREFIX: Final = "rft1."
AFTER_END_S: Final = 60.0  # for what was on its way when the run ended
LOOK_AGAIN_S: Final = 2.0  # whether the run has ended
RUNS_REMEMBERED: Final = 10_000
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
_PURPOSE: Final = b"runfold run token 1\0"
HOLDERS_MAX: Final = 64  # named by a token, which has to fit into a header
# Without a run in their path: a process speaks of itself.
_OF_PROCESSES: Final = frozenset({"heartbeat", "releaseProcess"})
_WITH_QUERY: Final = frozenset({"queryRuns", "countRuns"})
_NEVER: Final = frozenset({"createRunToken", "eraseRun"})


class RunActor(Actor, frozen=True):
    """Somebody who has the token of a run. The name is that of whoever got it."""

    workspace: str = ""
    run_id: str = ""
    holders: tuple[UUID, ...] = ()  # processes that are not its own


class _Claims(Struct, frozen=True, array_like=True):
    workspace: str
    run_id: str
    actor: str
    issued_at: int  # seconds since the epoch; makes two tokens of one run differ
    holders: tuple[bytes, ...] = ()  # process ids


def make_token(secret: bytes, actor: str, workspace: str, run_id: str, holders: Sequence[UUID] = ()) -> str:
    """A token for a run, signed with ``secret``; no good for processes among ``holders``."""
    ids = tuple(holder.bytes for holder in holders)
    payload = msgspec.msgpack.encode(_Claims(workspace, run_id, actor, int(time.time()), ids))
    return f"{PREFIX}{_text(payload)}.{_text(_signature(secret, payload))}"


def read_token(token: str, secrets_of: dict[str, list[bytes]]) -> RunActor | None:
    """Whom a token stands for; None when it is none, or not signed with a secret of the actor that it names."""
    if not token.startswith(PREFIX):
        return None
    first, _, second = token.removeprefix(PREFIX).partition(".")
    try:
        payload, signature = urlsafe_b64decode(first), urlsafe_b64decode(second)
        claims = msgspec.msgpack.decode(payload, type=_Claims)
        holders = tuple(UUID(bytes=holder) for holder in claims.holders)
    except (ValueError, msgspec.MsgspecError):
        return None
    for secret in secrets_of.get(claims.actor, []):
        if hmac.compare_digest(_signature(secret, payload), signature):
            return RunActor(
                claims.actor,
                "token",
                workspace=claims.workspace,
                run_id=claims.run_id,
                holders=holders,
            )
    return None


def _signature(secret: bytes, payload: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + payload, sha256)


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode()


async def holders_of(backend: Backend, workspace: str, run_id: str) -> tuple[UUID, ...]:
    """The processes that hold a run now.

    Raises:
        LimitExceeded: more than a token can name.
    """
    stream = run_stream(workspace, run_id)
    writers = [mark.writer_id for mark in await backend.writers(workspace, run_id)]
    holders = tuple([writer for writer in writers if stream in await backend.held_by(writer)])
    if len(holders) > HOLDERS_MAX:
        raise LimitExceeded(
            f"a token can be made for a run that at most {HOLDERS_MAX} processes hold; {len(holders)} hold "
            f"{run_id!r}",
            facts={"field": "run_id", "limit": HOLDERS_MAX, "size": len(holders)},
        )
    return holders


class RunScopes:
    """Keeps who has a run's token to that run's tree. What never changes, which runs are below which, is remembered."""

    def __init__(self) -> None:
        self._below: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._experiments: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._seen_alive: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def check(self, call: Call) -> None:
        """Let the call pass, or raise.

        Raises:
            Unauthorized: ``forbidden``: it is about something else than the run's tree; or the run has ended.
        """
        actor = call.actor
        if not isinstance(actor, RunActor):
            return
        await self._check_alive(call, actor)
        name = call.operation.name
        if name in _NEVER:
            raise _forbidden(actor, f"{name} is not for scripts")
        if call.sender.is_process:
            self._check_own_process(actor, call.sender.writer_id)
        if name in _OF_PROCESSES:
            await self._check_process(call, actor, call.process_id)
            return
        if name == "submitCommands":
            await self._check_commands(call, actor, call.body)
            return
        if name == "queryOutcomes":
            await self._check_streams(call, actor, [one.stream for one in call.body.commands])
            return
        if "workspace" not in call.path:
            raise _forbidden(actor, f"{name} concerns more than the run")
        self._check_workspace(actor, call.workspace)
        if "run_id" in call.path:
            await self._check_run(call, actor, call.run_id)
        elif name in _WITH_QUERY:
            await self._check_run(call, actor, call.body.parent_run_id or call.body.ancestor_run_id)
        elif name == "queryCurves":
            await self._check_curves(call, actor, call.body)
        elif name == "showExperiment":
            await self._check_experiment(call, actor)
        else:
            raise _forbidden(actor, f"{name} concerns more than the run")

    async def _check_alive(self, call: Call, actor: RunActor) -> None:
        key = (actor.workspace, actor.run_id)
        if time.monotonic() - self._seen_alive.get(key, float("-inf")) < LOOK_AGAIN_S:
            return
        view = await self._view(call, actor, actor.run_id)
        if view is None or (
            view.ended_at is not None and time.time() - view.ended_at.timestamp() > AFTER_END_S
        ):
            raise Unauthorized(
                f"this token was good for run {actor.run_id!r}, which has ended",
                facts={"field": "Authorization"},
            )
        _remember(self._seen_alive, key, time.monotonic())

    async def _check_commands(self, call: Call, actor: RunActor, batch: CommandBatch) -> None:
        self._check_workspace(actor, batch.workspace)
        made: set[str] = set()  # by this batch
        for item in batch.commands:
            command = item.command
            if not isinstance(command, RunCommand):
                raise _forbidden(actor, "experiments are not its to change")
            if command.run_id in made:
                continue
            if isinstance(command, RecordArtifact):
                await self._check_content(call, actor, command)
            if isinstance(command, CreateRun):
                if command.parent_run_id not in made:
                    await self._check_run(call, actor, command.parent_run_id)
                await self.check_creation(call, command)
                made.add(command.run_id)
            else:
                await self._check_run(call, actor, command.run_id)

    async def check_creation(self, call: Call, command: CreateRun) -> None:
        """Let a new run pass, or one again that is below; its parent is checked already.

        ``resume`` would otherwise open any run, and a conflict tell what it is like. Asked of the ledger, which knows
        of a run before the views do.

        Raises:
            Unauthorized: ``forbidden``: it is another one's run, or in another experiment.
        """
        actor = call.actor
        if not isinstance(actor, RunActor):
            return
        if command.experiment != await self._experiment_of(call, actor):
            raise _forbidden(actor, "its run belongs to another experiment")
        path = await self._path_of(call, actor.workspace, command.run_id)
        if path is not None and actor.run_id not in path:
            raise _forbidden(actor, f"run {command.run_id!r} is another one's")

    async def note_upload(self, call: Call, sha256: str) -> None:
        """Remember what was sent with a run's token: its holder may record that, on whichever server."""
        actor, store = call.actor, call.runtime.backend.files
        if isinstance(actor, RunActor):
            await call.runtime.files.run(lambda: store.note_upload(actor.workspace, actor.run_id, sha256))

    async def knows_content(self, call: Call, run_id: str, sha256: str) -> bool:
        """Whether the call may learn of a content: a script of those it has sent, and of those its run has."""
        actor, store = call.actor, call.runtime.backend.files
        if not isinstance(actor, RunActor):
            return True
        for one in {run_id, actor.run_id}:
            state = await self._state(call, actor.workspace, one)
            if state is not None and any(file.sha256 == sha256 for file in state.artifacts.values()):
                return True
        return await call.runtime.files.run(lambda: store.is_upload(actor.workspace, actor.run_id, sha256))

    async def _check_content(self, call: Call, actor: RunActor, command: RecordArtifact) -> None:
        """Recording a content makes it readable, so its digest alone must not be enough."""
        if not _SHA256.match(command.sha256):
            return  # refused by the ledger, which says why
        if not await self.knows_content(call, command.run_id, command.sha256):
            raise _forbidden(actor, f"the content {command.sha256} was not uploaded with it")

    async def _check_streams(self, call: Call, actor: RunActor, streams: Iterable[str]) -> None:
        for stream in dict.fromkeys(streams):
            if stream.count("/") != 2 or not await self._is_own_stream(call, actor, stream):
                raise _forbidden(actor, f"{stream[:80]} is not its run")

    async def own_streams(self, call: Call, numbers: Mapping[str, int]) -> Mapping[str, int]:
        """Those of the numbers that are about the token's tree.

        The others are left out and not refused: a run whose creation is still on its way is not known to be below, and
        for its sake the lease must not end.
        """
        actor = call.actor
        if not isinstance(actor, RunActor):
            return numbers
        return {
            stream: number
            for stream, number in numbers.items()
            if await self._is_own_stream(call, actor, stream)
        }

    async def _check_process(self, call: Call, actor: RunActor, process_id: UUID) -> None:
        """A process of the script: one that did not hold the run before it, and holds nothing outside."""
        self._check_own_process(actor, process_id)
        backend = call.runtime.backend
        for stream in await call.runtime.threads.query(lambda: backend.held_by(process_id)):
            if not await self._is_own_stream(call, actor, stream):
                raise _forbidden(actor, f"process {process_id} holds other runs")

    def _check_own_process(self, actor: RunActor, process_id: UUID) -> None:
        if process_id in actor.holders:
            raise _forbidden(actor, f"process {process_id} is another one's, which held the run before")

    async def _is_own_stream(self, call: Call, actor: RunActor, stream: str) -> bool:
        workspace, kind, run_id = split_stream(stream)
        if workspace != actor.workspace or kind != "run":
            return False
        key = (workspace, actor.run_id, run_id)
        if run_id == actor.run_id or key in self._below:
            return True
        if actor.run_id not in (await self._path_of(call, workspace, run_id) or ()):
            return False
        _remember(self._below, key, None)
        return True

    async def _path_of(self, call: Call, workspace: str, run_id: str) -> tuple[str, ...] | None:
        """The runs from the root to a run; none of an erased one; None where there is no run."""
        try:
            state = await self._state(call, workspace, run_id)
        except Conflict:
            return ()
        return None if state is None else state.created.path

    async def _state(self, call: Call, workspace: str, run_id: str) -> RunState | None:
        backend = call.runtime.backend
        try:
            return await call.runtime.threads.query(lambda: backend.run_state(workspace, run_id))
        except NotFound:
            return None

    def _check_workspace(self, actor: RunActor, workspace: str) -> None:
        if workspace != actor.workspace:
            raise _forbidden(actor, f"workspace {workspace!r} is another one")

    async def _check_run(self, call: Call, actor: RunActor, run_id: str | None) -> None:
        if run_id == actor.run_id:
            return
        key = (actor.workspace, actor.run_id, run_id or "")
        if key in self._below:
            return
        view = None if run_id is None else await self._view(call, actor, run_id)
        if view is None or actor.run_id not in view.path:
            raise _forbidden(
                actor, f"run {run_id!r} is not below it" if run_id else "the question is not about it"
            )
        _remember(self._below, key, None)

    async def _check_curves(self, call: Call, actor: RunActor, body: CurveQueryBody) -> None:
        for run_id in body.runs:
            await self._check_run(call, actor, run_id)
        if body.query is not None:
            await self._check_run(call, actor, body.query.parent_run_id or body.query.ancestor_run_id)

    async def _check_experiment(self, call: Call, actor: RunActor) -> None:
        if await self._experiment_of(call, actor) != call.path.get("experiment"):
            raise _forbidden(actor, "its run belongs to another experiment")

    async def _experiment_of(self, call: Call, actor: RunActor) -> str | None:
        key = (actor.workspace, actor.run_id)
        if key not in self._experiments:
            view = await self._view(call, actor, actor.run_id)
            if view is None:
                return None
            _remember(self._experiments, key, view.experiment)
        return self._experiments[key]

    async def _view(self, call: Call, actor: RunActor, run_id: str) -> RunView | None:
        try:
            return await call.look_up(lambda views: views.run(actor.workspace, run_id))
        except NotFound:
            return None


def _remember(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > RUNS_REMEMBERED:
        kept.popitem(last=False)


def _forbidden(actor: RunActor, why: str) -> Unauthorized:
    return Unauthorized(
        f"this token is good for run {actor.run_id!r} and what is below it: {why}",
        code="forbidden",
        facts={"run_id": actor.run_id},
    )
