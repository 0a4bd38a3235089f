"""docs/moving.md: its steps with a server run against a real one, and its tables name every field."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from runfold import Experiment, Workspace, _process
from runfold_events.transfer.format import EventLine, Header, MarkLine, NumbersLine, Trailer
from runfold_services.compose.admin import as_role, prepare_ledger
from tests.support.markdown import blocks, reader_environment
from tests.support.repository import ROOT
from tests.support.stack import StackForTest

PAGE: Final = ROOT / "docs" / "moving.md"
KINDS: Final = {
    "header": Header,
    "event": EventLine,
    "run_numbers": NumbersLine,
    "writer_mark": MarkLine,
    "trailer": Trailer,
}


def test_the_steps_with_a_server_run_in_order(stack: StackForTest, tmp_path: Path) -> None:
    owner = stack.database()
    prepared = asyncio.run(prepare_ledger(owner))
    env = {
        **reader_environment(tmp_path),
        "RUNFOLD_POSTGRES": as_role(owner, prepared.service_role),
    }
    with Experiment(Workspace(home=env["RUNFOLD_HOME"]), "moving").start_logging(
        display_name="first steps"
    ) as run:
        run.log("loss", 0.5)
    _process.close_all()
    steps = "".join(block.text for block in blocks(PAGE) if block.language == "sh")
    # The laptop's own ledger is what RUNFOLD_HOME names while no server is.
    first, rest = steps.split("\n", 1)
    script = f"dsn=$RUNFOLD_POSTGRES; unset RUNFOLD_POSTGRES\n{first}\nexport RUNFOLD_POSTGRES=$dsn\n{rest}"
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert steps.count("runfold ledger import") == 2
    assert "✓ sound" in done.stdout
    assert re.search(r"✓ Completed .* first steps", done.stdout)


@pytest.mark.source_tree
@pytest.mark.parametrize("kind", KINDS)
def test_the_page_names_every_field(kind: str) -> None:
    _, table = PAGE.read_text("utf-8").split(f"**`{kind}`**\n\n")
    rows = table.partition("\n\n")[0]
    named = {name for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert named == set(KINDS[kind].__struct_fields__)
