"""One transaction's work: commands decided one after the other over what was loaded, nothing written yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from runfold_events.contract import commands as c
from runfold_events.contract import events as e
from runfold_events.contract import limits
from runfold_events.contract.codec import command_digest, encode_event
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.ids import (
    experiment_id,
    experiment_stream,
    run_stream,
    split_stream,
)
from runfold_events.contract.statuses import TERMINAL, Status
from runfold_events.contract.submission import Accepted, Actor, EventRef, Outcome, Refused, Submission
from runfold_events.marks import declared_lost, is_known, taken, within
from runfold_events.ports import (
    CommandKey,
    Holders,
    IdSource,
    Loaded,
    LogMark,
    PartitionRow,
    Range,
    Write,
    WriterKey,
    WriterMark,
)
from runfold_events.recorder import Body, Origin, Recorder
from runfold_events.rules import experiment as experiment_rules
from runfold_events.rules import run as run_rules
from runfold_events.rules.decision import NOTHING, Context, Decision, ParentFacts, Rejection
from runfold_events.rules.experiment import ExperimentState
from runfold_events.rules.run_state import RunState
from runfold_events.standing import Stream, Writer

SYSTEM_ACTOR: Final = Actor("runfold", "system")
_NOBODY: Final = Holders()

RunNumbers = dict[str, range]  # by experiment stream: what is reserved for its runs and not taken so far


class Repeated(Struct, frozen=True):
    """Stands for the answer to a command that was known already; looked up after the commit."""

    key: CommandKey
    is_creation: bool = False  # a CreateRun: without events of its own it answers what created the run
    declares: Range | None = None  # a DeclareLost: the first command under this number must say the same


class _SystemOrigin(Struct, frozen=True, kw_only=True):
    """Where an event of a ``_system`` stream comes from: what a submission says of its own events."""

    occurred_at: int
    writer_id: UUID
    writer_seq: int
    actor: Actor = SYSTEM_ACTOR
    door: str = "system"
    causation_id: UUID | None = None
    correlation_id: UUID | None = None
    traceparent: str | None = None


class Work:
    """Decides commands in order; :meth:`write` gives everything that is to be stored."""

    def __init__(
        self,
        epoch: UUID,
        row: PartitionRow,
        loaded: Loaded,
        ids: IdSource,
        run_numbers: RunNumbers,
        *,
        takes_jumps: bool = False,
    ) -> None:
        """``takes_jumps``: a jump in a writer's numbers is recorded as a gap that later data may close (a log's
        door), instead of being refused with the number expected (a door whose sender listens)."""
        self._takes_jumps = takes_jumps
        self._token_start = f"{epoch}:{row.partition}="
        self._row = row
        self._loaded = loaded
        self._run_numbers = run_numbers
        self._streams: dict[str, Stream] = {}
        self._writers: dict[WriterKey, Writer] = {}
        self._recorder = Recorder(epoch, row, ids)
        self._holds: dict[str, set[UUID]] = {}
        self._contexts: dict[tuple[str, UUID, bool, str], Context] = {}  # of the holders as they are now
        self._dropped: set[WriterKey] = set()
        self._ended: set[str] = set()
        self._lost: set[str] = set()
        self._found: set[str] = set()
        self._erased: list[str] = []
        self.jumps_count = 0  # in writers' numbers

    @property
    def has_changes(self) -> bool:
        """False when every command was refused without an event or known already."""
        return any(writer.changed for writer in self._writers.values())

    def handle(self, submission: Submission) -> Outcome | Repeated:
        """Decide one command and remember what it changes."""
        stream = str(submission.stream)
        key = (stream, submission.writer_id)
        if isinstance(submission.command, c.LogMetrics):
            logged = self.log_metrics(key, submission)
            if logged is not None:
                return Accepted(self._token(), (ref_of(logged),) if submission.names_events else ())
        writer = self._writer(key)
        stop = self._admit(writer, submission)
        if stop is not None:
            return stop
        decision = self._decide(stream, submission)
        if isinstance(decision, Rejection) and not decision.recorded:
            return self._refused(decision, None)
        bodies = [] if isinstance(decision, Rejection) else [encode_event(event) for event in decision]
        too_large = _too_large(bodies)
        if too_large is not None:
            return self._refused(too_large, None)
        outcome = self._record(stream, submission, decision, bodies)
        self._advance(writer, submission, decision)
        if (
            isinstance(submission.command, c.CreateRun)
            and not submission.command.resume
            and decision == NOTHING
        ):
            return Repeated((stream, submission.writer_id, submission.writer_seq), is_creation=True)
        return outcome

    def log_metrics(self, key: WriterKey, submission: Submission) -> RecordedEvent | None:
        """Do at once what is asked for most: metrics for a run that takes them, by a writer's next number.

        Args:
            key: stream and writer of the submission, which its caller has at hand.
            submission: a ``LogMetrics`` that is well-formed.

        Returns:
            The event of the command, which is accepted. None when it is anything else: nothing was done, and the rules
            have to decide. Where there is an event, they would have given the same.
        """
        writer = self._writer(key)
        if submission.writer_seq != writer.highest + 1 or writer.is_refused or submission.hold:
            return None
        stream = self._stream(key[0])
        command, state = submission.command, stream.state
        if not (
            isinstance(command, c.LogMetrics)
            and isinstance(state, RunState)
            and run_rules.takes_metrics(state)
        ):
            return None
        # Smaller than an event's may be, as all commands are.
        body = (submission.content_type, bytes(command.batch))
        recorded = self._recorder.record(stream, submission, e.METRICS_LOGGED, body)
        stream.pass_by()
        writer.take_next(submission)
        return recorded

    def append_system(
        self,
        stream: str,
        event: e.SystemEvent,
        writer_id: UUID,
        correlation_id: UUID | None = None,
        *,
        writer_seq: int | None = None,
    ) -> None:
        """Record a fact about the store itself in its own stream.

        Args:
            stream: the partition's own.
            event: the fact.
            writer_id: whose fact it is.
            correlation_id: of the command that it is about.
            writer_seq: for a fact that is looked up by this key; otherwise such facts are counted by their stream.
        """
        origin = _SystemOrigin(
            occurred_at=self._row.now,
            writer_id=writer_id,
            writer_seq=self._stream(stream).seq + 1 if writer_seq is None else writer_seq,
            correlation_id=correlation_id,
        )
        self._append(stream, origin, event)

    @property
    def events_count(self) -> int:
        """How many events this transaction appends."""
        return len(self._recorder.events)

    def write(self, *, next_offset: int | None = None, last_record: LogMark | None = None) -> Write:
        """Everything this transaction stores."""
        return Write(
            events=self._recorder.events,
            heads=[stream.head() for stream in self._streams.values() if stream.changed],
            marks=[writer.finished() for writer in self._writers.values() if writer.changed],
            drop=sorted(self._dropped),
            hold=[(stream, process) for stream, processes in self._holds.items() for process in processes],
            lost=sorted(self._lost),
            found=sorted(self._found),
            ended=sorted(self._ended),
            erase=self._erased,
            next_offset=next_offset,
            last_record=last_record,
        )

    # Numbers

    def _writer(self, key: WriterKey) -> Writer:
        writer = self._writers.get(key)
        if writer is None:
            writer = self._writers[key] = Writer(self._loaded.marks.get(key) or WriterMark(*key, 0, None))
        return writer

    def _admit(self, writer: Writer, submission: Submission) -> Outcome | Repeated | None:
        """An answer that needs no decision: known already, blocked, or out of turn."""
        number, mark = submission.writer_seq, writer.mark
        if is_known(mark, number):
            known = self._known(writer, submission)
            if known is not None:
                return known
            return self._refuse(
                "idempotency_conflict",
                f"command {number} of this writer came before with other content",
                {"writer_seq": number, "highest": mark.highest, "stream": mark.stream},
            )
        if mark.refused_creation:
            return self._refuse(
                "conflict",
                "this writer's run.create was refused on this run; nothing more of it is taken here",
                {"stream": mark.stream, "refused_creation": True},
            )
        if number > mark.highest + 1 and not self._takes_jumps:
            return self._refuse(
                "sequence_gap",
                f"expected command {mark.highest + 1} of this writer, got {number}",
                {"expected": mark.highest + 1, "got": number, "stream": mark.stream},
            )
        if number > mark.highest + 1 and len(mark.gaps) >= limits.WRITER_GAPS_MAX:
            return self._refuse(
                "limit_exceeded",
                f"this writer has {len(mark.gaps)} gaps on the stream; declare the missing numbers lost first",
                {
                    "field": "writer_seq",
                    "limit": limits.WRITER_GAPS_MAX,
                    "size": len(mark.gaps),
                    "stream": mark.stream,
                },
            )
        return None

    def _known(self, writer: Writer, submission: Submission) -> Outcome | Repeated | None:
        """The answer to a number that came before; None when it came with other content."""
        number, command, mark = submission.writer_seq, submission.command, writer.mark
        key = (mark.stream, mark.writer_id, number)
        if isinstance(command, c.DeclareLost):
            return Repeated(key, declares=(command.first, command.last))
        if within(number, mark.lost):
            return declared_lost_answer(number, self._token())
        if number == mark.highest:
            digest = writer.finished().digest
            if digest is not None and digest != command_digest(submission.command, submission.content_type):
                return None
        return Repeated(key, is_creation=isinstance(command, c.CreateRun) and not command.resume)

    def _advance(self, writer: Writer, submission: Submission, decision: Decision) -> None:
        command, mark = submission.command, writer.mark
        self.jumps_count += submission.writer_seq > mark.highest + 1
        is_refused = isinstance(decision, Rejection)
        if isinstance(command, c.DeclareLost) and not is_refused:
            after = declared_lost(mark, command.first, command.last)
        else:
            after = taken(mark, submission.writer_seq)
        if isinstance(command, c.CreateRun) and is_refused:
            after = replace(after, refused_creation=True)
        writer.move(after, submission)
        if isinstance(command, c.EraseRun) and not is_refused:
            writer.forget_content()

    # Decisions

    def _decide(self, stream: str, submission: Submission) -> Decision:
        command = submission.command
        state = self._stream(stream).state
        if isinstance(command, c.RunCommand):
            run = state if isinstance(state, RunState) else None
            return run_rules.decide(run, command, self._context(stream, submission))
        known = state if isinstance(state, ExperimentState) else None
        return experiment_rules.decide(
            known, command, experiment_id(submission.workspace, command.experiment)
        )

    def _context(self, stream: str, submission: Submission) -> Context:
        command = submission.command
        key = (stream, submission.writer_id, submission.hold, submission.content_type)
        if not isinstance(command, c.CreateRun) and key in self._contexts:
            return self._contexts[key]
        holders = self._loaded.holders.get(stream, _NOBODY)
        live = holders.live
        if stream in self._holds:
            live |= self._holds[stream]
        if stream in self._ended:
            holders, live = _NOBODY, _NOBODY.live
        context = Context(
            writer_holds=submission.writer_id in live,
            held_by_other=bool(live and live - {submission.writer_id}),
            ever_held=holders.ever or bool(live),
            will_hold=submission.hold,
            content_type=submission.content_type,
        )
        if not isinstance(command, c.CreateRun):
            self._contexts[key] = context
            return context
        experiment = experiment_stream(submission.workspace, command.experiment)
        known = self._stream(experiment).state
        return replace(
            context,
            experiment_id=known.experiment_id if isinstance(known, ExperimentState) else None,
            parent=self._parent(submission.workspace, command.parent_run_id),
            run_number=self._run_number(experiment, stream),
        )

    def _parent(self, workspace: str, run_id: str | None) -> ParentFacts | None:
        if run_id is None:
            return None
        state = self._stream(run_stream(workspace, run_id)).state
        if not isinstance(state, RunState):
            return None
        return ParentFacts(run_id, state.created.root_run_id, state.created.path)

    def _run_number(self, experiment: str, stream: str) -> int:
        if self._stream(stream).state is not None:
            return 0
        numbers = self._run_numbers.get(experiment)
        return numbers[0] if numbers else 0

    def _stream(self, name: str) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = Stream(name, self._loaded.heads.get(name))
        return stream

    # Events

    def _record(self, stream: str, submission: Submission, decision: Decision, bodies: list[Body]) -> Outcome:
        if isinstance(decision, Rejection):
            rejected = e.CommandRejected(
                command=c.command_type(submission.command),
                code=decision.code,
                message=decision.message,
                facts=decision.facts,
            )
            return self._refused(decision, ref_of(self._append(stream, submission, rejected)))
        target = self._stream(stream)
        before = target.state
        recorded = [self._append(stream, submission, *made) for made in zip(decision, bodies, strict=True)]
        if submission.hold or target.state is not before:
            status = before.status if isinstance(before, RunState) else None
            self._note_holders(stream, submission, status, decision)
        if not submission.names_events:
            return Accepted(self._token())
        command = submission.command
        return Accepted(
            token=self._token(),
            events=tuple([ref_of(event) for event in recorded]),
            run_id=command.run_id if isinstance(command, c.CreateRun) else None,
        )

    def _append(
        self, stream: str, origin: Origin, event: e.AnyEvent, body: Body | None = None
    ) -> RecordedEvent:
        target = self._stream(stream)
        recorded = self._recorder.record(target, origin, e.event_type(event), body or encode_event(event))
        target.apply(event, recorded.id)
        if isinstance(event, e.RunCreated):
            self._take_run_number(split_stream(stream)[0], event)
        return recorded

    def _take_run_number(self, workspace: str, event: e.RunCreated) -> None:
        experiment = experiment_stream(workspace, event.experiment)
        numbers = self._run_numbers.get(experiment)
        if numbers:
            self._run_numbers[experiment] = numbers[1:]

    def _note_holders(
        self, stream: str, submission: Submission, before: Status | None, events: Sequence[e.AnyEvent]
    ) -> None:
        """What the accepted command means for who holds the run, and for the lease keeper."""
        state = self._stream(stream).state
        if not isinstance(state, RunState):
            return
        self._contexts.clear()
        over = state.status in TERMINAL or state.erased
        command = submission.command
        if submission.hold and c.holds(command) and not over:
            self._holds.setdefault(stream, set()).add(submission.writer_id)
            if events and isinstance(command, c.RunCommand) and c.takes_over(command):
                # A process that was only away and comes back finds that the run is another one's now.
                dead = self._loaded.holders.get(stream, _NOBODY).dead
                self._dropped |= {(stream, process) for process in dead}
        if over and events:
            self._ended.add(stream)
            self._holds.pop(stream, None)
        if events and isinstance(command, c.EraseRun):
            self._erased.append(stream)
        if state.status is Status.NOT_RESPONDING and before is not state.status:
            self._lost.add(stream)
            self._found.discard(stream)
        elif before is Status.NOT_RESPONDING and before is not state.status:
            self._found.add(stream)
            self._lost.discard(stream)

    # Answers

    def _token(self) -> str:
        return f"{self._token_start}{self._recorder.next_pos}"

    def _refused(self, rejection: Rejection, event: EventRef | None) -> Refused:
        code, message, facts = rejection.code, rejection.message, rejection.facts
        return Refused(code=code, message=message, facts=facts, token=self._token(), event=event)

    def _refuse(self, code: str, message: str, facts: dict[str, object]) -> Refused:
        return Refused(code=code, message=message, facts=facts, token=self._token())


def ref_of(event: RecordedEvent) -> EventRef:
    """How an answer names an event."""
    return EventRef(event.id, event.type, event.stream, event.stream_seq, event.partition, event.pos)


def declared_lost_answer(number: int, token: str | None = None) -> Refused:
    """The answer to a command whose writer declared it lost, when it comes after all."""
    return Refused(
        code="declared_lost",
        message=f"command {number} was declared lost by its writer",
        facts={"writer_seq": number},
        token=token,
        repeated=True,
    )


def _too_large(bodies: Sequence[Body]) -> Rejection | None:
    """A refusal where an event would be larger than what can be published; JSON may be six times its command."""
    size = 0
    for _, body in bodies:
        size = max(size, len(body))
    if size <= limits.EVENT_BODY_BYTES_MAX:
        return None
    return Rejection(
        code="limit_exceeded",
        message=f"the event would have {size} bytes; {limits.EVENT_BODY_BYTES_MAX} can be published: send less at once",
        facts={"field": "command", "limit": limits.EVENT_BODY_BYTES_MAX, "size": size},
        recorded=False,
    )
