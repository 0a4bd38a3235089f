"""The environment in which scripts, commands and agents find the runs of a test's workspace."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from runfold import Workspace
from tests.support.agent_process import AgentProcess

IDLE_S = "20"


@contextmanager
def agent_for(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Something executes what is submitted to the workspace: over HTTP an agent, embedded one that starts by itself."""
    monkeypatch.setenv("RUNFOLD_AGENT_IDLE_S", IDLE_S)
    if workspace.location.startswith("http"):
        with AgentProcess("--url", workspace.location, workspace=workspace.name):
            yield
    else:
        monkeypatch.setenv("RUNFOLD_HOME", workspace.location)
        yield
