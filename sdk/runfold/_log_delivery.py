"""Values by a command log: one request's way from the broker's word to the ledger's.

A run's values have a writer of their own, which uses this door alone; everything else goes by the transport. One
request is under way at a time, of whichever door, so what a job said in order takes effect in order. A request is
posted once and then asked about, soon where somebody waits and once a second otherwise, until the ledger has answered
for all of it. Until then the spool keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Final

from runfold._positions import merged
from runfold._streams import Pending, Stream
from runfold._transport import Answer, Batch, CommandLog, Place
from runfold_events.contract.commands import Command, DeclareLost
from runfold_events.contract.errors import Unavailable
from runfold_events.contract.submission import Accepted, Outcome, Refused

ASK_S: Final = 1.0  # nobody waits: later values gather meanwhile
ASK_SOON_S: Final = 0.02  # somebody waits
ASK_SOON_S_MAX: Final = 0.5
SLOWER: Final = 1.6
SLOW_S: Final = 10.0  # a ledger that has not handled what the log keeps counts as gone
POST_AGAIN_S: Final = 60.0  # the log may be another one by now; a record that comes twice does no harm
POST_AGAIN_S_MAX: Final = 3_600.0
DECLARED_LOST: Final = "declared_lost"
NO_LOG: Final = (
    "values that were on their way by Kafka can go by no other: set RUNFOLD_VALUES_BY=kafka and RUNFOLD_KAFKA"
)


class LogDelivery:
    """Where the request under way is. Used by one thread at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._post_again_s = POST_AGAIN_S
        self.forget()

    def forget(self) -> None:
        """There is no request under way."""
        self._places: list[Place] | None = None
        self._posted_at = self._asked_at = 0.0
        self._soon_s = ASK_SOON_S
        self._is_hurried = False

    @property
    def is_posted(self) -> bool:
        """The log keeps the request."""
        return self._places is not None

    def hurry(self) -> None:
        """Somebody waits for this request."""
        self._is_hurried = True

    def wait_s(self, *, is_waited_for: bool) -> float:
        """Seconds until it is time to ask."""
        soon = self._is_hurried or is_waited_for
        return max(0.0, self._asked_at + (self._soon_s if soon else ASK_S) - self._clock())

    def step(self, log: CommandLog | None, batch: Batch) -> Answer | None:
        """Post the request, or ask what became of it; None while that is not known.

        Raises:
            LimitExceeded: a command is too large; nothing of the request was sent.
            Unavailable: log or ledger do not answer, or the ledger is slow to handle what the log keeps.
        """
        if log is None:
            raise Unavailable(NO_LOG)
        if self._places is None:
            self._places = log.post(batch)
            self._posted_at = self._asked_at = self._clock()
            return None
        fates = log.fates(batch, self._places)
        self._asked_at = self._clock()
        self._soon_s = min(self._soon_s * SLOWER, ASK_SOON_S_MAX)
        outcomes = [
            _as_answered(item.command, fate.outcome)
            for item, fate in zip(batch.items, fates, strict=True)
            if fate.outcome is not None
        ]
        if len(outcomes) == len(batch.items):
            self._post_again_s = POST_AGAIN_S
            return Answer(outcomes, _position(outcomes))
        if any(fate.passed and fate.outcome is None for fate in fates):
            self._places = None
            raise Unavailable(
                "Kafka kept values that the ledger has not found there, so they are sent again: topic and server "
                "should be of one store, and the topic should lose nothing"
            )
        self._check_patience()
        return None

    def _check_patience(self) -> None:
        waited_s = self._asked_at - self._posted_at
        if waited_s > self._post_again_s:
            self._places = None
            self._post_again_s = min(2 * self._post_again_s, POST_AGAIN_S_MAX)
        if waited_s > SLOW_S:
            raise Unavailable(
                f"Kafka keeps values that the ledger has not handled for {waited_s:.0f} s: is a decider at work "
                "(`runfold serve decider`), or far behind?"
            )


def _as_answered(command: Command, outcome: Outcome) -> Outcome:
    """Asked about later, the number of a declared loss is one that was declared lost."""
    is_declared = isinstance(outcome, Refused) and outcome.code == DECLARED_LOST
    return Accepted(token="") if is_declared and isinstance(command, DeclareLost) else outcome


def _position(outcomes: Iterable[Outcome]) -> str | None:
    tokens = dict.fromkeys(outcome.token for outcome in outcomes if outcome.token)
    return reduce(merged, tokens) if tokens else None


def first_request(commands: Iterable[Pending], commands_max: int = 0) -> tuple[list[Pending], list[Pending]]:
    """What can go in one request, at most ``commands_max`` (0: any number), and what goes after it, both in order.

    A request is of one writer, and by a log it has one command of each stream: one that the ledger refuses without an
    event has not used its number, and none behind it may have used a later one. What goes by the one door may change
    places with what goes by the other and is about other streams; everything else, marks too, stays where it is.
    """
    request: list[Pending] = []
    later: list[Pending] = []
    first: Stream | None = None
    closed: set[str] = set()  # streams of which nothing more may go first
    is_full = False
    for pending in commands:
        stream = pending.stream
        if stream is None:
            (later or request).append(pending)
            continue
        first = first or stream
        is_full = is_full or 0 < commands_max <= len(request)
        if is_full or stream.name in closed or not go_together(stream, first):
            is_full = is_full or (stream.by_log == first.by_log and not go_together(stream, first))
            closed.add(stream.name)
            later.append(pending)
            continue
        request.append(pending)
        if stream.by_log:
            closed.add(stream.name)
    return request, later


def go_together(one: Stream, other: Stream) -> bool:
    """Whether commands of both may be in one request."""
    return one.workspace == other.workspace and one.writer_id == other.writer_id
