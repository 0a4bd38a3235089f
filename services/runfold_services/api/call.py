"""One request to one operation: what came in, and the three things an operation can do with it.

Operations *submit* commands, *ask* the views, or *manage* (leases, raw events). Nothing of that happens on the event
loop: see :mod:`runfold_services.threads`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from msgspec.structs import replace

from runfold_events.contract import limits
from runfold_events.contract.commands import INTERNAL_COMMANDS, Command, EraseRun, command_type
from runfold_events.contract.errors import Invalid, SequenceGap, Unauthorized
from runfold_events.contract.ids import check_experiment_name, check_run_id, check_workspace_name
from runfold_events.contract.submission import Accepted, Actor, Outcome, Refused, Submission, stream_of
from runfold_events.contract.tokens import Token, merged_tokens, parse_token
from runfold_events.contract.validation import check_artifact_path
from runfold_projections.ports import Views
from runfold_services.api.bodies import WriteAnswer
from runfold_services.api.identity import Sender, new_writer, sender_of
from runfold_services.api.lazily import lazily
from runfold_services.api.negotiation import answer_format, encode
from runfold_services.api.operations import Answer, Operation, Received
from runfold_services.api.problems import RefusedCommand
from runfold_services.runtime import Runtime
from runfold_services.telemetry import TRACEPARENT

DOOR: Final = "http"
POSITION_HEADER: Final = "runfold-position"
WAIT_HEADER: Final = "runfold-wait"
WAIT_S_DEFAULT: Final = 5.0
MINIMAL: Final = "return=minimal"
# "", api, v1, workspaces, {workspace}, runs, {run_id}, artifacts or logs
_SEGMENTS_BEFORE_FILE: Final = 8
T = TypeVar("T")


class Call:
    """A request whose body has been read and decoded."""

    def __init__(self, runtime: Runtime, operation: Operation, actor: Actor, received: Received) -> None:
        self.runtime = runtime
        self.operation = operation
        self.actor = actor
        self.path = received.path
        self.headers = received.headers
        self.query = received.query
        self.body = received.body
        self.body_bytes = received.body_bytes
        self.content_type = received.content_type
        self.stream = received.stream
        self.reached: str | None = None
        self._raw_path = received.raw_path

    @lazily
    def workspace(self) -> str:
        return check_workspace_name(self.path["workspace"])

    @lazily
    def run_id(self) -> str:
        return check_run_id(self.path["run_id"])

    @lazily
    def process_id(self) -> UUID:
        text = self.path["process_id"]
        try:
            return UUID(text)
        except ValueError:
            raise Invalid(
                f"a process id is a UUID; got {text[:80]!r}",
                facts={"field": "process_id", "limit": "a UUID", "size": text[:80]},
            ) from None

    @lazily
    def experiment(self) -> str:
        return check_experiment_name(self.path["experiment"])

    @lazily
    def file_path(self) -> str:
        """The path of a file in its run: all that follows in the request's path, with nothing tidied up."""
        before = _SEGMENTS_BEFORE_FILE
        return check_artifact_path(self._raw_path.split("/", before)[before])

    @lazily
    def sender(self) -> Sender:
        return sender_of(self.headers, self.actor)

    @lazily
    def format(self) -> str:
        return answer_format(self.headers.get("accept"), *self.operation.answer_others)

    @lazily
    def traceparent(self) -> str | None:
        """The W3C trace context; one that is malformed is left out, as the standard asks."""
        given = self.headers.get("traceparent", "")
        return given if TRACEPARENT.match(given) else None

    @lazily
    def prefers_little(self) -> bool:
        """``Prefer: return=minimal`` (RFC 7240): who asks looks at refusals, and at nothing of what was accepted."""
        return any(part.strip().lower() == MINIMAL for part in self.headers.get("prefer", "").split(","))

    # commands

    async def write(
        self, *commands: Command, hold: bool = False, fresh: bool = False, created: str | None = None
    ) -> Answer:
        """Submit the commands of a simple endpoint and answer in one: the first refusal, or what all of them gave.

        ``fresh``: their streams are new. ``created``: the event type that makes the answer a 201.
        """
        outcomes = await self.submit(commands, hold=hold, fresh=fresh)
        accepted = accepted_all(outcomes)
        token = merged_token(outcomes)
        events = tuple([event for outcome in accepted for event in outcome.events])
        answer = WriteAnswer(
            token=token or "",
            run_id=getattr(commands[0], "run_id", None),
            events=events,
            repeated=all(outcome.repeated for outcome in accepted),
        )
        is_new = created is not None and any(event.type == created for event in events)
        return self.answer(answer, status=201 if is_new else 200, token=token)

    async def submit(
        self, commands: Sequence[Command], *, hold: bool = False, fresh: bool = False
    ) -> list[Outcome]:
        """Number the commands as the request's headers say, commit them, and return an outcome for each."""
        self.check_hold(hold)
        numbers = self.sender.numbers(
            [stream_of(self.workspace, command) for command in commands], fresh=fresh
        )
        submissions = [
            self.submission(command, number, hold=hold)
            for command, number in zip(commands, numbers, strict=True)
        ]
        return await self.commit(submissions)

    async def commit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Commit numbered commands, within the workspace's quota; one outcome each, in the same order."""
        self.runtime.quotas.admit(self.workspace, submissions)
        outcomes = await self.runtime.committer.submit(submissions, self.body_bytes)
        return await self._without_gaps(submissions, outcomes) if self.sender.is_nobody else outcomes

    async def _without_gaps(
        self, submissions: Sequence[Submission], outcomes: list[Outcome]
    ) -> list[Outcome]:
        """A refusal that is not recorded leaves its number free, and what follows on its stream has jumped.

        Where the numbers are the client's that is its own concern. Where they are ours the neighbours of a bad command
        must not suffer: each is sent again as the first command of a writer of its own.
        """
        jumped = [
            index
            for index, outcome in enumerate(outcomes)
            if isinstance(outcome, Refused) and outcome.code == SequenceGap.default_code
        ]
        if not jumped:
            return outcomes
        again = [replace(submissions[i], writer_id=new_writer(), writer_seq=1) for i in jumped]
        for index, outcome in zip(
            jumped, await self.runtime.committer.submit(again, self.body_bytes), strict=True
        ):
            outcomes[index] = outcome
        return outcomes

    def submission(
        self,
        command: Command,
        number: int,
        *,
        hold: bool = False,
        occurred_at: int | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
        names_events: bool = True,
    ) -> Submission:
        """``command`` with everything around it.

        Raises:
            Unauthorized: ``forbidden``: not for this actor, or for nobody outside.
        """
        if isinstance(command, INTERNAL_COMMANDS):
            raise _forbidden(f"{command_type(command)} is the lease keeper's own command")
        if isinstance(command, EraseRun):
            self.require_admin()
        return Submission(
            workspace=self.workspace,
            command=command,
            writer_id=self.sender.writer_id,
            writer_seq=number,
            occurred_at=time.time_ns() // 1_000 if occurred_at is None else occurred_at,
            actor=self.actor,
            door=DOOR,
            content_type=self.content_type,
            hold=hold,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=self.traceparent,
            names_events=names_events,
        )

    def check_hold(self, hold: bool) -> None:
        """Only a process can hold a run; raises :class:`Invalid` where a request without one asks for that."""
        if hold and not self.sender.is_process:
            raise Invalid(
                "hold needs Runfold-Writer: only a process that sends heartbeats can hold a run",
                facts={"field": "hold", "limit": "Runfold-Writer"},
            )

    def require_admin(self) -> None:
        """Raise ``forbidden`` unless the actor is admin."""
        if not self.actor.admin:
            raise _forbidden("only an admin may do this")

    # questions

    async def ask(
        self,
        question: Callable[[Views], Awaitable[Any]],
        encode: Callable[[Any, str], bytes] = encode,
    ) -> Answer:
        """Ask the views at the position that the request names (else as they are), and encode on the same thread."""
        media = self.format
        views = self.runtime.backend.views

        async def work() -> Answer:
            reached = await self._reach()
            value = await question(views)
            return Answer(body=encode(value, media), content_type=media, token=str(reached))

        return await self.runtime.threads.query(work)

    async def look_up(self, question: Callable[[Views], Coroutine[Any, Any, T]]) -> T:
        """Ask the views for something that a command or a stream needs; where they stood is :attr:`reached` then."""
        views = self.runtime.backend.views

        async def work() -> T:
            self.reached = str(await self._reach())
            return await question(views)

        return await self.runtime.threads.query(work)

    async def _reach(self) -> Token:
        """Wait for the position that the request names; where the views stand then."""
        at, wait_s = self.position()
        backend = self.runtime.backend
        return await backend.latest() if at is None else await backend.views.reach(at, wait_s)

    def position(self) -> tuple[Token | None, float]:
        """What ``Runfold-Position`` and ``Runfold-Wait`` (seconds) say."""
        given = self.headers.get(POSITION_HEADER)
        return (parse_token(given) if given else None, _wait_s(self.headers.get(WAIT_HEADER)))

    # answers

    def answer(
        self, value: Any, *, status: int = 200, token: str | None = None, location: str | None = None
    ) -> Answer:
        """A small answer, encoded here."""
        return Answer(
            status=status,
            body=encode(value, self.format),
            content_type=self.format,
            token=token,
            location=location,
        )


def accepted_all(outcomes: Sequence[Outcome]) -> list[Accepted]:
    """The outcomes, all accepted; raises the first refusal."""
    accepted: list[Accepted] = []
    for outcome in outcomes:
        if not isinstance(outcome, Accepted):
            raise RefusedCommand(outcome)
        accepted.append(outcome)
    return accepted


def merged_token(outcomes: Sequence[Outcome]) -> str | None:
    """One position that includes all outcomes."""
    if len(outcomes) == 1:
        return outcomes[0].token
    merged = merged_tokens(outcome.token for outcome in outcomes if outcome.token is not None)
    return None if merged is None else str(merged)


def _wait_s(value: str | None) -> float:
    if value is None:
        return WAIT_S_DEFAULT
    try:
        wait_s = float(value)
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= limits.POSITION_WAIT_S_MAX:
        raise Invalid(
            f"Runfold-Wait must be seconds from 0 to {limits.POSITION_WAIT_S_MAX:.0f}; got {value[:80]!r}",
            facts={"field": "Runfold-Wait", "limit": limits.POSITION_WAIT_S_MAX, "size": value[:80]},
        )
    return wait_s


def _forbidden(why: str) -> Unauthorized:
    return Unauthorized(why, code="forbidden")
