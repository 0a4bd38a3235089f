"""What every kind of stack has in common: one plan, two parts, one at a time who changes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final, Protocol

from runfold_services.stack.folders import Folder, Plan
from runfold_services.stack.port import (
    Addresses,
    Part,
    PartName,
    PartStatus,
    Progress,
    Source,
    StackError,
    StackStatus,
    State,
)
from runfold_services.stack.postgres import dsn
from runfold_services.stack.settings import StackSettings


class OwnPart(Part, Protocol):
    """A part as the stack that owns it sees it."""

    def is_running(self) -> bool:
        """Without asking it: its process or container is there."""
        ...

    def remove(self) -> None:
        """Remove what is left of it outside the stack's folder; it is not running."""
        ...


class StackInFolder(ABC):
    """`Stack`, but for how its parts are made."""

    kind: ClassVar[Source]

    def __init__(self, folder: Folder, settings: StackSettings) -> None:
        self.folder: Final = folder
        self.settings: Final = settings

    @property
    def source(self) -> Source:
        return self.kind

    @property
    def addresses(self) -> Addresses:
        plan = self.plan()
        return Addresses(kafka=f"{plan.host}:{plan.kafka_port}", postgres=dsn(plan))

    @property
    @abstractmethod
    def kafka(self) -> OwnPart: ...

    @property
    @abstractmethod
    def postgres(self) -> OwnPart: ...

    @abstractmethod
    def prepare(self, progress: Progress) -> None: ...

    @abstractmethod
    def make_plan(self, before: Plan | None) -> Plan:
        """The plan to start by, given the one of the last start."""

    def start(self, progress: Progress) -> tuple[PartName, ...]:
        self.prepare(progress)
        with self.folder.locked():
            self.folder.keep_plan(self.make_plan(self.folder.plan()))
            parts = (self.kafka, self.postgres)
            down: tuple[PartName, ...] = tuple(part.name for part in parts if not part.is_running())
            if down:
                progress(f"starting {' and '.join(down)}")
            # Both, also where one only has to be waited for. At the same time: neither needs the other.
            with ThreadPoolExecutor(len(parts), thread_name_prefix="start") as pool:
                for starting in [pool.submit(part.start) for part in parts]:
                    starting.result()
        return down

    def stop(self, *, wipe: bool = False) -> tuple[PartName, ...]:
        with self.folder.locked():
            parts = [self.kafka, self.postgres] if self.folder.plan() is not None else []
            running = [part for part in parts if part.is_running()]
            if running:
                with ThreadPoolExecutor(len(running), thread_name_prefix="stop") as pool:
                    for stopping in [pool.submit(part.stop) for part in running]:
                        stopping.result()
            if wipe:
                for part in parts:
                    part.remove()
                self.folder.wipe()
        return tuple(part.name for part in running)

    def status(self) -> StackStatus:
        if self.folder.plan() is None:
            return StackStatus(state="absent", folder=str(self.folder.path))
        with ThreadPoolExecutor(2, thread_name_prefix="ask") as pool:
            asked = [pool.submit(part.status) for part in (self.kafka, self.postgres)]
            parts = tuple(answer.result() for answer in asked)
        return StackStatus(
            state=overall(parts),
            folder=str(self.folder.path),
            source=self.source,
            addresses=self.addresses,
            parts=parts,
        )

    def plan(self) -> Plan:
        plan = self.folder.plan()
        if plan is None:
            raise StackError(f"nothing was started in {self.folder.path} yet: runfold stack up")
        return plan


def overall(parts: tuple[PartStatus, ...]) -> State:
    """From what is true of the parts to what is true of the stack."""
    if all(part.answers for part in parts):
        return "up"
    return "partly up" if any(part.running or part.answers for part in parts) else "down"
