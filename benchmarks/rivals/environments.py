"""Each rival in an environment of its own, so that neither its versions nor ours are anybody else's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = Path(__file__).resolve().parent
UV: Final = ROOT / ".dev" / "uv" / "bin" / "uv"
INSTALL_S_MAX: Final = 900.0
_MADE_FROM: Final = "made-from.lock"


def environment(name: str) -> Path:
    """The folder of the environment that ``NAME.lock`` describes; made at the first call, and when the lock changes."""
    lock, folder = LOCKS / f"{name}.lock", ROOT / ".dev" / "rivals" / name
    if _is_made_from(folder, lock):
        return folder
    _uv("venv", "--clear", "--no-project", "--python", sys.executable, str(folder))
    _uv(
        "pip",
        "sync",
        "--compile-bytecode",
        "--python",
        str(folder / "bin" / "python"),
        "--require-hashes",
        str(lock),
    )
    shutil.copy(lock, folder / _MADE_FROM)
    return folder


def version_of(name: str) -> str:
    """The version of a rival that its lock names."""
    for line in (LOCKS / f"{name}.lock").read_text("utf-8").splitlines():
        if line.startswith(f"{name}=="):
            return line.removeprefix(f"{name}==").split()[0]
    raise RuntimeError(f"{name}.lock does not name {name}")


def _is_made_from(folder: Path, lock: Path) -> bool:
    made = folder / _MADE_FROM
    return made.exists() and made.read_bytes() == lock.read_bytes()


def _uv(*words: str) -> None:
    done = subprocess.run(
        [str(UV), "--quiet", *words], capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False
    )
    if done.returncode:
        raise RuntimeError(f"uv {words[0]} failed: {done.stderr.strip()[-2_000:]}")
