"""What ``runfold agent`` does: an agent over this command's workspace."""

# The CLI is part of the SDK and goes where a handle has no method.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
import platform
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from runfold._agent_runs import WorkspaceRuns
from runfold._settings import load_settings
from runfold.cli.exits import Exit
from runfold_services.agent.agent import Agent, AgentSettings
from runfold_services.agent.folders import KeptBound
from runfold_services.agent.job import JobSettings
from runfold_services.agent.presence import Presence, agents_folder
from runfold_services.agent.processes import LocalExecutor
from runfold_services.settings import settings_from_environment
from runfold_services.telemetry import configure_logging

if TYPE_CHECKING:
    from runfold.cli.session import Session
    from runfold_services.agent.folders import Keep

RUNS_AT_ONCE_MIN: Final = 2


class Asked(Struct, frozen=True, kw_only=True):
    """The command's options."""

    name: str | None
    runs_at_once: int | None
    once: bool
    idle: float | None
    keep: Keep
    keep_days: float
    keep_folders: int
    folder: Path | None
    alone: bool


def execute(session: Session, asked: Asked) -> int:
    """Be an agent until told to stop, or idle for long enough."""
    workspace = session.workspace
    name = asked.name or platform.node() or "agent"
    place = agents_folder(load_settings().home if workspace._url else workspace._home, workspace.name)
    settings = settings_from_environment()  # before it says that it is there: what is wrong ends it
    configure_logging(settings.log_format, settings.log_level)
    presence = Presence(place)
    if workspace._url is None and not presence.enter(alone=asked.alone):
        session.output.note("runfold: an agent looks after this ledger already")
        return Exit.OK
    runs = WorkspaceRuns(workspace)
    agent = Agent(
        runs,
        LocalExecutor(),
        AgentSettings(
            job=JobSettings(
                root=asked.folder or place,
                agent_name=name,
                keep=asked.keep,
                kept=KeptBound(days_max=asked.keep_days, folders_max=asked.keep_folders),
                environment=dict(os.environ),
            ),
            runs_at_once=asked.runs_at_once or max(RUNS_AT_ONCE_MIN, os.cpu_count() or 1),
            idle_s_max=asked.idle,
            once=asked.once,
        ),
    )

    def told(number: int, frame: object) -> None:
        agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    session.output.note(f"runfold agent {name} ready: workspace {workspace.name!r} in {workspace.location}")
    agent.run(lambda: _nothing_waits(presence, agent, alone=asked.alone))
    return Exit.OK


def _nothing_waits(presence: Presence, agent: Agent, *, alone: bool) -> bool:
    """Give the lock up and look once more: who submitted before that saw an agent, and started none."""
    presence.leave()
    if not agent.has_work():
        return True
    return not presence.enter(alone=alone)
