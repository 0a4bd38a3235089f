"""The roles beside the API as a process sees them: start, stop, what is wrong, what the metrics say."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from runfold_services import metrics as m
from runfold_services.decider import Decider
from runfold_services.projector import Projector
from runfold_services.relay import Relay
from runfold_services.replies import ReplyCounts


class Role(Protocol):
    """Something that works until it is stopped."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Begin; returns once it works.

        Raises:
            Unavailable: something it needs does not answer; starting anew may help.
            RunfoldError: it cannot work like this; the message says what to change.
        """
        ...

    async def stop(self) -> None:
        """Finish what is under way and let others go on at once."""
        ...

    def alarms(self) -> Mapping[str, str]:
        """What is wrong, by place: partitions that stand still until somebody acts."""
        ...

    async def samples(self) -> list[m.Samples]:
        """What the metrics say now."""
        ...


class DeciderRole:
    """Commands from Kafka into the ledger."""

    name = "decider"

    def __init__(self, decider: Decider, replies: ReplyCounts) -> None:
        self._decider = decider
        self._replies = replies
        self.start = decider.start
        self.stop = decider.stop

    def alarms(self) -> Mapping[str, str]:
        """See :class:`Role`."""
        return {f"partition {number}": code for number, code in self._decider.status.alarms.items()}

    async def samples(self) -> list[m.Samples]:
        """See :class:`Role`."""
        return list(self._samples())

    def _samples(self) -> Iterator[m.Samples]:
        status = self._decider.status
        parts = status.partitions
        now_ms = time.time() * 1_000
        yield m.one(m.SERVED, len(status.assigned), self.name)
        yield from _alarm_samples(
            self.name, status.alarms, {number: part.alarms for number, part in parts.items()}
        )
        served = {number: part for number, part in parts.items() if number in status.assigned}
        yield m.by_key(m.DECIDER_LAG, {number: part.lag for number, part in served.items()})
        yield m.by_key(m.DECIDER_LAG_SECONDS, {number: part.lag_s(now_ms) for number, part in served.items()})
        yield m.by_key(m.DECIDER_RECORDS, {number: part.records for number, part in parts.items()})
        yield m.by_key(m.DECIDER_EVENTS, {number: part.events for number, part in parts.items()})
        yield m.by_key(m.DECIDER_UNREADABLE, {number: part.unreadable for number, part in parts.items()})
        yield m.by_key(m.DECIDER_GAPS, {number: part.gaps for number, part in parts.items()})
        yield m.by_key(m.DECIDER_FENCED, {number: part.overtaken for number, part in parts.items()})
        yield m.by_key(m.DECIDER_RETRIES, {number: part.retries for number, part in parts.items()})
        yield m.by_key(m.OUTCOMES, status.outcomes, self.name)
        yield m.one(m.DECIDER_BATCH, status.batches)
        yield m.by_key(m.REPLIES, {"sent": self._replies.sent, "dropped": self._replies.dropped})


class RelayRole:
    """Events from the store onto Kafka."""

    name = "relay"

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self.start = relay.start
        self.stop = relay.stop

    def alarms(self) -> Mapping[str, str]:
        """See :class:`Role`."""
        return {f"partition {number}": code for number, code in self._relay.status.alarms.items()}

    async def samples(self) -> list[m.Samples]:
        """See :class:`Role`."""
        return list(self._samples())

    def _samples(self) -> Iterator[m.Samples]:
        status = self._relay.status
        parts = status.partitions
        now_s = time.time()
        yield m.one(m.SERVED, len(status.served), self.name)
        yield from _alarm_samples(
            self.name, status.alarms, {number: part.alarms for number, part in parts.items()}
        )
        served = {number: part for number, part in parts.items() if number in status.served}
        yield m.by_key(m.RELAY_LAG, {number: part.lag for number, part in served.items()})
        yield m.by_key(m.RELAY_LAG_SECONDS, {number: part.lag_s(now_s) for number, part in served.items()})
        yield m.by_key(m.RELAY_EVENTS, {number: part.events for number, part in parts.items()})
        yield m.by_key(m.RELAY_RETRIES, {number: part.retries for number, part in parts.items()})
        yield m.one(m.RELAY_BATCH, status.batches)


class ProjectorRole:
    """Events from the store into the views."""

    name = "projector"

    def __init__(self, projector: Projector) -> None:
        self._projector = projector
        self.start = projector.start
        self.stop = projector.stop

    def alarms(self) -> Mapping[str, str]:
        """See :class:`Role`."""
        found = self._projector.status.alarms
        return {f"{projection} on partition {number}": why for (projection, number), why in found.items()}

    async def samples(self) -> list[m.Samples]:
        """See :class:`Role`."""
        lag = {(one.projection, one.partition): one for one in await self._projector.lag()}
        status = self._projector.status
        stopped = {number: "view_stopped" for _, number in status.alarms}
        return [
            m.one(m.SERVED, len(status.served), self.name),
            *_alarm_samples(self.name, stopped, {}),
            m.by_key(m.PROJECTOR_LAG, {place: one.positions for place, one in lag.items()}),
            m.by_key(m.PROJECTOR_LAG_SECONDS, {place: one.seconds for place, one in lag.items()}),
            m.one(m.PROJECTOR_EVENTS, status.events),
            m.one(m.PROJECTOR_BATCH, status.batch_events),
            m.one(m.PROJECTOR_RIVALS, status.rivals),
            m.one(m.PROJECTOR_RETRIES, status.retries),
        ]


def _alarm_samples(role: str, codes: Mapping[int, str], counts: Mapping[int, int]) -> Iterator[m.Samples]:
    yield m.by_key(m.ALARM, dict.fromkeys(codes.items(), 1.0), role)
    yield m.by_key(m.ALARMS, dict(counts), role)
