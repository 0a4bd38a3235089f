"""The one way into the store: lock, load, decide, append.

``Ledger.handle`` takes numbered commands from any door and answers each. One transaction covers what a batch has for
one partition; a command that names an experiment or parent created by the same batch on another partition waits for
that partition's commit. Nothing is retried here: a caller that got no answer sends the same numbers again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from runfold_events.collector import paused_for
from runfold_events.contract import commands as c
from runfold_events.contract import limits
from runfold_events.contract.codec import command_size_bytes, decode_event
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.errors import Invalid, LimitExceeded, RunfoldError, Unavailable
from runfold_events.contract.events import CommandRejected, CommandsLost
from runfold_events.contract.ids import check_workspace_name, experiment_stream, partition_of, run_stream
from runfold_events.contract.metrics import check_batch
from runfold_events.contract.submission import Accepted, Outcome, Refused, Submission
from runfold_events.contract.tokens import Token
from runfold_events.contract.validation import check_command, check_text
from runfold_events.marks import is_known, within
from runfold_events.ports import CommandKey, EventStore, IdSource, Range, WriterKey, WriterMark
from runfold_events.work import Repeated, RunNumbers, Work, declared_lost_answer, ref_of


class Ledger:
    """Decides commands and appends their events."""

    def __init__(self, store: EventStore, ids: IdSource, *, partitions_at_once: bool = False) -> None:
        """``partitions_at_once``: commit what a batch has for several partitions side by side. For a store that waits
        for the network: then a partition whose row is held by somebody else keeps none of the others waiting."""
        self.store = store
        self.ids = ids
        self._at_once = partitions_at_once

    async def handle(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Handle commands in order and answer each, in the same order; what is answered Accepted is durable.

        Raises:
            Unavailable: the store could not be reached; some commands may have been committed. Sending the same
                numbers again gives every command its one, true answer.
        """
        outcomes: list[Outcome | None] = [refusal_of(submission) for submission in submissions]
        open_indexes = [index for index, outcome in enumerate(outcomes) if outcome is None]
        with paused_for(len(open_indexes)):
            for wave in waves_of(submissions, open_indexes, self.store.partitions):
                work = [
                    self.handle_partition(partition, [submissions[index] for index in indexes])
                    for partition, indexes in wave.items()
                ]
                for indexes, answers in zip(wave.values(), await self._all(work), strict=True):
                    for index, outcome in zip(indexes, answers, strict=True):
                        outcomes[index] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    async def _all(self, work: Sequence[Coroutine[Any, Any, list[Outcome]]]) -> list[list[Outcome]]:
        """Run all of it; what the first failure was, once nothing runs any more."""
        if not self._at_once or len(work) == 1:
            return [await one for one in work]
        results = await asyncio.gather(*work, return_exceptions=True)
        done: list[list[Outcome]] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            done.append(result)
        return done

    async def handle_partition(self, partition: int, batch: list[Submission]) -> list[Outcome]:
        """Commands of one partition, in as many transactions as it takes for none to hold its row for long."""
        step = limits.TRANSACTION_COMMANDS_MAX
        if len(batch) <= step:
            return await self._handle_together(partition, batch)
        numbers = await self._reserved_for_all(batch)
        outcomes: list[Outcome] = []
        for start in range(0, len(batch), step):
            outcomes += await self._handle_together(partition, batch[start : start + step], numbers)
        return outcomes

    async def _reserved_for_all(self, batch: list[Submission]) -> RunNumbers | None:
        """Numbers for the runs of several transactions, by one more; None: each has to look for its own."""
        try:
            return await self.reserve_numbers(batch)
        except Unavailable:
            raise
        except Exception:  # what is to blame shows in its own transaction, and takes no other along
            return None

    async def _handle_together(
        self, partition: int, batch: list[Submission], numbers: RunNumbers | None = None
    ) -> list[Outcome]:
        """One transaction; a batch that the store cannot take is halved until the one to blame is alone.

        ``numbers``: what is reserved for its runs; what is used is taken away.
        """
        try:
            answers = await self._transact(partition, batch, numbers)
        except Unavailable:
            raise
        except Exception as error:
            if len(batch) == 1:
                return [_broken(error)]
            half = len(batch) // 2
            first = await self._handle_together(partition, batch[:half])
            return first + await self._handle_together(partition, batch[half:])
        return await self.resolve(partition, answers)

    async def _transact(
        self, partition: int, batch: list[Submission], reserved: RunNumbers | None = None
    ) -> list[Outcome | Repeated]:
        numbers = await self.reserve_numbers(batch) if reserved is None else dict(reserved)
        streams, writers = self.concerned(batch)
        async with self.store.transaction(partition) as transaction:
            loaded = await transaction.load(streams, writers)
            work = Work(self.store.epoch, transaction.row, loaded, self.ids, numbers)
            answers = [work.handle(submission) for submission in batch]
            if work.has_changes:
                await transaction.write(work.write())
        if reserved is not None:  # only now: a transaction that was not committed has used none
            reserved.update(numbers)
        return answers

    def concerned(self, batch: Sequence[Submission]) -> tuple[set[str], set[WriterKey]]:
        """Which streams and writers a batch's decisions need from the store."""
        writers: set[WriterKey] = {(submission.stream, submission.writer_id) for submission in batch}
        return {stream for stream, _ in writers} | _named_streams(batch), writers

    async def reserve_numbers(self, batch: list[Submission]) -> RunNumbers:
        """Run numbers for the runs of ``batch`` that do not exist yet, by experiment stream."""
        creations = creations_of(batch)
        if not creations:
            return {}
        known = await self.store.heads({run for run, _ in creations})
        wanted = Counter(experiment for run, experiment in creations if run not in known)
        numbers: RunNumbers = {}
        for stream, count in wanted.items():
            first = await self.store.reserve_run_numbers(stream, count)
            numbers[stream] = range(first, first + count)
        return numbers

    async def resolve(self, partition: int, answers: list[Outcome | Repeated]) -> list[Outcome]:
        """Answers for commands that were known already: what they gave the first time."""
        repeated = [answer for answer in answers if isinstance(answer, Repeated)]
        if not repeated:
            return [answer for answer in answers if not isinstance(answer, Repeated)]
        found = await self.store.outcomes({answer.key for answer in repeated})
        for answer in repeated:
            if answer.is_creation and answer.key not in found:
                found[answer.key] = await self._creation(answer.key[0])
        token = str(Token(self.store.epoch, {partition: (await self.store.ends())[partition]}))
        return [
            first_outcome(answer, found.get(answer.key, []), token)
            if isinstance(answer, Repeated)
            else answer
            for answer in answers
        ]

    async def _creation(self, stream: str) -> list[RecordedEvent]:
        """The events that the run's first command gave: run.created and, where it asked for that, run.started."""
        events = await self.store.read_stream(stream, 1, 2)
        return [event for event in events if event.causes == events[0].causes]

    async def outcome(self, key: CommandKey) -> Outcome | None:
        """What the command ``(stream, writer, number)`` gave; None when it never came."""
        return (await self.outcomes([key]))[0]

    async def outcomes(self, keys: Sequence[CommandKey]) -> list[Outcome | None]:
        """The same for several commands, in order."""
        marks: dict[WriterKey, WriterMark] = {}
        for stream in dict.fromkeys(stream for stream, _, _ in keys):
            marks |= {(stream, mark.writer_id): mark for mark in await self.store.writers(stream)}
        found: list[Outcome | None] = [None] * len(keys)
        repeated: dict[int, list[int]] = {}  # partition → places in ``keys``
        for place, (stream, writer_id, number) in enumerate(keys):
            mark = marks.get((stream, writer_id))
            if mark is None or not is_known(mark, number):
                continue
            if within(number, mark.lost):
                found[place] = declared_lost_answer(number)
            else:
                repeated.setdefault(partition_of(stream, self.store.partitions), []).append(place)
        for partition, places in repeated.items():
            answers = await self.resolve(partition, [Repeated(keys[place]) for place in places])
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
        return found


