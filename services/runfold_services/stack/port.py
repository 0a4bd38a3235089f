"""What a stack promises, whichever way it is provided."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

from msgspec import Struct

from runfold_events.contract.errors import RunfoldError

Source = Literal["containers", "packages"]
PartName = Literal["kafka", "postgres"]
State = Literal["up", "partly up", "down", "absent"]


class StackError(RunfoldError):
    """The stack cannot do what was asked; the message says what to do next."""

    default_code: ClassVar[str] = "stack"


class Addresses(Struct, frozen=True, kw_only=True):
    """Where the parts are reached.

    Attributes:
        kafka: ``host:port``, for ``bootstrap_servers``; no encryption, no credentials.
        postgres: a DSN with the superuser's password, for a database that starts empty.
    """

    kafka: str
    postgres: str


class PartStatus(Struct, frozen=True, kw_only=True):
    """One part as it is now, found out by asking it.

    Attributes:
        running: the process (or container) that this stack started is there; a stopped one (``SIGSTOP``) counts.
        answers: it said something sensible over its own protocol just now.
        where: the process id, or the start of the container's id; empty when it is not running.
        log: the file that holds what it said, if it is a file.
    """

    name: PartName
    address: str
    running: bool
    answers: bool
    where: str = ""
    log: str = ""


class StackStatus(Struct, frozen=True, kw_only=True):
    """A stack as it is now. ``absent``: nothing was ever started here, or it was wiped."""

    state: State
    folder: str
    source: Source | None = None
    addresses: Addresses | None = None
    parts: tuple[PartStatus, ...] = ()


class Progress(Protocol):
    """Told what takes time. Called from several threads, never at the same time."""

    def __call__(self, what: str, done: int = 0, total: int = 0) -> None:
        """``what`` is one short line. ``total`` is 0 where no amount is known, otherwise both count bytes."""
        ...


class Part(Protocol):
    """One server of a stack: the broker or the database.

    Every method blocks. The hooks for faults act on what this stack started and nothing else; on a part that is not
    running they do nothing. After each of them `start` brings the part back, on the same port and with its data.
    """

    @property
    def name(self) -> PartName: ...

    def start(self) -> None:
        """Start it if it is not running, and wait until it answers.

        Raises:
            StackError: it ended or did not answer in time; its last words are in the message.
        """
        ...

    def stop(self, *, clean: bool = True) -> None:
        """End it and wait until it is gone.

        Args:
            clean: False is Postgres's immediate mode (no checkpoint, so the next start recovers). The broker has no
                such mode and is killed.
        """
        ...

    def kill(self) -> None:
        """``kill -9``, for all its processes at once; returns when they are gone."""
        ...

    def pause(self) -> None:
        """``SIGSTOP``, for all its processes: connections stay open and nothing answers."""
        ...

    def resume(self) -> None:
        """``SIGCONT``."""
        ...

    def status(self) -> PartStatus:
        """Never raises for a part that is not there."""
        ...


class Stack(Protocol):
    """A broker and a database that belong together, with their state in one folder.

    A second object over the same folder, in this process or another, is the same stack.
    """

    @property
    def source(self) -> Source: ...

    @property
    def addresses(self) -> Addresses:
        """Valid from the first `start` on; they stay the same until the next `start` of the whole stack.

        Raises:
            StackError: nothing was started here yet.
        """
        ...

    @property
    def kafka(self) -> Part: ...

    @property
    def postgres(self) -> Part: ...

    def prepare(self, progress: Progress) -> None:
        """Fetch what is not on this machine yet; nothing is started. At once when everything is there.

        Raises:
            StackError: something cannot be had; nothing half fetched is ever used.
        """
        ...

    def start(self, progress: Progress) -> tuple[PartName, ...]:
        """`prepare`, then start what is not running; returns which parts that was. Data of earlier starts is kept.

        Raises:
            StackError: a part did not come up.
        """
        ...

    def stop(self, *, wipe: bool = False) -> tuple[PartName, ...]:
        """End what this stack started, cleanly; returns which parts that was.

        Args:
            wipe: also remove data, logs and ports, so that the next `start` begins with nothing.
        """
        ...

    def status(self) -> StackStatus:
        """What is true now. Each part is asked; a few seconds at most."""
        ...
