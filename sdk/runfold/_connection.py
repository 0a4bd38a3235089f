"""What one process has to one store: its writer, its lease, its position, and the thread that delivers.

Handles (:class:`~runfold.Run` and others) are thin; everything that several of them share lives here. A fork's child
begins anew with the same objects: another writer, an empty journal, another transport.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID, uuid4

from msgspec import msgpack

from runfold import _process
from runfold._drain_beside import DrainBeside
from runfold._journal import Journal
from runfold._leases import Leases
from runfold._positions import is_of_another_epoch, merged
from runfold._sender import Sender
from runfold._spool import IN_MEMORY, Place
from runfold._spool_kept import keep_receipts, keep_refused
from runfold._streams import Pending, Stream
from runfold._transport import Transport
from runfold_events.clock import elapsed_s
from runfold_events.contract.commands import Command
from runfold_events.contract.errors import PositionNotReached, RunfoldError, Unavailable, error_from
from runfold_events.contract.ids import experiment_stream, run_stream
from runfold_events.contract.submission import Accepted, Refused
from runfold_events.contract.validation import check_command

OUTAGE_WAIT_S: Final = 2.0  # an outage's first call waits so long, the following ones not at all
PATIENCE_PER_COMMAND_S: Final = 0.002  # bulk creations take their time
LINGER_S: Final = 1.0  # deliveries that nobody asked for are so far apart: each costs 1 to 3 ms …
GATHER_S: Final = 0.1  # … and after a pause, values gather for a moment only; all are safe meanwhile
FORGET_S: Final = 1.0  # how long an idle spool keeps what was delivered
QUESTION_WAIT_S: Final = 10.0  # how long a question waits for what this process has sent before
EXIT_FLUSH_S: Final = 10.0
_JOIN_S: Final = 2.0

T = TypeVar("T")
_log = logging.getLogger("runfold")


class Connection:
    """Shared by all handles on one store in this process. Safe with threads and forks."""

    def __init__(
        self,
        open_transport: Callable[[], Transport],
        *,
        linger_s: float = LINGER_S,
        outage_wait_s: float = OUTAGE_WAIT_S,
        clock: Callable[[], float] = time.monotonic,
        lease_clock: Callable[[], float] = elapsed_s,
        files: str | None = None,
        place: Place = IN_MEMORY,
    ) -> None:
        self._open_transport = open_transport
        self.files = files  # where an embedded ledger's contents are, for processes that are to open it too
        self._linger_s = linger_s
        self._outage_wait_s = outage_wait_s
        self._clock = clock
        self._streams: dict[str, Stream] = {}
        self._begin()
        self.journal = Journal(self._wake_for_values, place, lambda: self.writer_id)
        self.leases = Leases(self.transport, self._streams, lease_clock)
        self.sender = Sender(
            self.journal,
            self.transport,
            clock=clock,
            settled=self._settled,
            before_hold=self.leases.ensure,
            keep_refused=lambda pending, error: keep_refused(place.folder, pending, error),
        )

    def _begin(self) -> None:
        self.writer_id = uuid4()
        self.token: str | None = None
        self._transport: Transport | None = None
        self._lock = threading.RLock()  # a signal handler may log while its thread waits here
        self._opening = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._drainer = DrainBeside(self.transport, lambda: self._stopping)
        self._urgent = False  # somebody waits
        self._values_due_at: float | None = None
        self._delivered_at = -inf
        self._forget_at: float | None = None
        self._stopping = False
        self._outage_waited = False  # this outage's first call has had its wait
        self._calls: list[Pending] = []  # commands of calls without an outcome so far
        self._answered_at = 0.0

    def after_fork(self) -> object:
        """Begin anew in a fork's child: the parent sends what was queued and keeps what it holds.

        Returns the parent's transport, which the child must neither use nor let go.
        """
        transport = self._transport
        if self.journal.spool is not None:
            self.journal.spool.leave()
        self._renew()
        return transport

    def _renew(self) -> None:
        self._begin()
        self.journal.reset()
        self.sender.reset()
        self.leases.reset()
        for stream in list(self._streams.values()):
            stream.reset(self.writer_id)

    def transport(self) -> Transport:
        """The transport of this process, opened when it is first needed."""
        if self._transport is None:
            with self._opening:
                if self._transport is None:
                    self._transport = self._open_transport()
                    _process.remember(self)
                    self._drainer.begin(self.journal.place, self.writer_id)
        return self._transport

    # What dead processes have left

    def drain_left(self) -> int:
        """Deliver, now, what dead processes have left for the same destination; returns how many values arrived."""
        return self._drainer.now(self.journal.place)

    # Streams

    def run_stream(self, workspace: str, run_id: str) -> Stream:
        """What this process knows of a run's stream; one object per run."""
        return self._stream(workspace, run_stream(workspace, run_id), run_id)

    def experiment_stream(self, workspace: str, experiment: str) -> Stream:
        """What this process knows of an experiment's stream."""
        return self._stream(workspace, experiment_stream(workspace, experiment), None)

    def _stream(self, workspace: str, name: str, run_id: str | None) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            made = Stream(workspace, name, run_id, self.writer_id)
            stream = self._streams.setdefault(name, made)  # one object, whoever comes first
        return stream

    # Commands

    def call(self, stream: Stream, command: Command, *, strict: bool = False) -> Accepted | None:
        """Send one command behind everything queued before it, and wait for its outcome.

        Returns None when the other side is gone: the command is queued and delivered when it comes back.

        Raises:
            RunRejected, NotFound, Invalid: it was refused.
            Unauthorized: the credentials are not accepted.
            Unavailable: with ``strict``, the other side is gone; or too much is queued already.
        """
        return self.call_all([(stream, command)], strict=strict)[0]

    def call_all(
        self, calls: Sequence[tuple[Stream, Command]], *, strict: bool = False
    ) -> list[Accepted | None]:
        """Like :meth:`call`, for several commands that go together; raises the first refusal among them."""
        outcomes = self.outcomes(calls, strict=strict)
        for outcome in outcomes:
            if isinstance(outcome, RunfoldError):
                raise outcome
        return [outcome if isinstance(outcome, Accepted) else None for outcome in outcomes]

    def outcomes(
        self,
        calls: Sequence[tuple[Stream, Command]],
        *,
        strict: bool = False,
        correlation_id: UUID | None = None,
    ) -> list[Accepted | RunfoldError | None]:
        """Like :meth:`call_all`, with refusals as values; ``correlation_id`` names what all of them are parts of."""
        for _, command in calls:
            check_command(command)
        self.transport()  # what keeps it from opening is for the caller to hear
        pendings = [Pending(stream, command, _size_of(command)) for stream, command in calls]
        for pending in pendings:
            pending.correlation_id = correlation_id
            pending.waited = True
        self._enqueue(pendings)
        self._wait_for(pendings)
        return [self._outcome_of(pending, strict) for pending in pendings]

    def _enqueue(self, pendings: list[Pending]) -> None:
        with self._lock:
            self.journal.add_commands(pendings)
            self._calls += pendings
            self._wake()

    def _wait_for(self, pendings: list[Pending]) -> None:
        """Until all have outcomes, or the other side is known to be gone and this call had its share of waiting."""
        started = self._clock()
        patience_s = self.transport().patience_s + PATIENCE_PER_COMMAND_S * len(pendings)
        if self._is_own_thread():
            return
        with self._lock:
            if self.sender.outage_since is not None and not self._outage_waited:
                self._retry_now()
            try:
                while any(pending.outcome is None for pending in pendings):
                    left_s = self._wait_left_s(started, patience_s)
                    if left_s <= 0:
                        self._outage_waited = True
                        break
                    self._pause(left_s)
            finally:  # also after KeyboardInterrupt: what is refused later is kept for rejections()
                for pending in pendings:
                    pending.waited = False
                self._calls = [call for call in self._calls if call.outcome is None]

    def _wait_left_s(self, started: float, patience_s: float) -> float:
        now = self._clock()
        if self._outage_waited:
            return 0.0
        if self.sender.outage_since is not None:
            return max(started, self.sender.outage_since) + self._outage_wait_s - now
        # A request that is being answered, however slowly, is no outage: the wait begins anew with every answer.
        return max(started, self._answered_at) + patience_s - now

    def _outcome_of(self, pending: Pending, strict: bool) -> Accepted | RunfoldError | None:
        outcome = pending.outcome
        if isinstance(outcome, Refused):
            return error_from(outcome.code, outcome.message, outcome.facts)
        if outcome is not None or not strict:
            return outcome
        with self._lock:
            sent = bool(pending.seq)
            if not sent:
                self.journal.withdraw(pending)
        state = "it may or may not have taken effect" if sent else "it was not sent"
        return Unavailable(f"no answer within {self._outage_wait_s:g} s; {state}", facts={"retry_after": 1.0})

    # Values

    def flush(self, timeout_s: float) -> bool:
        """Deliver everything that was queued before; False when that took longer than ``timeout_s``."""
        if self.sender.is_idle and not self.has_open_calls:
            return True
        if self._is_own_thread():
            return False
        mark = Pending(None, None)
        deadline = self._clock() + timeout_s
        with self._lock:
            self.journal.add_mark(mark)
            self._retry_now()
            while mark.outcome is None:
                left_s = deadline - self._clock()
                if left_s <= 0:
                    mark.withdrawn = True
                    return False
                self._pause(left_s)
        return True

    # Questions

    def deliver_values(self, timeout_s: float) -> None:
        """Deliver what was logged before a question about it.

        Raises:
            Unavailable: that took too long; in an outage that is already known, not more than a call waits.
        """
        if self.sender.outage_since is not None:
            timeout_s = min(timeout_s, 0.0 if self._outage_waited else self._outage_wait_s)
        if not self.flush(timeout_s):
            raise Unavailable("what this process logged is not delivered yet, so no answer would include it")

    def ask(self, question: Callable[[Transport, str | None], T]) -> T:
        """Ask at a position that includes everything this process was told has happened.

        Raises:
            NotFound: there is no such run or experiment.
            Unavailable: the other side is gone.
            PositionNotReached: its views are too far behind.
        """
        self._await_calls()
        token = self.token
        try:
            return question(self.transport(), token)
        except PositionNotReached as error:
            if token is None or not is_of_another_epoch(token, error):
                raise
            with self._lock:  # the store was restored from a backup: what the token speaks of is no more
                if self.token == token:
                    self.token = None
            return question(self.transport(), self.token)

    @property
    def has_open_calls(self) -> bool:
        """A command of this process has no outcome so far."""
        return any(call.outcome is None and not call.withdrawn for call in self._calls)

    def _await_calls(self) -> None:
        """Commands that were queued in an outage come before the question, so that no answer is stale."""
        if not self.has_open_calls:
            return
        deadline = self._clock() + QUESTION_WAIT_S
        with self._lock:
            while self.has_open_calls:
                left_s = deadline - self._clock()
                if self.sender.outage_since is not None:
                    left_s = min(left_s, 0.0 if self._outage_waited else self._outage_wait_s)
                if left_s <= 0:
                    break
                self._pause(left_s)
            waiting = sum(1 for call in self._calls if call.outcome is None and not call.withdrawn)
        if waiting:
            raise Unavailable(
                f"{waiting} commands of this process are not delivered yet, so no answer would include them",
                facts={"retry_after": 1.0, "undelivered_commands": waiting},
            )

    def _settled(self, token: str | None) -> None:
        """The sender has outcomes: remember the position, wake who waits."""
        with self._lock:
            self._answered_at = self._clock()
            if token is not None:
                self.token = merged(self.token, token)
            if self.sender.outage_since is None:
                self._outage_waited = False
            self._done.notify_all()

    # The thread

    def _wake_for_values(self) -> None:
        with self._lock:
            if self._values_due_at is None:
                self._values_due_at = self._next_delivery_at()
            self._start()
            self._work.notify()

    def _next_delivery_at(self) -> float:
        gathered_at = self._clock() + min(GATHER_S, self._linger_s)
        return max(gathered_at, self._delivered_at + self._linger_s)

    def _wake(self) -> None:
        """Somebody waits: no lingering. Called with the lock held."""
        self._urgent = True
        self._start()
        self._work.notify()

    def _retry_now(self) -> None:
        """Whatever back-off there is: somebody waits. Called with the lock held."""
        self.sender.retry_now()
        self._wake()

    def _is_own_thread(self) -> bool:
        """A handler of our own log lines may use a run: it must not wait for the thread that it runs on."""
        return threading.current_thread() is self._thread

    def _start(self) -> None:
        if self._thread is None and not self._stopping:
            thread = threading.Thread(target=self._run, name="runfold-sender", daemon=True)
            with suppress(RuntimeError):  # while Python ends
                thread.start()
                self._thread = thread
                _process.remember(self)  # a process may end before the transport was ever needed

    def _run(self) -> None:
        while self._wait_for_work():
            self._step()

    def _wait_for_work(self) -> bool:
        """Sleep until there is something to do; False when the thread shall end."""
        with self._lock:
            while not self._stopping:
                wait_s = self._wait_s()
                if wait_s is not None and wait_s <= 0:
                    return True
                self._work.wait(wait_s)
            return False

    def _wait_s(self) -> float | None:
        """Seconds until a heartbeat is due or there is something to send; None: until somebody wakes us."""
        waits = [wait for wait in (self.leases.wait_s(), self._delivery_wait_s()) if wait is not None]
        return min(waits) if waits else None

    def _delivery_wait_s(self) -> float | None:
        if self.sender.is_busy:
            self._forget_at = None
            return self.sender.wait_s()
        next_turn_at = self._delivered_at + self._linger_s
        if self.sender.is_idle and not self._urgent and self._clock() < next_turn_at:
            # What is logged until then goes then: one look at that time costs less than to be woken for each burst.
            self.journal.awake = True
            self._values_due_at = next_turn_at
        elif self.sender.is_idle:
            # Whoever appends after this line wakes us; whoever did before it is seen by the second look.
            self.journal.awake = False
            self._values_due_at = None
            if self.sender.is_idle:
                return self._forget_wait_s()
        self._forget_at = None
        if self._urgent:
            return 0.0
        if self._values_due_at is None:
            self._values_due_at = self._next_delivery_at()
        return max(0.0, self._values_due_at - self._clock())

    def _forget_wait_s(self) -> float | None:
        """Seconds until what was delivered is removed from an idle spool; None: there is nothing of it."""
        if not self.journal.holds_delivered:
            return None
        if self._forget_at is None:
            self._forget_at = self._clock() + FORGET_S
        return max(0.0, self._forget_at - self._clock())

    def _step(self) -> None:
        if self._forget_at is not None and self._clock() >= self._forget_at:
            self._forget_at = None
            if self.sender.is_idle:
                self.sender.deliveries.forget()
                self.journal.forget_delivered()
        with self._lock:
            self._urgent = False
            self._values_due_at = None
            if not self.sender.is_idle:  # a heartbeat alone holds nothing up
                self._delivered_at = self._clock()
            self.journal.awake = False
        self.leases.beat_if_due(self.sender.last_numbers())
        self.sender.note_losses()
        if self.sender.outage_since is not None:
            self.journal.sync()
        self.sender.deliver()
        with self._lock:
            self._urgent = self._urgent or self.sender.has_more
            self._done.notify_all()

    def _pause(self, left_s: float) -> None:
        """Wait for news of the sender; without a thread (none can start while Python ends) be the sender."""
        if self._thread is not None:
            self._done.wait(left_s)
            return
        self._step()
        if self.sender.is_busy:
            time.sleep(min(left_s, self.sender.wait_s()))

    # The end

    def close(self, timeout_s: float = EXIT_FLUSH_S) -> _process.Left:
        """Deliver what waits, within limits; end the lease; release everything.

        Returns what was not delivered. Handles stay usable: the next call begins anew.
        """
        if self._thread is None and self._transport is None:
            return _process.Left()
        self.flush(min(timeout_s, self._outage_wait_s) if self.sender.outage_since is not None else timeout_s)
        self._stop_thread()
        _process.forget(self)
        values, commands = self.sender.undelivered()
        if self._transport is not None:
            self.leases.end(self.sender.last_numbers(list(self._streams.values())))
            try:
                self._transport.close()
            except RunfoldError as error:
                _log.warning("runfold: closing failed: %s", error)
        left = _process.Left(values, commands, self._let_go_of_spool(is_empty=not values and not commands))
        self._renew()
        return left

    def _let_go_of_spool(self, *, is_empty: bool) -> Path | None:
        """Where what was not delivered waits for somebody else; None: nowhere."""
        spool = self.journal.spool
        if spool is None:
            return None
        if is_empty:
            keep_receipts(self.journal.place.folder, self.sender.deliveries.streams)
            spool.remove()
            return None
        spool.leave()
        return spool.folder

    def _stop_thread(self) -> None:
        with self._lock:
            self._stopping = True
            self._work.notify_all()
        for thread in (self._thread, self._drainer.thread):
            if thread is not None and thread is not threading.current_thread():
                thread.join(_JOIN_S)


def _size_of(command: Command) -> int:
    """Roughly what a command weighs in a request; also proves that it can be encoded."""
    return len(msgpack.encode(command)) + 100
