"""A large file passes through program and server in pieces: neither holds it in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.server_process import ServerProcess

FILE_BYTES: Final = 512 * 1024 * 1024
GROWTH_BYTES_MAX: Final = 80 * 1024 * 1024

PROGRAM: Final = """
import resource, sys
from pathlib import Path
from runfold import Experiment, Workspace

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
run = Experiment(Workspace(url=sys.argv[2] or None), "large").start_logging()
run.upload_file("small", __import__("io").BytesIO(b"x"))
run.download_file("small", sys.argv[1] + ".small")
before = peak()
run.upload_file("large", sys.argv[1])
run.download_file("large", sys.argv[1] + ".copy")
run.complete()
assert Path(sys.argv[1] + ".copy").stat().st_size == Path(sys.argv[1]).stat().st_size
print(peak() - before)
"""


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had; 0 where the system does not say."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("form", ["embedded", "http"])
def test_memory_is_bounded(form: str, tmp_path: Path, own_home: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(FILE_BYTES)  # sparse: reading it costs no disk
    if form == "embedded":
        assert grown(large, "") < GROWTH_BYTES_MAX
        return
    with ServerProcess(own_home) as server:
        url, pid = server.ready(), server.process.pid
        before = peak_bytes(pid)
        assert grown(large, url) < GROWTH_BYTES_MAX
        assert peak_bytes(pid) - before < GROWTH_BYTES_MAX


def grown(large: Path, url: str) -> int:
    """By how much the program's memory grew while it uploaded and downloaded the file."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(large), url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])
