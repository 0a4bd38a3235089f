"""Files that grow while a script runs, sent to the run's live logs as they grow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runfold_events.contract.errors import RunfoldError, Unauthorized, Unavailable
from runfold_services.agent.plain_files import LeftOut, inside, open_plain, plain_files
from runfold_services.agent.ports import AgentRuns

CHUNK_BYTES: Final = 256 * 1024
CHUNKS_PER_TURN: Final = 16  # of one log, so that the others have their turn
FILES_MAX: Final = 1_000  # watched at once
NOT_OF_A_FILE: Final = (Unavailable, Unauthorized)  # of all files alike; they may go when this has passed


class LogStream:
    """One file and the live log that it is sent to.

    A file that is emptied and written anew goes on behind what was sent already, so that a log only ever grows.
    """

    def __init__(self, runs: AgentRuns, run_id: str, path: str, file: Path, sent: int = 0) -> None:
        self.path = path
        self._runs = runs
        self._run_id = run_id
        self._file = file
        self._sent = sent  # the log's end
        self._read = 0  # how much of the file that is

    def pump(self, chunks_max: int = CHUNKS_PER_TURN) -> bool:
        """Send what is new, at most so many chunks of it; whether there was anything.

        Raises:
            Unavailable: no answer came; the same bytes go again with the next call.
            RunfoldError: they cannot be sent.
        """
        file = open_plain(self._file)
        if file is None:
            return False
        with file:
            if os.fstat(file.fileno()).st_size < self._read:
                self._read = 0
            file.seek(self._read)
            for turn in range(chunks_max):
                data = file.read(CHUNK_BYTES)
                if not data:
                    return turn > 0
                self._sent = self._runs.append_log(self._run_id, self.path, self._sent, data)
                self._read += len(data)
        return True

    @property
    def is_empty(self) -> bool:
        """Nothing was ever sent."""
        return self._sent == 0


class WatchedFolders:
    """The files of some folders of a working copy, each as a live log of its path; ``left_out`` hears of others."""

    def __init__(
        self, runs: AgentRuns, run_id: str, work: Path, names: tuple[str, ...], left_out: LeftOut
    ) -> None:
        self._runs = runs
        self._run_id = run_id
        self._work = work
        self._names = tuple(name for name in map(inside, names) if name is not None)
        self._left_out = left_out
        self._streams: dict[str, LogStream] = {}
        self._given_up: set[str] = set()

    def pump(self) -> bool:
        """Send what is new in all of them; whether there was anything. Raises like :meth:`LogStream.pump`."""
        was_something = False
        for path, file in self._files():
            if path in self._given_up:
                continue
            if path not in self._streams and len(self._streams) >= FILES_MAX:
                self._give_up(path, f"more than {FILES_MAX} files are not watched")
                continue
            try:
                was_something = self._pump(path, file) or was_something
            except NOT_OF_A_FILE:
                raise
            except (
                RunfoldError,
                OSError,
            ) as error:  # this file's own: a name that cannot be, a limit, a bad sector
                self._give_up(path, getattr(error, "message", str(error)))
        return was_something

    def _pump(self, path: str, file: Path) -> bool:
        stream = self._streams.get(path)
        if stream is None:
            sent = self._runs.log_size(self._run_id, path)
            stream = self._streams[path] = LogStream(self._runs, self._run_id, path, file, sent)
        return stream.pump()

    def _give_up(self, path: str, why: str) -> None:
        self._given_up.add(path)
        self._left_out(path, why)

    def paths(self) -> list[str]:
        """Paths of the logs with something in them."""
        return [path for path, stream in self._streams.items() if not stream.is_empty]

    def _files(self) -> Iterator[tuple[str, Path]]:
        for name in self._names:
            yield from plain_files(self._work, name, self._left_out, follow=False)
