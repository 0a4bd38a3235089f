"""Every metric that a process of runfold tells Prometheus, declared in one place with its unit and meaning.

``docs/operating.md`` renders :data:`DECLARED`. Roles keep plain counts; what is here turns them into samples when
somebody asks, so that nothing of it stands in a hot path.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

from msgspec import Struct
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from runfold_services.tally import ApiTally, Distribution

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]


class Declared(Struct, frozen=True):
    """One metric: what it is called, what its numbers are in, and what they say."""

    name: str  # of a counter without its suffix _total
    kind: Kind
    unit: str
    labels: Labels
    meaning: str

    @property
    def full_name(self) -> str:
        """As Prometheus shows it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


_all: list[Declared] = []


def _declare(name: str, kind: Kind, unit: str, labels: Labels, meaning: str) -> Declared:
    declared = Declared(name, kind, unit, labels, meaning)
    _all.append(declared)
    return declared


_PARTITION: Final = ("partition",)

PROCESS_UP: Final = _declare(
    "runfold_ready",
    "gauge",
    "0 or 1",
    ("role",),
    "The process does its work: 1 once it has started, 0 when it stops.",
)
PROCESS_STARTED: Final = _declare(
    "runfold_start_time_seconds", "gauge", "seconds since 1970", ("role",), "When the process was started."
)
PROCESS_CPU: Final = _declare(
    "runfold_cpu_seconds", "counter", "seconds", ("role",), "Processor time that the process has used."
)
ALARM: Final = _declare(
    "runfold_alarm",
    "gauge",
    "0 or 1",
    ("role", "partition", "code"),
    "1: the partition stands still and somebody has to act; the code says why (docs/operating.md).",
)
ALARMS: Final = _declare(
    "runfold_alarms", "counter", "alarms", ("role", "partition"), "How often an alarm was raised."
)
SERVED: Final = _declare(
    "runfold_partitions_served",
    "gauge",
    "partitions",
    ("role",),
    "Partitions that the process has a lease on.",
)

HTTP_REQUESTS: Final = _declare(
    "runfold_http_requests", "counter", "requests", ("operation", "status"), "Requests answered."
)
HTTP_SECONDS: Final = _declare(
    "runfold_http_request_seconds",
    "histogram",
    "seconds",
    ("operation",),
    "From a request's head to its answer; live streams are left out.",
)
OUTCOMES: Final = _declare(
    "runfold_outcomes",
    "counter",
    "commands",
    ("role", "code"),
    "What became of commands: accepted, repeated, or the code of the refusal.",
)
QUOTA_REFUSALS: Final = _declare(
    "runfold_quota_refusals",
    "counter",
    "requests",
    ("quota",),
    "Requests that were answered 429 because their workspace had sent more than its quota.",
)
COMMIT_COMMANDS: Final = _declare(
    "runfold_commit_commands", "histogram", "commands", (), "Commands of one commit of the HTTP door."
)
QUEUED_COMMANDS: Final = _declare(
    "runfold_queued_commands",
    "gauge",
    "commands",
    (),
    "Commands of the HTTP door that wait for their commit.",
)
LIVE_LEASES: Final = _declare(
    "runfold_live_leases", "gauge", "processes", (), "Processes of users whose lease has not ended."
)
KEEPER_MARKS: Final = _declare(
    "runfold_keeper_marks", "counter", "runs", (), "Runs that the lease keeper marked lost or found."
)

DECIDER_LAG: Final = _declare(
    "runfold_decider_lag_offsets",
    "gauge",
    "offsets",
    _PARTITION,
    "Commands in the topic that are not handled yet.",
)
DECIDER_LAG_SECONDS: Final = _declare(
    "runfold_decider_lag_seconds",
    "gauge",
    "seconds",
    _PARTITION,
    "Age of the last handled command while others wait behind it; 0 when none does.",
)
DECIDER_RECORDS: Final = _declare(
    "runfold_decider_records", "counter", "records", _PARTITION, "Command records handled."
)
DECIDER_EVENTS: Final = _declare(
    "runfold_decider_events", "counter", "events", _PARTITION, "Events that they gave."
)
DECIDER_UNREADABLE: Final = _declare(
    "runfold_decider_unreadable",
    "counter",
    "records",
    _PARTITION,
    "Records that were kept as unreadable (runfold unreadable list).",
)
DECIDER_GAPS: Final = _declare(
    "runfold_decider_gaps",
    "counter",
    "jumps",
    _PARTITION,
    "Jumps in a writer's numbers: commands that did not come, or come later.",
)
DECIDER_FENCED: Final = _declare(
    "runfold_decider_fenced",
    "counter",
    "batches",
    _PARTITION,
    "Batches that another decider had handled first: the cursor had moved, and nothing was appended.",
)
DECIDER_RETRIES: Final = _declare(
    "runfold_decider_retries",
    "counter",
    "attempts",
    _PARTITION,
    "Transactions that the store did not answer.",
)
DECIDER_BATCH: Final = _declare(
    "runfold_decider_batch_records", "histogram", "records", (), "Records of one transaction."
)
REPLIES: Final = _declare(
    "runfold_replies", "counter", "replies", ("result",), "Answers to reply topics: sent or dropped."
)

