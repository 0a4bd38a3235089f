"""One writer at a time: a fair lock among the threads of a process and an ``flock`` among processes.

SQLite's own waiting is a busy loop that favours whoever just held the lock. Whoever writes to the file therefore takes
this lock before ``BEGIN IMMEDIATE``, so that SQLite never has to wait. Both stores in one
file, events and views, use it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Final
from weakref import WeakValueDictionary

from runfold_events.contract.errors import Unavailable
from runfold_events.stores.sqlite import forks

LOCK_SUFFIX: Final = ".lock"
THREAD_NAME: Final = "runfold-file-lock"
RETRY_AFTER_S: Final = 1.0
POLL_S: Final = 0.005  # where no thread can wait for an answer


class Held:
    """A lock that is held; leaving its ``with`` block, or :meth:`release`, gives it back."""

    __slots__ = ("_generation", "_lock")

    def __init__(self, lock: ProcessLock) -> None:
        self._lock: ProcessLock | None = lock
        self._generation = forks.generation()

    def release(self) -> None:
        """Give the lock back. Twice is fine; in a child of ``fork``, which never held it, nothing happens."""
        lock, self._lock = self._lock, None
        if lock is not None and self._generation == forks.generation():
            lock.leave()

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class FairMutex:
    """A mutual exclusion that serves waiting threads in the order they came; ``threading.Lock`` does not."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def acquire(self, timeout_s: float) -> bool:
        """True when taken within ``timeout_s``."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        came = False
        try:
            came = turn.acquire(timeout=max(0.0, timeout_s))
        finally:
            if not came:
                came = self._give_up(turn)
        return came

    def _give_up(self, turn: threading.Lock) -> bool:
        """Leave the queue; True when the turn came in the meantime, so that the mutex is held after all."""
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
            return True

    def release(self) -> None:
        """Hand over to the thread that has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False


class ProcessLock:
    """A fair lock within one process, with a time-out and a clear error. What an in-memory store needs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._mutex = FairMutex()
        self._owner: int | None = None
        forks.follow(self)

    @property
    def is_mine(self) -> bool:
        """True when the calling thread holds the lock."""
        return self._owner == threading.get_ident()

    def acquire(self, timeout_s: float) -> Held:
        """Take the lock, waiting up to ``timeout_s`` seconds.

        Raises:
            Unavailable: somebody else held it all the time.
            RuntimeError: this thread holds it already and would wait for itself.
        """
        if self.is_mine:
            raise RuntimeError(f"this thread already has a transaction open on {self.name}")
        if not self._enter(timeout_s):
            raise Unavailable(
                f"another writer held {self.name} for {timeout_s:g} s; try again",
                facts={"retry_after": RETRY_AFTER_S, "path": self.name},
            )
        self._owner = threading.get_ident()
        return Held(self)

    def leave(self) -> None:
        """Give the lock back; :class:`Held` calls this."""
        self._owner = None
        self._mutex.release()

    def _enter(self, timeout_s: float) -> bool:
        return self._mutex.acquire(timeout_s)

    def before_fork(self) -> None:
        """A thread may hold it: what counts is that nobody does in the child."""

    def after_fork(self) -> None:
        """In a child nobody holds the lock: the threads that could are not there."""
        self._mutex = FairMutex()
        self._owner = None


class FileLock:
    """The write lock of the SQLite file at ``path``, among all threads and processes: an ``flock`` on ``{path}.lock``.

    All FileLocks of one path in one process are the same lock. The lock file is never deleted: whoever has it open
    would otherwise lock something that nobody else can see.
    """

    def __init__(self, path: str | Path) -> None:
        self._gate = _gates.get(str(Path(path).resolve()))

    @property
    def is_mine(self) -> bool:
        """True when the calling thread holds the lock."""
        return self._gate.is_mine

    def acquire(self, timeout_s: float) -> Held:
        """Take the lock, waiting up to ``timeout_s`` seconds; use the result in a ``with`` statement.

        Raises:
            Unavailable: somebody else held it all the time, or the lock file cannot be opened.
            RuntimeError: this thread holds it already and would wait for itself.
        """
        return self._gate.acquire(timeout_s)


class _Gate(ProcessLock):
    """The one lock of a path in this process; only the thread that has the mutex touches the ``flock``."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._file: int | None = None
        self._request: _Request | None = None

    def leave(self) -> None:
        try:
            if self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            super().leave()

    def _enter(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        if not self._mutex.acquire(timeout_s):
            return False
        entered = False
        try:
            entered = self._lock_file(deadline)
        finally:
            if not entered:
                self._mutex.release()
        return entered

    def _lock_file(self, deadline: float) -> bool:
        if self._file is None:
            self._file = _open_lock_file(self.name + LOCK_SUFFIX)
        if self._request is None or not self._request.adopt():
            self._request = None
            if _lock_at_once(self._file):
                return True
            try:
                self._request = _Request(self._file, self)
            except RuntimeError:
                # No thread can start: Python 3.12 is so strict from its first exit handler on.
                return _poll(self._file, deadline)
        granted = False
        try:
            granted = self._request.wait(deadline - time.monotonic())
        finally:
            granted = granted or self._request.abandon()
        if granted:
            self._request = None
        return granted

    def after_fork(self) -> None:
        # The descriptor shares its lock with the parent's: unlocking here would unlock there. Closing does not.
        super().after_fork()
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._request = None

    def __del__(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)


def _lock_at_once(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _poll(file: int, deadline: float) -> bool:
    """Ask again and again: this has no place in the queue and needs no thread."""
    while not _lock_at_once(file):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return False
        time.sleep(min(POLL_S, left_s))
    return True


class _Request:
    """A blocking ``flock`` in a thread of its own: the kernel keeps the queue, and the caller can stop waiting.

    ``flock`` has no time-out, and polling it would lose the place in the queue. A request that is given up stays in the
    queue until it is adopted by the next caller or comes up, and then gives the lock back.
    """

    def __init__(self, file: int, owner: object) -> None:
        self._file = file
        self._guard = threading.Lock()
        self._wanted = True
        self._over = False
        self._granted = threading.Event()
        # The thread keeps the owner of the descriptor alive, so that nobody closes it meanwhile.
        threading.Thread(target=self._block, args=(owner,), name=THREAD_NAME, daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        return self._granted.wait(max(0.0, timeout_s))

    def adopt(self) -> bool:
        """Want it again; False when it has come up and was given back."""
        with self._guard:
            self._wanted = not self._over
            return self._wanted

    def abandon(self) -> bool:
        """Want it no longer; True when it was granted in the meantime and is held."""
        with self._guard:
            if self._granted.is_set():
                return True
            self._wanted = False
            return False

    def _block(self, owner: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        with self._guard:
            if self._wanted:
                self._granted.set()
            else:
                self._over = True
                fcntl.flock(self._file, fcntl.LOCK_UN)


class _Gates:
    """The gates of this process, by path."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._gates: WeakValueDictionary[str, _Gate] = WeakValueDictionary()
        forks.follow(self)

    def get(self, path: str) -> _Gate:
        with self._guard:
            gate = self._gates.get(path)
            if gate is None:
                gate = self._gates[path] = _Gate(path)
            return gate

    def before_fork(self) -> None:
        """Gates stay."""

    def after_fork(self) -> None:
        """Another thread of the parent may have had the guard."""
        self._guard = threading.Lock()


_gates = _Gates()


def _open_lock_file(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise Unavailable(
            f"cannot open the lock file {path}: {error.strerror}",
            facts={"retry_after": RETRY_AFTER_S, "path": path},
        ) from error
