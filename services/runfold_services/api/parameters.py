"""Query strings as Structs: every parameter known, single where one is meant, percent-encoding checked."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Final, TypeVar, cast
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from runfold_events.contract import limits
from runfold_events.contract.commands import Tags
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.statuses import Status
from runfold_projections.model import RunQuery

QUERY_STRING_BYTES_MAX: Final = 64 * 1024
QUERY_PARAMETERS_MAX: Final = 1_000
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
COMMA_SEPARATED: Final = frozenset({"fields", "status"})
S = TypeVar("S", bound=Struct)

Positive = Annotated[int, Meta(ge=1)]


class NoParams(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class RunListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs, in which order, with which fields. ``tag`` and ``property`` are ``key`` or ``key=value``."""

    experiment: str | None = None
    filter: str | None = None
    order_by: str = "-created_at"
    fields: tuple[str, ...] = ()
    limit: Positive = limits.PAGE_ROWS_DEFAULT
    page: str | None = None
    status: tuple[Status, ...] = ()
    run_type: str | None = None
    tag: tuple[str, ...] = ()
    property: tuple[str, ...] = ()
    include_children: bool = False
    parent_run_id: str | None = None
    ancestor_run_id: str | None = None
    include_archived: bool = False
    search: str | None = None


class ChildListParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which children. With ``recursive`` all descendants."""

    recursive: bool = False
    filter: str | None = None
    order_by: str = "-created_at"
    fields: tuple[str, ...] = ()
    limit: Positive = limits.PAGE_ROWS_DEFAULT
    page: str | None = None
    status: tuple[Status, ...] = ()
    run_type: str | None = None
    tag: tuple[str, ...] = ()
    property: tuple[str, ...] = ()
    include_archived: bool = True
    search: str | None = None


class ExperimentListParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which experiments."""

    include_archived: bool = False


class MetricsParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which metrics (none named: all), of descendants too, only the last ``points_max`` points of each."""

    name: tuple[str, ...] = ()
    recursive: bool = False
    points_max: Positive | None = None


class SeriesParams(Struct, frozen=True, forbid_unknown_fields=True):
    """With ``recursive`` the metrics of all descendants too."""

    recursive: bool = False


class FilesParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which files: those whose path begins with ``prefix``."""

    prefix: str = ""


class AppendParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Where in the log the body belongs, in bytes from its start."""

    offset: Annotated[int, Meta(ge=0, le=limits.LOG_BYTES_MAX)]


class LogPartParams(
    Struct, frozen=True, forbid_unknown_fields=True, rename={"from_byte": "from", "bytes_max": "max"}
):
    """Which part of the log: from which byte on, and how many at most."""

    from_byte: Annotated[int, Meta(ge=0, le=limits.INT64_MAX)] = 0
    bytes_max: Annotated[int, Meta(ge=1, le=limits.LOG_READ_BYTES_MAX)] = limits.LOG_READ_BYTES_MAX


class HistoryParams(Struct, frozen=True, forbid_unknown_fields=True):
    """From which ``stream_seq`` on, and how many."""

    from_seq: Positive = 1
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1_000


class EventsParams(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_pos": "from"}):
    """Which events: ``from`` (a position) on, at most ``limit``."""

    partition: Annotated[int, Meta(ge=0)] = 0
    from_pos: Annotated[int, Meta(ge=0, le=limits.INT64_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=limits.EVENTS_PAGE_ROWS_MAX)] = 100


class RunEventsParams(Struct, frozen=True, forbid_unknown_fields=True):
    """From which ``stream_seq`` on, and at most how many."""

    from_seq: Positive = 1
    limit: Annotated[int, Meta(ge=1, le=limits.EVENTS_PAGE_ROWS_MAX)] = 100


class UnreadableParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries: after the one called ``after``; with ``open`` only records that nobody has sent again."""

    partition: Annotated[int, Meta(ge=0)] | None = None
    after: str | None = None
    limit: Annotated[int, Meta(ge=1, le=limits.PAGE_ROWS_MAX)] = limits.PAGE_ROWS_DEFAULT
    open: bool = False
    code: str | None = None


class OutcomeParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which command: its stream, its writer and its number there."""

    stream: str
    writer: UUID
    number: Annotated[int, Meta(ge=1, le=limits.WRITER_SEQ_MAX)]


class EraseParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    reason: str | None = None


def read_parameters(query_string: bytes, kind: type[S]) -> S:
    """The parameters of a request as ``kind``.

    Raises:
        LimitExceeded: the query string is too long.
        Invalid: unknown, repeated or of the wrong type; ``field`` names the parameter.
    """
    if not query_string:
        return cast("S", _without_parameters(kind))
    given: dict[str, Any] = {}
    lists = _lists_of(kind)
    for name, value in _pairs(query_string):
        if name in lists:
            parts = value.split(",") if name in COMMA_SEPARATED else [value]
            given.setdefault(name, []).extend(parts)
        elif name in given:
            raise Invalid(f"{name} is given twice", facts={"field": name, "limit": 1, "size": 2})
        else:
            given[name] = value
    return _converted(given, kind)


def _converted(given: dict[str, Any], kind: type[S]) -> S:
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None


@cache
def _without_parameters(kind: type[Struct]) -> Struct:
    return _converted({}, kind)


@cache
def _lists_of(kind: type[Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind) if _is_list(field.type))


def run_query(params: RunListParams | ChildListParams, **place: Any) -> RunQuery:
    """A list's parameters, and what its path says, as a query."""
    tags, tag_keys = _labels(params.tag)
    properties, property_keys = _labels(params.property)
    names = set(RunQuery.__struct_fields__) & set(params.__struct_fields__)
    same = {name: getattr(params, name) for name in names}
    return check_query(
        RunQuery(
            **same | place, tags=tags, tag_keys=tag_keys, properties=properties, property_keys=property_keys
        )
    )


def check_query(query: RunQuery) -> RunQuery:
    """``query``, if it asks for a legal number of rows; the rest is checked where it is understood."""
    if query.limit > limits.PAGE_ROWS_MAX:
        raise LimitExceeded(
            f"limit may be at most {limits.PAGE_ROWS_MAX}; got {query.limit}",
            facts={"field": "limit", "limit": limits.PAGE_ROWS_MAX, "size": query.limit},
        )
    if query.limit < 1:
        raise Invalid(
            f"limit must be 1 or more; got {query.limit}",
            facts={"field": "limit", "limit": 1, "size": query.limit},
        )
    return query


def _labels(given: tuple[str, ...]) -> tuple[Tags, tuple[str, ...]]:
    pairs = [item.partition("=") for item in given]
    return (
        {key: value for key, equals, value in pairs if equals},
        tuple(key for key, equals, _ in pairs if not equals),
    )


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    if len(query_string) > QUERY_STRING_BYTES_MAX:
        raise LimitExceeded(
            f"the query string may have {QUERY_STRING_BYTES_MAX} bytes; use POST …/runs:query for long filters",
            facts={"field": "query string", "limit": QUERY_STRING_BYTES_MAX, "size": len(query_string)},
        )
    if _BAD_ESCAPE.search(query_string):
        raise _bad_query("a % that is not followed by two hex digits")
    try:
        return parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=QUERY_PARAMETERS_MAX,
        )
    except UnicodeDecodeError:
        raise _bad_query("text that is not UTF-8") from None
    except ValueError:
        raise _bad_query(f"more than {QUERY_PARAMETERS_MAX} parameters") from None


def _bad_query(what: str) -> Invalid:
    return Invalid(f"the query string holds {what}", facts={"field": "query string", "limit": what})


def _is_list(kind: Any) -> bool:
    return getattr(kind, "__origin__", None) is tuple


def _invalid(error: msgspec.ValidationError) -> Invalid:
    text = str(error)
    message, marker, path = text.rpartition(" - at `$.")
    if marker:
        field = path.rstrip("`").partition("[")[0]
        return Invalid(f"{field}: {message}", facts={"field": field, "limit": message})
    missing = re.search(r"missing required field `(.*)`", text)
    if missing:
        return Invalid(f"{missing[1]} is missing", facts={"field": missing[1], "limit": "required"})
    unknown = re.search(r"unknown field `(.*)`", text)
    field = unknown.group(1)[:80] if unknown else "query string"
    return Invalid(
        f"{field!r} is no parameter of this operation" if unknown else text,
        facts={"field": field, "limit": "the parameters that the API describes"},
    )
