"""How the Studio is built: from a lock without hosts, by a Node from its wheel, again only when something changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runfold_services.studio.assets import Studio
from tests.support.repository import ROOT
from tests.support.studio_types import TYPES, render

STUDIO = ROOT / "studio"
STATIC = Path("services") / "runfold_services" / "studio" / "static"

pytestmark = pytest.mark.source_tree


def test_the_lock_names_no_host_and_has_a_hash_for_every_package() -> None:
    packages = json.loads((STUDIO / "package-lock.json").read_text("utf-8"))["packages"]
    locked = {name: entry for name, entry in packages.items() if name}
    assert len(locked) > 10
    assert [name for name, entry in locked.items() if "resolved" in entry] == []
    assert [name for name, entry in locked.items() if not entry["integrity"].startswith("sha512-")] == []


def test_the_types_are_those_that_the_api_answers_with() -> None:
    assert TYPES.read_text("utf-8") == render(), "python -m tests.support.studio_types writes them anew"


def copied(tmp_path: Path) -> Path:
    """A checkout's Studio, with nothing built and no Node on the machine but what Python brings."""
    shutil.copytree(STUDIO, tmp_path / "studio", ignore=shutil.ignore_patterns("node_modules"))
    # What npm ci has fetched before is taken over, so that this test needs no registry.
    (tmp_path / "studio" / "node_modules").symlink_to(STUDIO / "node_modules")
    (tmp_path / STATIC).parent.mkdir(parents=True)
    return tmp_path


def build(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the build where nothing but the system's own small tools is on the PATH."""
    tools = checkout / "tools"
    if not tools.exists():
        tools.mkdir()
        (tools / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    environment = {**os.environ, "PATH": str(tools)}
    return subprocess.run(
        [sys.executable, str(checkout / "studio" / "build.py")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_built_without_a_node_of_the_machine_and_only_when_something_changed(tmp_path: Path) -> None:
    checkout = copied(tmp_path)
    done = build(checkout)
    assert done.returncode == 0, done.stderr
    page = checkout / STATIC / "index.html"
    first = page.stat().st_mtime_ns
    assert "the Studio is built" in done.stderr
    assert build(checkout).stderr == ""
    assert page.stat().st_mtime_ns == first
    assert [path for path in Studio(checkout / STATIC).names if path.startswith("assets/")]

    source = checkout / "studio" / "src" / "lib" / "numbers.ts"
    source.write_text(source.read_text("utf-8") + "const wrong: number = 'text';\n", "utf-8")
    broken = build(checkout)
    assert broken.returncode == 1
    assert "numbers.ts" in broken.stderr
    assert page.stat().st_mtime_ns == first  # what was built stays


def test_what_its_functions_answer() -> None:
    """Searches, columns, CSV, times and streams, by vitest: what needs no page."""
    done = subprocess.run(
        [sys.executable, str(STUDIO / "build.py"), "--npm", "run", "test"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in re.sub(r"\x1b\[\d*m", "", done.stdout)
