"""Ids, their forms and where they live: streams, slices, partitions."""

from __future__ import annotations

import re
from functools import lru_cache
from struct import unpack_from
from typing import Final, NewType
from uuid import UUID, SafeUUID, uuid5

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded

StreamId = NewType("StreamId", str)

# Namespace of every id that runfold derives; drawn once, fixed for ever.
RUNFOLD_NAMESPACE: Final = UUID("5c1f3a52-7f0e-5b61-9a38-2d1f6f0c6e11")

SYSTEM_PREFIX: Final = "_system/"
_SLICES_CACHED_MAX: Final = 65_536
_STREAMS_CACHED_MAX: Final = 16_384
_EXPERIMENTS_CACHED_MAX: Final = 1_024
_BULKS_CACHED_MAX: Final = 1_024
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_.\-]+\Z")
_EXPERIMENT_NAME: Final = re.compile(r"[A-Za-z0-9][\w\-]*\Z")
_WORKSPACE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_\-]*\Z")
_UNKNOWN: Final = SafeUUID.unknown


def uuid_of(number: int) -> UUID:
    """``UUID(int=number)``, which takes a fifth of the time without the constructor's questions."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", number)
    object.__setattr__(made, "is_safe", _UNKNOWN)
    return made


def check_run_id(value: str, field: str = "run_id") -> str:
    """Return ``value`` if it is a legal run id, else raise :class:`Invalid` or :class:`LimitExceeded`."""
    _check_length(value, field, limits.RUN_ID_CHARS_MAX)
    if not _RUN_ID.match(value) or value in {".", ".."}:
        raise Invalid(
            f"{field} may hold only A-Z a-z 0-9 _ - . and may not be '.' or '..'; got {value[:80]!a}",
            facts={"field": field, "limit": "A-Z a-z 0-9 _ - .", "size": ascii(value[:80])},
        )
    return value


def check_experiment_name(value: str, field: str = "experiment") -> str:
    """Return ``value`` if it is a legal experiment name (Azure ML's pattern, without its trailing-newline slip)."""
    is_long = not 1 <= len(value) <= limits.EXPERIMENT_NAME_CHARS_MAX
    if is_long or not _EXPERIMENT_NAME.match(value):
        raise (LimitExceeded if is_long else Invalid)(
            "Experiment name must be between 1 and 255 characters long. Its first character has to be alphanumeric, "
            f"and the rest may contain hyphens and underscores. No whitespace is allowed. Got {value[:80]!a}",
            facts={"field": field, "limit": limits.EXPERIMENT_NAME_CHARS_MAX, "size": len(value)},
        )
    return value


def check_workspace_name(value: str, field: str = "workspace") -> str:
    """Return ``value`` if it is a legal workspace name, else raise."""
    _check_length(value, field, limits.WORKSPACE_NAME_CHARS_MAX)
    # A leading underscore is kept for the store's own streams.
    if not _WORKSPACE_NAME.match(value) or value.startswith("_"):
        raise Invalid(
            f"{field} must start with a letter or digit and hold only letters, digits, - and _; got {value[:80]!a}",
            facts={"field": field, "limit": "A-Z a-z 0-9 _ -", "size": ascii(value[:80])},
        )
    return value


def _check_length(value: str, field: str, chars_max: int) -> None:
    if not 1 <= len(value) <= chars_max:
        raise LimitExceeded(
            f"{field} must have 1 to {chars_max} characters; it has {len(value)}",
            facts={"field": field, "limit": chars_max, "size": len(value)},
        )


@lru_cache(
    maxsize=_STREAMS_CACHED_MAX
)  # asked for many times for each command, and the same object hashes faster
def run_stream(workspace: str, run_id: str) -> StreamId:
    """The stream of one run: ``{workspace}/run/{run id}``."""
    return StreamId(f"{workspace}/run/{run_id}")


@lru_cache(maxsize=_EXPERIMENTS_CACHED_MAX)  # of a digest, and every command of a run names its experiment
def experiment_stream(workspace: str, experiment: str) -> StreamId:
    """The stream of one experiment: ``{workspace}/experiment/{experiment id}``."""
    return StreamId(f"{workspace}/experiment/{experiment_id(workspace, experiment)}")


def system_stream(partition: int) -> StreamId:
    """The store's own stream of one partition: ``_system/{partition}``. Its slice is the partition by definition."""
    return StreamId(f"{SYSTEM_PREFIX}{partition}")


def is_system_stream(stream: str) -> bool:
    """True for the store's own streams, which belong to no workspace."""
    return stream.startswith(SYSTEM_PREFIX)


def split_stream(stream: str) -> tuple[str, str, str]:
    """``(workspace, "run" | "experiment", id)`` of a stream id."""
    workspace, kind, identity = stream.split("/", 2)
    return workspace, kind, identity


@lru_cache(maxsize=_EXPERIMENTS_CACHED_MAX)
def experiment_id(workspace: str, experiment: str) -> UUID:
    """UUIDv5 of ``(workspace, name)``: any process can name an experiment without asking."""
    return uuid5(RUNFOLD_NAMESPACE, f"experiment\0{workspace}\0{experiment}")


def bulk_run_id(bulk_key: str, index: int) -> str:
    """The run id of child ``index`` (from 0, below 2^32) of one bulk creation, so that a retry completes and never
    doubles. Children of one key follow one another in every index, as they do in time."""
    return f"{_bulk_ids_start(bulk_key)}{index:08x}"


@lru_cache(maxsize=_BULKS_CACHED_MAX)
def _bulk_ids_start(bulk_key: str) -> str:
    """All but the last 32 bits of a UUIDv8 (RFC 9562): 90 bits of the key's UUIDv5."""
    named = str(uuid5(RUNFOLD_NAMESPACE, f"bulk\0{bulk_key}"))
    return f"{named[:14]}8{named[15:28]}"


def idempotency_writer(actor: str, key: str) -> UUID:
    """The writer that a bare Idempotency-Key stands for, per actor."""
    return uuid5(RUNFOLD_NAMESPACE, f"idempotency\0{actor}\0{key}")


@lru_cache(maxsize=_SLICES_CACHED_MAX)
def slice_of(stream: str) -> int:
    """``(murmur2(stream id) & 0x7fffffff) mod 1024``, stored on every event for ever."""
    if is_system_stream(stream):
        return int(stream.removeprefix(SYSTEM_PREFIX))
    return (murmur2(stream.encode()) & 0x7FFFFFFF) % limits.SLICES


def partition_of(stream: str, partitions: int) -> int:
    """Store partition of a stream: ``slice mod P``."""
    return 0 if partitions == 1 else slice_of(stream) % partitions


def check_partitions(partitions: int) -> int:
    """Return ``partitions`` if it is a power of two that divides the slices, else raise :class:`Invalid`."""
    if not 1 <= partitions <= limits.SLICES or partitions & (partitions - 1):
        raise Invalid(
            f"partitions must be a power of two from 1 to {limits.SLICES}; got {partitions}",
            facts={"field": "partitions", "limit": limits.SLICES, "size": partitions},
        )
    return partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, seed 0x9747b28c: what Kafka's default partitioner computes for a record key.

    Source: org.apache.kafka.common.utils.Utils.murmur2. Returned as an unsigned 32-bit number.
    """
    length = len(data)
    m = 0x5BD1E995
    h = 0x9747B28C ^ length
    words = length >> 2
    for word in unpack_from(f"<{words}I", data):
        k = (word * m) & 0xFFFFFFFF
        h = (h * m ^ (k ^ k >> 24) * m) & 0xFFFFFFFF
    rest = data[words << 2 :]
    if rest:
        h ^= int.from_bytes(rest, "little")
        h = (h * m) & 0xFFFFFFFF
    h ^= h >> 13
    h = (h * m) & 0xFFFFFFFF
    return h ^ (h >> 15)
