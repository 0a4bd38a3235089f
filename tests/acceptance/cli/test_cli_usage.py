"""``runfold usage``, over both transports."""

from __future__ import annotations

from runfold import Experiment, Workspace
from tests.support.command_line import Cli


def test_usage_counts_all_runs_of_a_workspace(
    fresh: Workspace, fresh_cli: Cli, place: tuple[str, ...]
) -> None:
    with Experiment(fresh, "e").start_logging() as run:
        run.create_children(2)

    usage = fresh_cli("usage", "-o", "json").json
    assert (usage["workspace"], usage["runs"]) == (fresh.name, 3)
    served = place[0] == "--url"
    assert [meter["name"] for meter in usage["meters"]] == (
        ["commands", "points", "file_bytes"] if served else []
    )
    assert fresh.usage().runs == 3
    shown = "\n".join(fresh_cli("usage", "-o", "table").lines)
    assert "3 runs" in shown
    assert ("no bound" in shown) == served
    assert ("they are a server's" in shown) == (not served)
