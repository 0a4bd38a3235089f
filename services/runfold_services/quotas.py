"""What a workspace may send in a second, so that one of them cannot take a server from all others.

Each bound is a token bucket that may go into debt: a request is taken in whole while its bucket holds anything, however
large it is, and what follows waits until the debt is paid. So no batch is too large for a quota, and over time no more
than the rate goes in. What is not taken in is answered 429 with the seconds to wait, before anything of it is queued.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from runfold_events.contract.commands import LogMetrics
from runfold_events.contract.errors import Invalid, RunfoldError, Unavailable
from runfold_events.contract.ids import check_workspace_name
from runfold_events.contract.metrics import count_points
from runfold_events.contract.submission import Submission
from runfold_services.usage import QUOTAS, Meter, QuotaName

BURST_S: Final = 10.0  # a bucket holds what may come in so many seconds
METERS_MAX: Final = 10_000  # workspaces that are remembered; names come from outside
TOO_MANY_REQUESTS: Final = "too_many_requests"


class QuotaSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one workspace may send. Absent: what ``[default]`` says; ``inf`` there or here: no bound."""

    commands_per_s: float | UnsetType = UNSET
    points_per_s: float | UnsetType = UNSET
    file_bytes_per_s: float | UnsetType = UNSET

    def rates(self) -> dict[QuotaName, float | UnsetType]:
        return {
            "commands": self.commands_per_s,
            "points": self.points_per_s,
            "file_bytes": self.file_bytes_per_s,
        }


class QuotaFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``RUNFOLD_QUOTAS_FILE``: the quota of every workspace, and of those that have their own."""

    default: QuotaSettings = QuotaSettings()
    workspaces: dict[str, QuotaSettings] = {}

    def rate(self, workspace: str, name: QuotaName) -> float | None:
        """How much of ``name`` a workspace may send in a second; None: as much as it likes."""
        own = self.workspaces.get(workspace, QuotaSettings()).rates()[name]
        rate = self.default.rates()[name] if own is UNSET else own
        return None if rate is UNSET or rate == float("inf") else rate


def load_quotas(path: Path | None) -> QuotaFile:
    """What a file of quotas says; without one nothing is bounded.

    Raises:
        Invalid: the file cannot be read, or holds something else; the message says what.
    """
    if path is None:
        return QuotaFile()
    try:
        found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), QuotaFile)
        for workspace in found.workspaces:
            check_workspace_name(workspace)
        _check_rates(found)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError, Invalid) as error:
        raise Invalid(
            f"the file of quotas {path} cannot be used: {error}", facts={"field": "RUNFOLD_QUOTAS_FILE"}
        ) from None
    return found


def _check_rates(file: QuotaFile) -> None:
    for place, settings in (("default", file.default), *file.workspaces.items()):
        for name, rate in settings.rates().items():
            if rate is not UNSET and not rate > 0:
                raise Invalid(f"{place}: {name}_per_s must be greater than 0; got {rate:g}")


class Bucket:
    """One bound of one workspace, and what came in under it."""

    __slots__ = ("_at", "_level", "_rate", "refused", "taken")

    def __init__(self, rate: float | None, now: float) -> None:
        self._rate = rate
        self._level = 0.0 if rate is None else rate * BURST_S
        self._at = now
        self.taken = 0
        self.refused = 0  # requests

    @property
    def rate(self) -> float | None:
        """What may come in in a second; None: no bound."""
        return self._rate

    def level(self, now: float) -> float | None:
        """What may come in now; below 0: a debt. None: no bound."""
        if self._rate is None:
            return None
        self._level = min(self._rate * BURST_S, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def wait_s(self, now: float) -> float:
        """Seconds until something may come in; 0: now."""
        level = self.level(now)
        return 0.0 if self._rate is None or level is None or level > 0 else (1.0 - level) / self._rate

    def take(self, amount: int) -> None:
        """Something came in."""
        self.taken += amount
        self._level -= amount

    def is_as_new(self, now: float) -> bool:
        """Whether nothing would be lost but counts if this were forgotten."""
        return self._rate is None or self.level(now) == self._rate * BURST_S


class Quotas:
    """The quotas of one server process. Lives on the event loop."""

    def __init__(self, file: QuotaFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._workspaces: dict[str, dict[QuotaName, Bucket]] = {}
        self.refused: dict[str, int] = dict.fromkeys(QUOTAS, 0)  # requests, of all workspaces

    @property
    def remembered(self) -> int:
        """How many workspaces have meters."""
        return len(self._workspaces)

    def admit(self, workspace: str, submissions: Sequence[Submission]) -> None:
        """Take the commands of one request in, or none of them.

        Raises:
            Unavailable: ``too_many_requests``: the workspace has sent too much; ``retry_after`` says when to try again.
        """
        if not submissions:
            return
        buckets = self._buckets(workspace)
        amounts: dict[QuotaName, int] = {"commands": len(submissions)}
        if buckets["points"].rate is not None:
            amounts["points"] = _points(submissions)
        bounded: list[QuotaName] = [
            name for name in amounts if amounts[name] and buckets[name].rate is not None
        ]
        if bounded:  # nearly nowhere
            self._check(workspace, bounded)
        for name, amount in amounts.items():
            buckets[name].take(amount)

    def admit_files(self, workspace: str) -> None:
        """Begin to receive contents of files; :meth:`took_files` says how much it was.

        Raises:
            Unavailable: as :meth:`admit`.
        """
        self._check(workspace, ["file_bytes"])

    def took_files(self, workspace: str, size_bytes: int) -> None:
        """So much of a file was received."""
        self._buckets(workspace)["file_bytes"].take(size_bytes)

    def meters(self, workspace: str) -> tuple[Meter, ...]:
        """How a workspace stands."""
        now = self._clock()
        return tuple(
            Meter(
                name=name,
                per_s=bucket.rate,
                burst=None if bucket.rate is None else bucket.rate * BURST_S,
                available=bucket.level(now),
                taken=bucket.taken,
                refused=bucket.refused,
            )
            for name, bucket in self._buckets(workspace).items()
        )

    def _check(self, workspace: str, names: Sequence[QuotaName]) -> None:
        buckets, now = self._buckets(workspace), self._clock()
        worst = max(names, key=lambda name: buckets[name].wait_s(now))
        rate, wait_s = buckets[worst].rate, buckets[worst].wait_s(now)
        if rate is None or wait_s <= 0:
            return
        buckets[worst].refused += 1
        self.refused[worst] += 1
        what = worst.replace("_", " ")
        raise Unavailable(
            f"workspace {workspace} has sent more than its quota of {rate:,.6g} {what} a second; send again in "
            f"{wait_s:.1f} s",
            code=TOO_MANY_REQUESTS,
            facts={"field": f"{worst}_per_s", "limit": rate, "workspace": workspace, "retry_after": wait_s},
        )

    def _buckets(self, workspace: str) -> dict[QuotaName, Bucket]:
        found = self._workspaces.get(workspace)
        if found is None:
            if len(self._workspaces) >= METERS_MAX:
                self._forget()
            found = self._workspaces[workspace] = _new_buckets(self._file, workspace, self._clock())
        return found

    def _forget(self) -> None:
        """Make room: those in no debt, and where all are, the one that is remembered for longest."""
        now = self._clock()
        kept = {
            workspace: buckets
            for workspace, buckets in self._workspaces.items()
            if not all(bucket.is_as_new(now) for bucket in buckets.values())
        }
        if len(kept) >= METERS_MAX:
            kept.pop(next(iter(kept)))
        self._workspaces = kept


def _new_buckets(file: QuotaFile, workspace: str, now: float) -> dict[QuotaName, Bucket]:
    buckets: dict[QuotaName, Bucket] = {}
    for name in QUOTAS:
        buckets[name] = Bucket(file.rate(workspace, name), now)
    return buckets


def _points(submissions: Sequence[Submission]) -> int:
    """Points of all batches, as they announce themselves; one that lies is refused when it is opened."""
    total = 0
    for submission in submissions:
        command: Any = submission.command
        if isinstance(command, LogMetrics):
            try:
                total += count_points(submission.content_type, bytes(command.batch))
            except RunfoldError:  # answered by whoever opens it
                continue
    return total
