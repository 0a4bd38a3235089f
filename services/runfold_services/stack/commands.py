"""``runfold stack up|status|down``: what they do, without how it is shown."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from msgspec import Struct

from runfold_services.stack.opening import find_stack, open_stack
from runfold_services.stack.port import Addresses, PartName, Progress, StackStatus
from runfold_services.stack.settings import StackSettings, settings_from_environment


class Up(Struct, frozen=True, kw_only=True):
    """What ``up`` did.

    Attributes:
        started: the parts it started; none when all were up.
        seconds: how long it took, with what had to be fetched.
        following: the command to go on with.
    """

    status: StackStatus
    addresses: Addresses
    started: tuple[PartName, ...]
    seconds: float
    following: str


class Down(Struct, frozen=True, kw_only=True):
    """What ``down`` did."""

    status: StackStatus
    stopped: tuple[PartName, ...]
    wiped: bool


def stack_folder(home: Path) -> Path:
    """Where the one stack of a home is."""
    return home / "stack"


def up(home: Path, *, progress: Progress | None = None, settings: StackSettings | None = None) -> Up:
    """Start what is not running and wait until both parts answer; they outlive this process.

    Raises:
        StackError: it cannot be had or does not come up; what came up stays.
        Invalid: the environment asks for what there is not.
    """
    tell = progress or _say_nothing
    began = time.monotonic()
    stack = open_stack(stack_folder(home), settings or settings_from_environment(), tell)
    started = stack.start(tell)
    return Up(
        status=stack.status(),
        addresses=stack.addresses,
        started=started,
        seconds=round(time.monotonic() - began, 2),
        following=following_command(stack.addresses),
    )


def status(home: Path, *, settings: StackSettings | None = None) -> StackStatus:
    """What is true now; nothing is started or changed."""
    folder = stack_folder(home)
    stack = find_stack(folder, settings or settings_from_environment())
    return StackStatus(state="absent", folder=str(folder.absolute())) if stack is None else stack.status()


def down(home: Path, *, wipe: bool = False, settings: StackSettings | None = None) -> Down:
    """End what ``up`` started, and nothing else; data and logs stay unless ``wipe``."""
    settings = settings or settings_from_environment()
    stack = find_stack(stack_folder(home), settings)
    stopped = () if stack is None else stack.stop(wipe=wipe)
    return Down(status=status(home, settings=settings), stopped=stopped, wiped=wipe and stack is not None)


def following_command(addresses: Addresses) -> str:
    return f"runfold up --kafka {shlex.quote(addresses.kafka)} --postgres {shlex.quote(addresses.postgres)}"


def _say_nothing(what: str, done: int = 0, total: int = 0) -> None:
    """For callers that show no progress."""
