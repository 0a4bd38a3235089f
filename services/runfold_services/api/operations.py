"""What an operation of the API is: one method of one path, what goes in, what comes out, and the code that does it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from runfold_events.contract import limits

if TYPE_CHECKING:
    from runfold_services.api.call import Call
    from runfold_services.api.reading import BodyStream

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Answer(Struct, kw_only=True):
    """A successful answer. ``body`` is encoded already; ``token`` becomes the ``Runfold-Position`` header."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = None
    token: str | None = None
    location: str | None = None
    headers: tuple[tuple[str, str], ...] = ()  # besides what the fields above become
    stream: AsyncIterator[bytes] | None = None  # instead of ``body``


class Received(Struct, kw_only=True):
    """What a request brought, read and decoded."""

    path: Mapping[str, str]
    headers: Mapping[str, str]
    query: Any
    body: Any
    body_bytes: int
    content_type: str
    raw_path: str = ""  # as it was sent, apart from its %-escapes
    stream: BodyStream | None = None


class Operation(Struct, frozen=True, kw_only=True):
    """One operation; :mod:`runfold_services.api.openapi` describes what stands here and nothing else."""

    method: Method
    path: str
    name: str  # operationId
    tag: str
    summary: str
    run: Callable[[Call], Awaitable[Answer]]
    answer: Any = None  # the type of a successful answer; None: no body
    answer_packed: Any = None  # the type in msgpack, where it is another than in JSON
    answer_others: tuple[str, ...] = ()  # further media types of the answer, of bytes
    answer_type: str | None = None  # its media type where it is neither JSON nor msgpack
    answer_is_file: bool = False  # bytes, of the type that they were recorded with
    answer_may_be_brief: bool = False  # takes Prefer: return=minimal
    statuses: tuple[int, ...] = (200,)
    body: Any = None  # the type of the request body; None: no body is read
    body_is_raw: bool = False  # the body is kept byte for byte and not decoded here
    body_is_optional: bool = False
    body_is_stream: bool = False  # the body is bytes of any type, which the operation reads piece by piece
    body_bytes_max: int = limits.REQUEST_BODY_BYTES_MAX
    query: type[Struct] | None = None
    is_command: bool = (
        False  # takes Runfold-Writer, Runfold-Writer-Seq and Idempotency-Key, answers a position
    )
    is_question: bool = False  # takes and answers Runfold-Position
    is_stream: bool = False  # takes Last-Event-ID
    finds_one: bool = False  # its query names one thing, which may not be there
    is_admin: bool = False
    is_open: bool = False  # needs no credentials
