"""The write lock: fair among threads, held against other processes, bounded in time."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runfold_events.contract.errors import Unavailable
from runfold_events.stores.sqlite.lock import LOCK_SUFFIX, THREAD_NAME, FairMutex, FileLock, ProcessLock

SHORT_S = 0.05
LONG_S = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def rival(path: Path) -> Iterator[int]:
    """A descriptor of the lock file as another process would have it; it has the lock."""
    rival = os.open(f"{path}{LOCK_SUFFIX}", os.O_RDWR | os.O_CREAT)
    fcntl.flock(rival, fcntl.LOCK_EX)
    yield rival
    os.close(rival)


def test_threads_are_served_in_the_order_they_came() -> None:
    mutex, order = FairMutex(), list[int]()
    assert mutex.acquire(0)

    def take(number: int) -> None:
        assert mutex.acquire(LONG_S)
        order.append(number)
        mutex.release()

    threads: list[threading.Thread] = []
    for number in range(8):
        thread = threading.Thread(target=take, args=(number,))
        thread.start()
        while mutex.waiting <= number:
            pass
        threads.append(thread)
    mutex.release()
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_a_mutex_that_is_given_up_is_not_handed_over() -> None:
    mutex = FairMutex()
    assert mutex.acquire(0)
    assert not mutex.acquire(SHORT_S)
    mutex.release()
    assert mutex.acquire(0)


@pytest.mark.parametrize("kind", ["file", "process"])
def test_a_thread_cannot_wait_for_itself(path: Path, kind: str) -> None:
    lock = FileLock(path) if kind == "file" else ProcessLock("memory")
    with lock.acquire(SHORT_S):
        assert lock.is_mine
        with pytest.raises(RuntimeError, match="already has a transaction"):
            lock.acquire(SHORT_S)
    lock.acquire(SHORT_S).release()


def test_another_thread_gives_up_in_time(path: Path) -> None:
    errors: list[BaseException] = []

    def try_it() -> None:
        try:
            FileLock(path).acquire(SHORT_S)
        except Unavailable as error:
            errors.append(error)

    with FileLock(path).acquire(SHORT_S):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert str(path) in str(errors[0])


def test_releasing_twice_is_fine(path: Path) -> None:
    lock = FileLock(path)
    held = lock.acquire(SHORT_S)
    held.release()
    held.release()
    with lock.acquire(SHORT_S):
        held.release()
        assert lock.is_mine


def test_all_locks_of_a_path_are_one(path: Path) -> None:
    path.parent.joinpath("link").symlink_to(path.parent, target_is_directory=True)
    with FileLock(path).acquire(SHORT_S):
        assert FileLock(path.parent / "link" / path.name).is_mine


def test_another_process_keeps_us_out(path: Path, rival: int) -> None:
    lock = FileLock(path)
    with pytest.raises(Unavailable) as caught:
        lock.acquire(SHORT_S)
    assert caught.value.retry_after > 0
    fcntl.flock(rival, fcntl.LOCK_UN)
    with lock.acquire(LONG_S):
        assert lock.is_mine


def test_we_keep_another_process_out(path: Path, rival: int) -> None:
    fcntl.flock(rival, fcntl.LOCK_UN)
    with FileLock(path).acquire(SHORT_S), pytest.raises(BlockingIOError):
        fcntl.flock(rival, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(rival, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_waiting_ends_when_the_other_process_lets_go(path: Path, rival: int) -> None:
    taken = threading.Event()

    def take() -> None:
        with FileLock(path).acquire(LONG_S):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.wait(SHORT_S)
    fcntl.flock(rival, fcntl.LOCK_UN)
    thread.join()
    assert taken.is_set()


def test_a_request_that_was_given_up_gives_the_lock_back(path: Path, rival: int) -> None:
    with pytest.raises(Unavailable):
        FileLock(path).acquire(SHORT_S)
    fcntl.flock(rival, fcntl.LOCK_UN)
    fcntl.flock(
        rival, fcntl.LOCK_EX
    )  # waits until the abandoned request has had its turn, and for ever if it keeps it


def test_a_request_that_was_given_up_is_taken_over_by_the_next(path: Path, rival: int) -> None:
    lock = FileLock(path)
    for _ in range(3):
        with pytest.raises(Unavailable):
            lock.acquire(SHORT_S)
    waiting = [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]
    assert len(waiting) == 1
    fcntl.flock(rival, fcntl.LOCK_UN)
    lock.acquire(LONG_S).release()


def test_a_lock_is_waited_for_where_no_thread_can_start(
    path: Path, rival: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is in the exit handlers of Python 3.12, by which a program delivers its last values."""
    with monkeypatch.context() as ending:
        ending.setattr(threading.Thread, "start", refuse_to_start)
        with pytest.raises(Unavailable):
            FileLock(path).acquire(SHORT_S)
    letting_go = threading.Timer(SHORT_S, fcntl.flock, (rival, fcntl.LOCK_UN))
    letting_go.start()
    monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
    with FileLock(path).acquire(LONG_S), pytest.raises(BlockingIOError):
        fcntl.flock(rival, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(rival, fcntl.LOCK_EX | fcntl.LOCK_NB)
    letting_go.join()


def refuse_to_start(thread: threading.Thread) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


def test_a_lock_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot open the lock file"):
        FileLock(tmp_path / "missing" / "ledger.db").acquire(SHORT_S)
