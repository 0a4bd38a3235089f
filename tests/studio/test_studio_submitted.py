"""A script that was submitted: its output on the page as it comes, and a button that stops it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from runfold import Experiment, ScriptRunConfig, Workspace
from tests.support.agent_process import AgentProcess
from tests.support.agent_runs import wait_for
from tests.support.browser import Visitor

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes under /proc")

SCRIPT = """\
import os, time
print("process", os.getpid(), flush=True)
for number in range(10_000):
    print("tick", number, flush=True)
    time.sleep(0.1)
"""


def test_a_submitted_script_is_watched_and_stopped(
    visitor: Visitor, studio_server: str, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    workspace = Workspace(url=studio_server)
    with AgentProcess("--url", studio_server):
        run = Experiment(workspace, "submitted").submit(ScriptRunConfig(tmp_path, "script.py"))
        page = visitor.visit(f"w/default/runs/{run.id}/logs")
        lines = page.get_by_role("log")
        expect(lines).to_contain_text("tick 3")
        process = int(page.locator(".log-line", has_text="process").inner_text().split("process ")[1])
        assert Path(f"/proc/{process}").exists()
        expect(page.locator(".status-pill")).to_have_text("Running")
        expect(lines).to_contain_text("tick 12")  # as it comes

        page.get_by_role("button", name="Cancel", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
        expect(page.locator(".status-pill")).to_have_text("Canceled")
        wait_for(lambda: not Path(f"/proc/{process}").exists())
        expect(page.locator(".log-facts")).to_contain_text("Finished")
        expect(lines).to_contain_text("tick 12")