def creations_of(batch: Sequence[Submission]) -> set[tuple[str, str]]:
    """The streams of all runs that a batch wants to create, and of their experiments."""
    return {
        (str(s.stream), str(experiment_stream(s.workspace, s.command.experiment)))
        for s in batch
        if isinstance(s.command, c.CreateRun)
    }


def refusal_of(submission: Submission) -> Refused | None:
    """Why a submission is malformed, whatever the store holds; None when it is not."""
    try:
        _check_submission(submission)
    except RunfoldError as error:
        return _refused(error)
    return None


def refusal_of_batch(content_type: str, batch: bytes) -> Refused | None:
    """The same for a submission of metrics, of which all but the batch was checked before."""
    try:
        check_batch(content_type, batch)
    except RunfoldError as error:
        return _refused(error)
    return None


def _refused(error: RunfoldError) -> Refused:
    return Refused(code=error.code, message=error.message, facts=error.facts)


def _check_submission(submission: Submission) -> None:
    check_workspace_name(submission.workspace)
    check_command(submission.command)
    size = command_size_bytes(submission.command)
    if size > limits.COMMAND_BYTES_MAX:
        raise LimitExceeded(
            f"a command may have {limits.COMMAND_BYTES_MAX} bytes; it has {size}",
            facts={"field": "command", "limit": limits.COMMAND_BYTES_MAX, "size": size},
        )
    if not limits.TIME_US_MIN <= submission.occurred_at <= limits.TIME_US_MAX:
        raise Invalid(
            f"occurred_at must be µs since the epoch, within the years 1 to 9999; got {submission.occurred_at}",
            facts={
                "field": "occurred_at",
                "limit": limits.TIME_US_MAX,
                "size": str(submission.occurred_at),
            },
        )
    if not 1 <= submission.writer_seq <= limits.WRITER_SEQ_MAX:
        raise Invalid(
            f"writer_seq must be from 1 to {limits.WRITER_SEQ_MAX}; got {submission.writer_seq}",
            facts={"field": "writer_seq", "limit": limits.WRITER_SEQ_MAX, "size": submission.writer_seq},
        )
    check_text(submission.actor.name, "actor", limits.ACTOR_CHARS_MAX)
    check_text(submission.traceparent, "traceparent", limits.TRACEPARENT_CHARS_MAX)
    _check_command_in_context(submission)