RELAY_LAG: Final = _declare(
    "runfold_relay_lag_positions", "gauge", "positions", _PARTITION, "Events that are not published yet."
)
RELAY_LAG_SECONDS: Final = _declare(
    "runfold_relay_lag_seconds",
    "gauge",
    "seconds",
    _PARTITION,
    "Since the last published event was recorded, while others wait behind it; 0 when none does.",
)
RELAY_EVENTS: Final = _declare("runfold_relay_events", "counter", "events", _PARTITION, "Events published.")
RELAY_RETRIES: Final = _declare(
    "runfold_relay_retries", "counter", "attempts", _PARTITION, "Times that store or Kafka did not answer."
)
RELAY_BATCH: Final = _declare(
    "runfold_relay_batch_events", "histogram", "events", (), "Events of one publication."
)

PROJECTOR_LAG: Final = _declare(
    "runfold_projector_lag_positions",
    "gauge",
    "positions",
    ("projection", "partition"),
    "Events that are not folded yet, whoever serves the partition.",
)
PROJECTOR_LAG_SECONDS: Final = _declare(
    "runfold_projector_lag_seconds",
    "gauge",
    "seconds",
    ("projection", "partition"),
    "Since the first event that is not folded was recorded; 0 when all are.",
)
PROJECTOR_EVENTS: Final = _declare("runfold_projector_events", "counter", "events", (), "Events folded.")
PROJECTOR_BATCH: Final = _declare(
    "runfold_projector_batch_events", "histogram", "events", (), "Events of one fold."
)
PROJECTOR_RIVALS: Final = _declare(
    "runfold_projector_rivals", "counter", "batches", (), "Folds that another projector had done first."
)
PROJECTOR_RETRIES: Final = _declare(
    "runfold_projector_retries", "counter", "attempts", (), "Folds that failed and were tried again."
)

DECLARED: Final = tuple(_all)

Value = float | Distribution
Sample = tuple[Labels, Value]


class Samples(Struct, frozen=True):
    """Values of one declared metric, by the values of its labels."""

    of: Declared
    values: Sequence[Sample]


def one(of: Declared, value: Value, *labels: object) -> Samples:
    """The only value of a metric."""
    return Samples(of, [(tuple(map(str, labels)), value)])


def by_key(of: Declared, values: Mapping[Any, Value | None], *before: object) -> Samples:
    """A value for each key of a mapping: the last label, or the last ones where keys are tuples; None is left out."""
    first = tuple(map(str, before))
    return Samples(
        of,
        [((*first, *_labels(key)), value) for key, value in values.items() if value is not None],
    )


def _labels(key: object) -> Labels:
    return tuple(map(str, cast("tuple[object, ...]", key))) if isinstance(key, tuple) else (str(key),)


def process_samples(role: str, *, is_ready: bool, started_at: float) -> Iterator[Samples]:
    """What every process tells."""
    yield one(PROCESS_UP, float(is_ready), role)
    yield one(PROCESS_STARTED, started_at, role)
    yield one(PROCESS_CPU, time.process_time(), role)


def api_samples(
    tally: ApiTally, queued_commands: int, live_leases: int, quota_refusals: Mapping[str, int]
) -> Iterator[Samples]:
    """What an API process tells."""
    yield by_key(HTTP_REQUESTS, dict(tally.requests))
    yield by_key(HTTP_SECONDS, dict(tally.seconds))
    yield by_key(OUTCOMES, dict(tally.outcomes), "api")
    yield by_key(QUOTA_REFUSALS, quota_refusals)
    yield one(COMMIT_COMMANDS, tally.commits)
    yield one(QUEUED_COMMANDS, queued_commands)
    yield one(LIVE_LEASES, live_leases)
    yield one(KEEPER_MARKS, tally.marked_by_keeper)


def exposition(samples: Iterable[Samples]) -> bytes:
    """Samples in Prometheus's text format."""
    return generate_latest(_Given([_family(entry) for entry in samples]))


class _Given(Collector):
    """What prometheus_client asks for what there is."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(samples: Samples) -> Metric:
    of = samples.of
    if of.kind == "histogram":
        histogram = HistogramMetricFamily(of.name, of.meaning, labels=of.labels)
        for labels, value in samples.values:
            if isinstance(value, Distribution):
                buckets = [(_bound(bound), count) for bound, count in value.cumulative()]
                histogram.add_metric(labels, buckets, value.sum)
        return histogram
    kind = CounterMetricFamily if of.kind == "counter" else GaugeMetricFamily
    family = kind(of.name, of.meaning, labels=of.labels)
    for labels, value in samples.values:
        if not isinstance(value, Distribution):
            family.add_metric(labels, value)
    return family


def _bound(bound: float) -> str:
    return "+Inf" if bound == float("inf") else f"{bound:g}"
