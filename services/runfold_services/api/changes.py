"""What changed between two positions of the views, as the messages of a live stream. Runs on a query thread."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from runfold_events.contract.envelope import JSON, MSGPACK, RecordedEvent
from runfold_events.contract.errors import NotFound
from runfold_events.contract.events import METRICS_LOGGED
from runfold_events.contract.ids import split_stream
from runfold_events.contract.tokens import Token
from runfold_projections.model import HistoryEntry, MetricSummary, RunView
from runfold_services.api.negotiation import summaries
from runfold_services.backend import Backend

EVENTS_MAX: Final = 20_000  # between two positions; beyond, a client loads anew what it shows
RUNS_MAX: Final = 200  # changed between two positions, for those who follow a whole workspace
METRIC_NAMES_MAX: Final = 1_000  # per run and message
SYSTEM_STREAMS: Final = "_system/"
_READ_EVENTS: Final = 32  # at a time: a metric batch may have 4 MiB

RunKey = tuple[str, str]  # (workspace, run id)


class Interest(Struct, frozen=True):
    """What somebody follows: single runs, and whole workspaces."""

    runs: frozenset[RunKey] = frozenset()
    workspaces: frozenset[str] = frozenset()


class Message(Struct, frozen=True):
    """One message. ``run_id`` None: about the workspace."""

    workspace: str
    run_id: str | None
    event: str  # run | metrics | history | experiment
    data: bytes

    @property
    def is_for_workspace(self) -> bool:
        """Those who follow the whole workspace do not get audit trails."""
        return self.event != "history"


class Changes(Struct, frozen=True):
    """All messages between two positions; ``crowded`` names workspaces in which too much changed to say what."""

    messages: list[Message]
    crowded: frozenset[str] = frozenset()


class MetricsMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Summaries of the metrics that changed. Not ``complete``: more changed; ask for the run."""

    workspace: str
    run_id: str
    metrics: dict[str, MetricSummary]
    complete: bool = True


class HistoryMessage(Struct, frozen=True, kw_only=True):
    """New lines of the audit trail."""

    workspace: str
    run_id: str
    entries: list[HistoryEntry]


class ExperimentMessage(Struct, frozen=True, kw_only=True):
    """An experiment was created or changed."""

    workspace: str
    experiment_id: UUID


class _RunChange:
    """What the events of one run between two positions say."""

    def __init__(self) -> None:
        self.first_seq: int | None = None  # of the events that are no metric batches
        self.last_seq = 0
        self.names: set[str] = set()  # of metrics


class _SeriesName(Struct, frozen=True):
    name: str


class _BatchNames(Struct, frozen=True):
    series: list[_SeriesName]


_encode = msgspec.json.Encoder().encode
_names: Final[dict[str, Any]] = {
    JSON: msgspec.json.Decoder(_BatchNames),
    MSGPACK: msgspec.msgpack.Decoder(_BatchNames),
}


async def changes_between(
    backend: Backend, before: Token, after: Token, interest: Interest
) -> Changes | None:
    """What changed from ``before`` to ``after``; None when that is too much, or cannot be told, to say."""
    spans = {p: (before.ends.get(p, 0), end) for p, end in after.ends.items()}
    if before.epoch != after.epoch or sum(max(0, end - start) for start, end in spans.values()) > EVENTS_MAX:
        return None
    changed: dict[RunKey, _RunChange] = {}
    messages: list[Message] = []
    for partition, (start, end) in spans.items():
        position = start
        while position < end:
            events = await backend.events(partition, position, min(_READ_EVENTS, end - position))
            if not events:
                break
            for event in events:
                _note(event, interest, changed, messages)
            position = events[-1].pos + 1
    crowded = _crowded(changed, interest)
    for key, change in changed.items():
        if key[0] not in crowded or key in interest.runs:
            messages.extend(await _run_messages(backend, key, change, key in interest.runs))
    return Changes(messages, crowded)


def _note(
    event: RecordedEvent, interest: Interest, changed: dict[RunKey, _RunChange], messages: list[Message]
) -> None:
    if event.stream.startswith(SYSTEM_STREAMS):
        return
    workspace, kind, identity = split_stream(event.stream)
    if kind == "experiment" and workspace in interest.workspaces:
        told = ExperimentMessage(workspace=workspace, experiment_id=UUID(identity))
        messages.append(Message(workspace, None, "experiment", _encode(told)))
    key = (workspace, identity)
    if kind != "run" or not (key in interest.runs or workspace in interest.workspaces):
        return
    change = changed.setdefault(key, _RunChange())
    if event.type == METRICS_LOGGED:
        if event.body is not None:
            change.names.update(
                series.name for series in _names[event.content_type].decode(event.body).series
            )
    else:
        change.first_seq = event.stream_seq if change.first_seq is None else change.first_seq
        change.last_seq = event.stream_seq


def _crowded(changed: dict[RunKey, _RunChange], interest: Interest) -> frozenset[str]:
    counts: dict[str, int] = {}
    for workspace, _ in changed:
        counts[workspace] = counts.get(workspace, 0) + 1
    return frozenset(w for w, count in counts.items() if count > RUNS_MAX and w in interest.workspaces)


async def _run_messages(
    backend: Backend, key: RunKey, change: _RunChange, with_history: bool
) -> list[Message]:
    workspace, run_id = key
    try:
        run = await backend.views.run(workspace, run_id)
    except NotFound:
        return []  # the run's stream has nothing but a refused creation
    messages: list[Message] = []
    if change.first_seq is not None:
        messages.append(run_message(run))
        if with_history:
            entries = await backend.views.history(workspace, run_id, from_seq=change.first_seq)
            entries = [entry for entry in entries if entry.stream_seq <= change.last_seq]
            told = HistoryMessage(workspace=workspace, run_id=run_id, entries=entries)
            messages.append(Message(workspace, run_id, "history", _encode(told)))
    if change.names:
        messages.append(metrics_message(run, change.names))
    return messages


def run_message(run: RunView) -> Message:
    """The run as it is now, without its metrics, which have a message of their own."""
    return Message(run.workspace, run.run_id, "run", _encode(replace(run, metrics={})))


def metrics_message(run: RunView, names: set[str] | None = None) -> Message:
    """Summaries of the metrics named (None: all); columns of a row or table are ``name.column``."""
    found = {
        name: summary
        for name, summary in run.metrics.items()
        if names is None or name in names or name.rpartition(".")[0] in names
    }
    some = dict(list(found.items())[:METRIC_NAMES_MAX])
    told = MetricsMessage(
        workspace=run.workspace,
        run_id=run.run_id,
        metrics=dict(summaries(some)),
        complete=len(some) == len(found),
    )
    return Message(run.workspace, run.run_id, "metrics", _encode(told))
