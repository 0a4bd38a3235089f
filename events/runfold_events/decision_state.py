"""The decision state of any stream: folding, encoding, decoding. What a :class:`~runfold_events.ports.Head` holds."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

import msgspec

from runfold_events.contract.codec import decode_event
from runfold_events.contract.envelope import RecordedEvent
from runfold_events.contract.events import AnyEvent, RunErased, SystemEvent
from runfold_events.contract.ids import split_stream
from runfold_events.ports import Head
from runfold_events.rules import experiment, run_state
from runfold_events.rules.experiment import ExperimentState
from runfold_events.rules.run_state import RunState

State = RunState | ExperimentState

_STATES_CACHED_MAX = 4_096

_encode = msgspec.msgpack.Encoder(uuid_format="bytes").encode
_run_decoder: msgspec.msgpack.Decoder[RunState] = msgspec.msgpack.Decoder(RunState)
_experiment_decoder: msgspec.msgpack.Decoder[ExperimentState] = msgspec.msgpack.Decoder(ExperimentState)


def encode_state(state: State) -> bytes:
    """The bytes that a head keeps."""
    return _encode(state)


def is_run(stream: str) -> bool:
    """True for a run's stream, False for an experiment's."""
    return split_stream(stream)[1] == "run"


def decode_state(head: Head) -> State:
    """The state that a head keeps. States are frozen, so equal bytes may share one."""
    return _decode_run(head.state) if is_run(head.stream) else _experiment_decoder.decode(head.state)


@lru_cache(maxsize=_STATES_CACHED_MAX)
def _decode_run(state: bytes) -> RunState:
    return _run_decoder.decode(state)


def run_state_of(head: Head | None) -> RunState | None:
    """The state of a run's head; None without a head."""
    state = None if head is None else decode_state(head)
    return state if isinstance(state, RunState) else None


def evolve_stream(state: State | None, event: AnyEvent, event_id: UUID) -> State:
    """The state of a run or experiment after ``event``."""
    if isinstance(state, RunState):
        return run_state.evolve(state, event, event_id)
    if isinstance(state, ExperimentState) or isinstance(event, experiment.ExperimentEvent):
        return experiment.evolve(state if isinstance(state, ExperimentState) else None, event)
    return run_state.evolve(state, event, event_id)


class Fold:
    """The state of one stream while its events come in, erased ones skipped: what its head must hold."""

    __slots__ = ("_first_id", "state")

    def __init__(self) -> None:
        self.state: State | None = None
        self._first_id: UUID | None = None

    def apply(self, recorded: RecordedEvent) -> None:
        """Take the stream's next event.

        Raises:
            Invalid: its type is unknown to this version, or its body is not of its type.
        """
        first_id = self._first_id = self._first_id or recorded.id
        event = decode_event(recorded)
        if event is None or isinstance(event, SystemEvent):
            return
        if self.state is None and isinstance(event, RunErased):
            self.state = run_state.erased_stub(event, first_id, recorded.id)
        else:
            self.state = evolve_stream(self.state, event, recorded.id)


def refold(events: Iterable[RecordedEvent]) -> State | None:
    """The state of one stream from all of its events."""
    fold = Fold()
    for recorded in events:
        fold.apply(recorded)
    return fold.state
