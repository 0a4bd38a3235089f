"""A part of the stack as a process of this machine: what broker and database have in common."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from runfold_services.stack import processes
from runfold_services.stack.folders import Folder, Plan
from runfold_services.stack.port import PartName, PartStatus, StackError
from runfold_services.stack.processes import Process

START_S_MAX: Final = 90.0  # on a machine that is busy with other things; 1 to 4 s on one that is not
STOP_S_MAX: Final = 20.0
_POLL_S: Final = 0.02
_LAST_WORDS_BYTES: Final = 2_000


class Server(ABC):
    """`Part` by a process. Subclasses say how it is prepared, started and asked."""

    part: ClassVar[PartName]
    clean_stop: ClassVar[signal.Signals] = signal.SIGTERM
    immediate_stop: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, folder: Folder, plan: Plan, environment: Mapping[str, str]) -> None:
        self.folder: Final = folder
        self.plan: Final = plan
        self.environment: Final = environment
        self.home: Final = folder.part(self.part)

    @property
    def name(self) -> PartName:
        return self.part

    @property
    def log(self) -> Path:
        return self.home / f"{self.part}.log"

    def start(self) -> None:
        process = self._process()
        if process is None:
            self.folder.make(self.home)
            self._prepare()
            process = processes.spawn(self._command(), log=self.log, environment=self.environment)
            self.folder.keep_process(self.part, process)
        self._wait_until_it_answers(process)

    def stop(self, *, clean: bool = True) -> None:
        process = self._process()
        if process is None:
            return
        if clean:
            processes.end(process, self.clean_stop, patience_s=STOP_S_MAX)
        elif self.immediate_stop == signal.SIGKILL:
            self.kill()
        else:
            processes.end(process, self.immediate_stop, patience_s=STOP_S_MAX)

    def kill(self) -> None:
        process = self._process()
        if process is not None:
            processes.send(process, signal.SIGKILL, family=True)
            processes.wait_until_gone(process, STOP_S_MAX)

    def pause(self) -> None:
        process = self._process()
        if process is not None:
            processes.send(process, signal.SIGSTOP, family=True)

    def resume(self) -> None:
        process = self._process()
        if process is not None:
            processes.send(process, signal.SIGCONT, family=True)

    def status(self) -> PartStatus:
        process = self._process()
        host, port = self.plan.address(self.part)
        return PartStatus(
            name=self.part,
            address=f"{host}:{port}",
            running=process is not None,
            # Something else may have taken the port of a part that is gone: only our own can answer for it.
            answers=process is not None and self._answers(),
            where="" if process is None else str(process.pid),
            log=str(self.log),
        )

    def is_running(self) -> bool:
        return self._process() is not None

    def remove(self) -> None:  # noqa: B027 - for every process alike
        """Nothing of it is outside the stack's folder."""

    def _process(self) -> Process | None:
        process = self.folder.process(self.part)
        return process if process is not None and processes.is_alive(process) else None

    def _wait_until_it_answers(self, process: Process) -> None:
        deadline = time.monotonic() + START_S_MAX
        while not self._answers():
            if not processes.is_alive(process):
                raise StackError(
                    f"{self.part} ended while it started: {self._last_words()} (all of it: {self.log})"
                )
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.part} (process {process.pid}) does not answer after {START_S_MAX:.0f} s: "
                    f"{self._last_words()} (all of it: {self.log})"
                )
            time.sleep(_POLL_S)

    def _last_words(self) -> str:
        try:
            said = self.log.read_bytes()[-_LAST_WORDS_BYTES:].decode("utf-8", errors="replace")
        except FileNotFoundError:
            return "it said nothing"
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        telling = [line for line in lines if any(word in line for word in ("ERROR", "FATAL", "Exception"))]
        return " / ".join((telling or lines)[-3:]) or "it said nothing"

    @abstractmethod
    def _prepare(self) -> None:
        """Everything that must be there before the process starts; data that is there is left alone."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...