def _check_command_in_context(submission: Submission) -> None:
    command = submission.command
    if isinstance(command, c.LogMetrics):
        check_batch(submission.content_type, bytes(command.batch))
    elif isinstance(command, c.DeclareLost) and command.first != submission.writer_seq:
        raise Invalid(
            f"DeclareLost({command.first}..{command.last}) must be numbered {command.first}",
            facts={"field": "writer_seq", "limit": command.first, "size": submission.writer_seq},
        )


def _named_streams(batch: Sequence[Submission]) -> set[str]:
    """Streams whose unchanging facts the batch's creations need."""
    return {stream for submission in batch for stream in _named_by(submission)}


def _named_by(submission: Submission) -> tuple[str, ...]:
    """The same of one command: its experiment, and its parent."""
    command = submission.command
    if not isinstance(command, c.CreateRun):
        return ()
    experiment = experiment_stream(submission.workspace, command.experiment)
    if command.parent_run_id is None:
        return (experiment,)
    return experiment, run_stream(submission.workspace, command.parent_run_id)


def _ordered(
    streams: Sequence[str], named: Sequence[Sequence[str]], creators: Mapping[str, int]
) -> list[int]:
    """Places of a batch with every command behind the creation of what it names, wherever in the batch that stands.

    Otherwise the given order stays, above all that of each stream.

    Args:
        streams: of the commands.
        named: by each of them.
        creators: of streams, the place of what creates them.
    """
    indexes = list(range(len(streams)))
    needs = [[creators[name] for name in names if name in creators] for names in named]
    if not any(needs):
        return indexes
    latest: dict[str, int] = {}
    for index, stream in enumerate(streams):
        if stream in latest:
            needs[index].append(latest[stream])
        latest[stream] = index
    if all(need < index for index in indexes for need in needs[index]):
        return indexes
    ordered: dict[int, None] = {}
    for index in indexes:
        _visit(index, needs, ordered)
    return list(ordered)


