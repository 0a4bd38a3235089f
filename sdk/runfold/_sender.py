"""Delivery: numbers commands, sends one request at a time in order, and sends the same numbers until it is answered.

Everything here runs on one thread at a time (:mod:`runfold._connection` sees to that), needs no lock, and takes clock
and transport from outside. What a request's answer means, command by command, is in :mod:`runfold._outcomes`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID, uuid4

from msgspec.structs import replace

from runfold import _outcomes
from runfold._log_delivery import LogDelivery, first_request, go_together
from runfold._packing import Packer
from runfold._spool_delivery import Deliveries
from runfold._streams import Pending, Rejection, Stream
from runfold._transport import Batch, Item, Transport
from runfold_events.contract.commands import (
    Command,
    CreateRun,
    DeclareLost,
    LogMetrics,
    command_type,
    holds,
)
from runfold_events.contract.errors import RunfoldError, Unauthorized, Unavailable
from runfold_events.contract.submission import Accepted, Outcome, Refused

if TYPE_CHECKING:
    from runfold._journal_reader import Reader
    from runfold._spool_log import Log

BACKOFF_S_MIN: Final = 0.1
BACKOFF_S_MAX: Final = 5.0
RETRY_AFTER_S_MAX: Final = 30.0
REJECTIONS_KEPT_MAX: Final = 1_000  # per run, in this process
_BUFFER_FULL: Final = "the sender's buffer was full"

_log = logging.getLogger("runfold")


class Calls(Protocol):
    """What was logged, for delivery: by this process (:mod:`runfold._journal`) or by a dead one."""

    reader: Reader
    values: int  # that wait: unread, or in a command on its way
    full: set[Stream]  # streams with values that found no room

    @property
    def has_unread(self) -> bool:
        """Something was not taken so far."""
        ...

    def sends(self) -> Log | None:
        """Where delivery writes down what it does; None: nowhere, or not yet."""
        ...

    def sync(self) -> None:
        """Have the disk take what was written, where that is asked for."""
        ...

    def delivered(self, values: int) -> None:
        """So many values have arrived, or are given up."""
        ...

    def drop_before(self, position: int) -> None:
        """Everything before ``position`` is kept elsewhere, or was delivered."""
        ...

    def waiting_commands(self) -> int:
        """Commands that were not taken so far."""
        ...

    def unread_streams(self, streams: Iterable[Stream], *, values: bool = True) -> set[Stream]:
        """Streams, among ``streams``, with something that was not taken; without ``values``: with commands."""
        ...

    def take_lost(self) -> list[tuple[Stream, int]]:
        """Values that found no room since the last call, by stream."""
        ...


class Sender:
    """One writer's delivery to one store.

    ``deliver`` does one piece of work and says when to call it again; it never raises.
    """

    def __init__(
        self,
        journal: Calls,
        transport: Callable[[], Transport],
        *,
        clock: Callable[[], float],
        settled: Callable[[str | None], None],
        before_hold: Callable[[UUID], None],
        keep_refused: Callable[[Pending, RunfoldError], None] = lambda pending, error: None,
        accepted: Callable[[Pending], None] = lambda pending: None,
    ) -> None:
        self._journal = journal
        self._transport = transport
        self._clock = clock
        self._settled = settled  # called with the new position whenever outcomes are known
        self._before_hold = (
            before_hold  # makes sure that the writer has a lease; raises what the transport raises
        )
        self._keep_refused = keep_refused  # keeps what was refused and nobody waited for
        self._accepted = accepted  # hears of everything else
        self.reset()

    def reset(self) -> None:
        """Forget what is on its way; for the child of a fork."""
        self._packer = Packer()
        self._log = LogDelivery(self._clock)
        self._values_writer = uuid4()  # who sends values where they go by a log
        self._by_log: bool | None = None  # whether they do; None: not known before the transport is open
        self.deliveries = Deliveries(self._journal.sends, self._clock)
        self._backlog: deque[Pending] = deque()  # to be sent before anything in the journal
        self._in_flight: list[Pending] = []  # numbered and sent; without an answer so far
        self._is_working = False
        self._commands_max = 0  # smaller requests after one was refused as a whole; 0: no such limit
        self._retry_at = 0.0
        self._backoff_s = BACKOFF_S_MIN
        self.outage_since: float | None = None
        self.problem = ""  # what the outage is about
        self.has_more = False  # the last request had no room for all that waited

    @property
    def is_idle(self) -> bool:
        """Nothing is waiting and nothing is on its way.

        Asked by other threads too, so the order counts: what is no longer in the journal is being worked on, and what
        is no longer worked on is on its way or done.
        """
        if self._journal.has_unread or self._journal.full:
            return False
        return not self._is_working and not self.is_busy

    @property
    def is_busy(self) -> bool:
        """Something is on its way, or was, and must go again."""
        return bool(self._in_flight or self._backlog)

    def undelivered(self) -> tuple[int, int]:
        """``(logged values, other commands)`` that have not arrived."""
        values = self._journal.values + sum(stream.lost_values for stream in self._journal.full)
        commands = self._journal.waiting_commands()
        for pending in self._queue():
            commands += not isinstance(pending.command, LogMetrics) and not pending.withdrawn
        return values, commands

    def last_numbers(self, streams: Iterable[Stream] | None = None) -> dict[Stream, int]:
        """The last number used, or about to be used, on each stream that waits for an answer.

        ``streams``: those among which to look for what was not numbered so far.
        """
        numbers: dict[Stream, int] = {}
        for pending in self._queue():
            if pending.stream is not None:
                numbers[pending.stream] = numbers.get(pending.stream, pending.stream.next_seq - 1) + 1
        for stream in () if streams is None else self._unread(streams):
            numbers[stream] = numbers.get(stream, stream.next_seq - 1) + 1
        return numbers

    def _unread(self, streams: Iterable[Stream]) -> Iterable[Stream]:
        """Streams whose next number will be used by what was not taken so far."""
        unread = self._journal.unread_streams(streams)
        if not self._by_log:
            return unread
        commands = self._journal.unread_streams(streams, values=False)
        twins = [stream.values_twin for stream in unread - commands]
        return [*commands, *(twin for twin in twins if twin is not None)]

    def _queue(self) -> list[Pending]:
        """Commands on their way, in order."""
        return [pending for pending in [*self._in_flight, *self._backlog] if pending.command is not None]

    def resume(self, queue: Iterable[Pending]) -> None:
        """Go on with what another process had numbered and may have sent."""
        for pending in queue:
            pending.attempted = True
            self._backlog.append(pending)

    def note_losses(self) -> None:
        """Have the spool know of values that found no room, before they can be declared."""
        streams = [s for s in list(self._journal.full) if s.lost_values != s.lost_noted]
        if streams:
            self._note(streams)

    def retry_now(self) -> None:
        """Do not wait for the end of the present back-off."""
        self._retry_at = 0.0
        self.hurry()

    def hurry(self) -> None:
        """Somebody waits for what is under way."""
        self._log.hurry()

    def wait_s(self) -> float:
        """Seconds until :meth:`deliver` may send again."""
        wait_s = max(0.0, self._retry_at - self._clock())
        if self._log.is_posted and self.outage_since is None:
            return max(wait_s, self._log.wait_s(is_waited_for=self._is_waited_for()))
        return wait_s

    def _is_waited_for(self) -> bool:
        """What is under way keeps something from going: a command, a mark, or more values than one request holds."""
        marks = any(pending.command is None for pending in self._in_flight)
        return marks or bool(self._backlog) or self.has_more or self._journal.waiting_commands() > 0

    def deliver(self) -> None:
        """Send one request, or send the one that was not answered again."""
        if self.wait_s() > 0:
            return
        self._is_working = True
        try:
            if not self._in_flight and self._knows_doors():
                self._in_flight = self._next_request()
            if self._in_flight:
                self._attempt()
        finally:
            self._is_working = False

    def _knows_doors(self) -> bool:
        """Which way values go is known once the transport is open."""
        if self._by_log is None and self._journal.has_unread:
            try:
                self._by_log = self._transport().log is not None
            except Exception as error:
                self._postpone(Unavailable(str(error)))
                return False
        return True

    def _attempt(self) -> None:
        batch = [pending for pending in self._in_flight if pending.command is not None]
        try:
            answer = self._send(batch) if batch else None
            if answer is None and batch:
                self._end_outage()
                return
        except Unavailable as error:
            self._not_answered(batch, error)
        except RunfoldError as error:
            self._refused_as_a_whole(batch, error)
        except Exception as error:  # a fault of ours must not end delivery, nor the job
            _log.exception("runfold: sending failed; will try again")
            self._not_answered(batch, Unavailable(f"sending failed: {type(error).__name__}: {error}"))
        else:
            self._answered(answer)

    # Making requests

    def _next_request(self) -> list[Pending]:
        before = self._take_backlog()
        self.has_more = True
        if self._backlog:
            return self._number(before)
        packed = self._packer.pack(self._journal.reader, before)
        self.has_more = self._journal.has_unread
        if not self.has_more:
            packed += self._declarations(packed)
        ready = [self._to_its_door(pending) for pending in packed if self._may_go(pending)]
        request = self._number(self._put_back(*first_request(ready)))
        fresh = [pending.stream for pending in ready if not pending.ordinal and pending.stream is not None]
        if fresh:
            self._note(fresh, request)
        return request

    def _to_its_door(self, pending: Pending) -> Pending:
        """Values that are no command yet may go by the log; what has its place in the spool keeps its writer."""
        stream = pending.stream
        is_fresh = stream is not None and not stream.by_log and not pending.ordinal
        if self._by_log and is_fresh and stream is not None and isinstance(pending.command, LogMetrics):
            pending.stream = stream.for_values(self._values_writer)
        return pending

    def _note(self, moved: Iterable[Stream], request: Iterable[Pending] = ()) -> None:
        """Write down what waits now; what has become a command is not needed as a call any more."""
        queue = [*(pending for pending in request if pending.command is not None), *self._queue()]
        moved = list(moved)
        self.deliveries.note(self._packer.taken_to, queue, moved)
        for stream in moved:
            stream.lost_noted = stream.lost_values
        self._journal.sync()
        self._journal.drop_before(self.deliveries.keeps_from)

    def _take_backlog(self) -> list[Pending]:
        """What goes first: of one writer, ending with a mark, and few while requests are refused."""
        queue: list[Pending] = []
        while self._backlog and (not queue or queue[-1].command is not None):
            queue.append(self._backlog.popleft())
        ready = [pending for pending in queue if self._may_go(pending)]
        return self._put_back(*first_request(ready, self._commands_max))

    def _put_back(self, request: list[Pending], later: list[Pending]) -> list[Pending]:
        self._backlog.extendleft(reversed(later))
        return request

    def _may_go(self, pending: Pending) -> bool:
        """False for what was withdrawn, and for what follows a refused creation."""
        if pending.withdrawn:
            return False
        stream = pending.stream
        if stream is None or stream.of.refusal is None or isinstance(pending.command, CreateRun):
            return True
        self.refuse(pending, stream.of.refusal)
        return False

    def _declarations(self, packed: list[Pending]) -> list[Pending]:
        """DeclareLost for values that found no room. Those of another writer's request come with that one."""
        declared: list[Pending] = []
        target = next((p.stream for p in packed if p.stream is not None), None)
        for stream, values in self._journal.take_lost():
            pending = Pending(stream, declare_lost(stream, _BUFFER_FULL, values))
            target = target or stream
            if go_together(stream, target):
                declared.append(pending)
            else:
                self._backlog.append(pending)
        return declared

    def _number(self, packed: list[Pending]) -> list[Pending]:
        """Give every command the next number of its stream. The same numbers stay until there is an answer."""
        following: dict[Stream, int] = {}
        for pending in packed:
            stream = pending.stream
            if stream is None or pending.command is None:
                continue
            pending.seq = following.get(stream, stream.next_seq)
            if isinstance(pending.command, DeclareLost):
                span = pending.command.last - pending.command.first
                pending.command = replace(pending.command, first=pending.seq, last=pending.seq + span)
            following[stream] = _last_number(pending) + 1
        return packed

    def _send(self, batch: list[Pending]) -> _outcomes.Answered | None:
        """Send a request; None when it is on its way and not answered so far."""
        first = batch[0].stream
        if first is None:
            raise TypeError("a command without a stream")
        hold = any(pending.command is not None and holds(pending.command) for pending in batch)
        if hold:
            self._before_hold(first.writer_id)
        items = [
            Item(pending.command, pending.seq, pending.occurred_at, pending.correlation_id)
            for pending in batch
            if pending.command is not None
        ]
        request = Batch(workspace=first.workspace, writer_id=first.writer_id, items=items, hold=hold)
        transport = self._transport()
        answer = self._log.step(transport.log, request) if first.by_log else transport.submit(request)
        if answer is None:
            return None
        if len(answer.outcomes) != len(batch):
            raise Unavailable(f"{len(batch)} commands were sent, {len(answer.outcomes)} were answered")
        return _outcomes.Answered(batch, answer.outcomes, answer.token)

    def _end_outage(self) -> None:
        """The other side answers, if not about this request yet."""
        self.outage_since = None
        self._backoff_s, self._retry_at = BACKOFF_S_MIN, 0.0

    # Reading answers

    def _answered(self, answer: _outcomes.Answered | None) -> None:
        """Settle what is settled; what must go again goes first, and marks stay behind it."""
        again = [] if answer is None else _outcomes.settle(answer, self)
        marks = [pending for pending in self._in_flight if pending.command is None]
        self._in_flight = []
        if self._log.is_posted and self._journal.has_unread:
            self.has_more = True  # values have gathered meanwhile
        self._log.forget()
        self._end_outage()
        self._commands_max = 0 if not self._backlog else self._commands_max * 2
        self._backlog.extendleft(reversed(again + (marks if again else [])))
        if not again:
            for mark in marks:
                mark.outcome = Accepted(token="")
        if answer is not None:
            self._note(pending.stream for pending in answer.batch if pending.stream is not None)
        self._settled(None if answer is None else answer.token)

    def _not_answered(self, batch: list[Pending], error: Unavailable) -> None:
        for pending in batch:
            pending.attempted = True
        self._postpone(error)

    def _refused_as_a_whole(self, batch: list[Pending], error: RunfoldError) -> None:
        """Nothing of this attempt was applied. Halve the request until what is to blame is alone."""
        marks = [pending for pending in self._in_flight if pending.command is None]
        self._in_flight = []
        self._log.forget()
        if isinstance(error, Unauthorized):
            self._unauthorized(batch + marks, error)
            return
        if len(batch) > 1:
            self._commands_max = max(1, len(batch) // 2)
            self._backlog.extendleft(reversed(batch + marks))
            return
        refused = Refused(code=error.code, message=error.message, facts=error.facts)
        self._in_flight = batch + marks
        burnt = _outcomes.burn(batch[0], error, self) if batch[0].attempted else []
        self._answered(_outcomes.Answered(batch, [refused], None) if not burnt else None)
        self._backlog.extendleft(burnt)
        if burnt and batch[0].stream is not None:
            self._note([batch[0].stream])

    def _unauthorized(self, batch: list[Pending], error: Unauthorized) -> None:
        """Whoever waits hears of it; values wait for better credentials, and so does what may have taken effect."""
        for pending in batch:
            if pending.waited and pending.command is not None and not pending.attempted:
                self.refuse(pending, error)
        self._backlog.extendleft(reversed([pending for pending in batch if pending.outcome is None]))
        self._note([])
        self._postpone(Unavailable(error.message, facts={"retry_after": RETRY_AFTER_S_MAX}))
        self._settled(None)

    def _postpone(self, error: Unavailable) -> None:
        now = self._clock()
        self.problem = error.message
        if self.outage_since is None:
            self.outage_since = now
            _log.warning("runfold: not delivered, will try again: %s", error)
        import random  # 9 ms that a program whose server is there need not spend

        wait_s = min(float(error.facts.get("retry_after", 0.0)), RETRY_AFTER_S_MAX)
        self._retry_at = now + max(wait_s, self._backoff_s * random.uniform(0.8, 1.2))
        self._backoff_s = min(self._backoff_s * 2, BACKOFF_S_MAX)

    # What _outcomes calls

    def arrived(self, pending: Pending, outcome: Outcome) -> None:
        """The command has its final answer and its number is used up."""
        if pending.stream is not None:
            pending.stream.next_seq = _last_number(pending) + 1
        self._accepted(pending)
        self.finish(pending, outcome)

    def finish(self, pending: Pending, outcome: Outcome | RunfoldError) -> None:
        """The command has its final answer; its room in the journal is free."""
        self._journal.delivered(pending.values)
        pending.outcome = outcome

    def refuse(self, pending: Pending, error: RunfoldError, event_id: UUID | None = None) -> None:
        """The final answer is a refusal: whoever waits raises it, otherwise it is kept for ``rejections()``."""
        if not pending.waited:
            self.note_rejection(pending, error, event_id)
        self.finish(pending, error)

    def note_rejection(self, pending: Pending, error: RunfoldError, event_id: UUID | None = None) -> None:
        """Keep a refusal that nobody waited for."""
        stream, command = pending.stream, pending.command
        if stream is None or command is None:
            return
        _log.warning("runfold: %s was refused: %s", command_type(command), error)
        rejection = Rejection(
            command=command_type(command),
            code=error.code,
            message=error.message,
            facts=error.facts,
            time=datetime.now(UTC),
            event_id=event_id,
            values=pending.values,
        )
        if len(stream.rejections) < REJECTIONS_KEPT_MAX:
            stream.rejections.append(rejection)
        self._keep_refused(pending, error)


def declare_lost(stream: Stream, reason: str, values: int, span: int = 1) -> Command:
    """DeclareLost for ``span`` numbers; which ones is known when it is sent."""
    return DeclareLost(run_id=stream.run_id or "", first=1, last=span, reason=reason, values=values)


def _last_number(pending: Pending) -> int:
    command = pending.command
    return command.last if isinstance(command, DeclareLost) else pending.seq
