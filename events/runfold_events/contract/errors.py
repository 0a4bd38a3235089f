"""What can go wrong, named for what a caller can do about it.

    RunfoldError
    ├── Invalid             the request itself is wrong; sending it again cannot help
    │   └── LimitExceeded   one named value is over one named limit
    ├── Unauthorized        no, or not these, credentials
    ├── NotFound            no such run, experiment or workspace
    ├── RunRejected         a rule refused the command; the refusal is (mostly) part of the audit trail
    │   ├── PropertyImmutable
    │   ├── RunEnded
    │   └── Conflict
    │       ├── IdempotencyConflict
    │       └── SequenceGap
    ├── PositionNotReached  a view has not come as far as the caller asked; nothing stale is returned
    └── Unavailable         may succeed if tried again

Every error carries a stable ``code`` and its ``facts``, survives pickling, and is rendered as problem+json.
"""

from __future__ import annotations

from typing import Any, ClassVar

Facts = dict[str, Any]


class RunfoldError(Exception):
    """The root of all errors that runfold raises on purpose.

    Attributes:
        code: stable machine-readable name, the same over SDK, HTTP and Kafka.
        message: one sentence for people, with what to do next where that is known.
        facts: the values behind the sentence; JSON-serialisable.
    """

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None, facts: Facts | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.facts: Facts = dict(facts or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.code, self.facts))


class Invalid(RunfoldError, ValueError):
    """The request is malformed. ``field`` names the place, ``limit`` and ``size`` the bound and the value."""

    default_code = "invalid"

    @property
    def field(self) -> str | None:
        """Dotted path of the wrong value, such as ``command.tags.quality``."""
        value = self.facts.get("field")
        return None if value is None else str(value)

    @property
    def limit(self) -> Any:
        """What is allowed: a number for sizes, a pattern or list for names."""
        return self.facts.get("limit")

    @property
    def size(self) -> Any:
        """What was given: a number for sizes, otherwise the (shortened) value."""
        return self.facts.get("size")


class LimitExceeded(Invalid):
    """A value is over a limit of ``contract.limits``; nothing was applied."""

    default_code = "limit_exceeded"


class Unauthorized(RunfoldError):
    """The credentials are missing or do not allow this."""

    default_code = "unauthorized"


class NotFound(RunfoldError, LookupError):
    """There is no such thing."""

    default_code = "not_found"


class RunRejected(RunfoldError):
    """A rule refused the command; nothing of it took effect."""

    default_code = "rejected"


class PropertyImmutable(RunRejected):
    """A property or parameter has a value already; ``facts`` name both values and the first event."""

    default_code = "property_immutable"


class RunEnded(RunRejected):
    """The run has another terminal status; ``facts`` name it and its event."""

    default_code = "run_ended"


class Conflict(RunRejected):
    """The command contradicts what is there."""

    default_code = "conflict"


class IdempotencyConflict(Conflict):
    """The same writer and number, or the same Idempotency-Key, came with other content."""

    default_code = "idempotency_conflict"


class SequenceGap(Conflict):
    """A writer's number jumped; ``facts["expected"]`` is the number to send next."""

    default_code = "sequence_gap"


class PositionNotReached(RunfoldError):
    """The view did not reach the asked position in time; ``facts["position"]`` is the current mark."""

    default_code = "position_not_reached"


class Unavailable(RunfoldError):
    """The service cannot answer now; try again after ``retry_after`` seconds."""

    default_code = "unavailable"

    @property
    def retry_after(self) -> float:
        """Seconds to wait before the next try."""
        return float(self.facts.get("retry_after", 1.0))


_CLASS_OF_CODE: dict[str, type[RunfoldError]] = {
    "invalid": Invalid,
    "limit_exceeded": LimitExceeded,
    "unauthorized": Unauthorized,
    "forbidden": Unauthorized,
    "not_found": NotFound,
    "rejected": RunRejected,
    "property_immutable": PropertyImmutable,
    "parameter_immutable": PropertyImmutable,
    "run_ended": RunEnded,
    "conflict": Conflict,
    "idempotency_conflict": IdempotencyConflict,
    "sequence_gap": SequenceGap,
    "position_not_reached": PositionNotReached,
    "unavailable": Unavailable,
    "too_many_requests": Unavailable,
}


def error_from(code: str, message: str, facts: Facts | None = None) -> RunfoldError:
    """The exception for a stable ``code``, however it reached us; unknown codes give the root class."""
    return _CLASS_OF_CODE.get(code, RunfoldError)(message, code=code, facts=facts)


def _rebuild(kind: type[RunfoldError], message: str, code: str, facts: Facts) -> RunfoldError:
    return kind(message, code=code, facts=facts)