def _visit(start: int, needs: Sequence[Sequence[int]], ordered: dict[int, None]) -> None:
    """Append ``start`` behind everything it needs; a circle (a run that is its own ancestor) is cut where it closes."""
    stack, entered = [start], {start}
    while stack:
        index = stack[-1]
        need = next((n for n in needs[index] if n not in ordered and n not in entered), None)
        if need is None:
            ordered[stack.pop()] = None
        else:
            entered.add(need)
            stack.append(need)


# What others of a batch may have to wait for; without one of these, all of it is one wave.
_SHAPING: Final = (c.CreateRun, c.EnsureExperiment, c.EraseRun)


def waves_of(
    submissions: Sequence[Submission], indexes: list[int], partitions: int
) -> list[dict[int, list[int]]]:
    """Group by partition, so that what a command needs of another partition is committed in an earlier wave.

    An erasure starts a wave of its own: it empties what was committed before it.
    """
    if not any(isinstance(submissions[index].command, _SHAPING) for index in indexes):
        return [_by_partition(submissions, indexes, partitions)] if indexes else []
    streams: list[str] = [submissions[index].stream for index in indexes]
    named = [_named_by(submissions[index]) for index in indexes]
    creators: dict[str, int] = {}
    for place, index in enumerate(indexes):
        if isinstance(submissions[index].command, c.CreateRun | c.EnsureExperiment):
            creators.setdefault(streams[place], place)
    waves: list[dict[int, list[int]]] = []
    wave_of_stream: dict[str, int] = {}
    for place in _ordered(streams, named, creators):
        index, stream = indexes[place], streams[place]
        partition = partition_of(stream, partitions)
        wave = wave_of_stream.get(stream, 0)
        if isinstance(submissions[index].command, c.EraseRun) and stream in wave_of_stream:
            wave += 1
        for name in named[place]:
            if name in wave_of_stream:
                same = partition_of(name, partitions) == partition
                wave = max(wave, wave_of_stream[name] + (0 if same else 1))
        wave_of_stream[stream] = wave
        while len(waves) <= wave:
            waves.append({})
        waves[wave].setdefault(partition, []).append(index)
    return waves


def _by_partition(
    submissions: Sequence[Submission], indexes: list[int], partitions: int
) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for index in indexes:
        found.setdefault(submissions[index].partition(partitions), []).append(index)
    return found


def first_outcome(repeated: Repeated, events: list[RecordedEvent], token: str) -> Outcome:
    """The answer that the command got when it was handled, rebuilt from its events."""
    if repeated.declares is not None and not _declared(repeated.declares, events):
        return Refused(
            code="idempotency_conflict",
            message=f"command {repeated.key[2]} of this writer came before with other content",
            facts={"writer_seq": repeated.key[2], "stream": repeated.key[0]},
            token=token,
            repeated=True,
        )
    refs = tuple(ref_of(event) for event in events)
    rejected = next((event for event in events if event.type == "run.command_rejected"), None)
    if rejected is None:
        run_id = repeated.key[0].split("/", 2)[2] if events and events[0].type == "run.created" else None
        return Accepted(token=token, events=refs, repeated=True, run_id=run_id)
    body = decode_event(rejected)
    if not isinstance(body, CommandRejected):
        return Refused(
            code="conflict", message="the run was erased", token=token, event=refs[0], repeated=True
        )
    return Refused(
        code=body.code,
        message=body.message,
        facts=body.facts,
        token=token,
        event=ref_of(rejected),
        repeated=True,
    )


def _declared(declared: Range, events: list[RecordedEvent]) -> bool:
    """True when the first command under this number declared the same range lost (or was erased since)."""
    for event in events:
        body = decode_event(event)
        is_same = body is None or (isinstance(body, CommandsLost) and (body.first, body.last) == declared)
        if event.type == "run.commands_lost" and is_same:
            return True
    return False


def _broken(error: Exception) -> Refused:
    return Refused(
        code="error",
        message=f"the command could not be handled: {type(error).__name__}: {error}",
        facts={"error": type(error).__name__},
    )
