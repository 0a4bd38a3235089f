"""Code blocks of the documentation, and what it takes to run them as a reader would."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from tests.support.repository import script

_BLOCK: Final = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK: Final = "--runfold-docs-mark--"
PAGE_S_MAX: Final = 90
PORT_IN_DOCS: Final = "8765"
ANYTHING: Final = "…"


class Block(Struct, frozen=True):
    """One fenced block: its language, the line it begins on, and what is in it."""

    page: Path
    line: int
    language: str
    text: str


class Command(Struct, frozen=True):
    """One ``$`` line of a console block and the output shown under it."""

    line: int
    text: str
    shown: tuple[str, ...]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[3])
        for match in _BLOCK.finditer(text)
    ]


def commands(block: Block) -> list[Command]:
    """The commands of a console block; a line that begins with ``> `` continues the one before."""
    found: list[tuple[int, list[str], list[str]]] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            found.append((number, [line[2:]], []))
        elif line.startswith("> ") and found and not found[-1][2]:
            found[-1][1].append(line[2:])
        elif found:
            found[-1][2].append(line)
    return [Command(line, "\n".join(text), tuple(shown)) for line, text, shown in found]


def commands_under(page: Path, heading: str) -> list[str]:
    """The commands of ``runfold`` in the blocks of one section, indented or not."""
    text = page.read_text("utf-8")
    begin = text.index(f"\n## {heading}\n")
    following = text.find("\n## ", begin + 1)
    section = text[begin : following if following > 0 else len(text)]
    found = [line.strip() for line in section.splitlines()]
    return [line for line in found if re.match(r"(RUNFOLD\w+=\w+ )?runfold ", line)]


def matches(shown: tuple[str, ...], output: str) -> bool:
    """True when ``output`` is what is shown; ``…`` in a line stands for any text, alone for any lines."""
    if not shown:
        return True
    parts: list[str] = []
    for line in shown:
        if line.strip() == ANYTHING:
            parts.append(r"(?:[^\n]*\n)*?")
        else:
            pieces = (re.escape(piece.strip()) for piece in line.rstrip().split(ANYTHING))
            # Column widths follow the data, so runs of blanks are as good as others.
            parts.append(
                r"[^\n]*?".join(re.sub(r"(?:\\ )+", r"[ ]+", piece) for piece in pieces).join(
                    ("[ ]*", r"[ ]*\n")
                )
            )
    return re.fullmatch("".join(parts), output if output.endswith("\n") else f"{output}\n") is not None


# What the pages use of curl, for machines that lack it.
_CURL: Final = """#!{python}
import argparse, sys, urllib.error, urllib.request
parser = argparse.ArgumentParser()
for name in ("-s", "-f"):
    parser.add_argument(name, action="store_true")
for name in ("url", "-X", "-d"):
    parser.add_argument(name)
parser.add_argument("-H", action="append", default=[])
given = parser.parse_args(["-s" if a == "-sf" else a for a in sys.argv[1:]] + ["-f"] * ("-sf" in sys.argv))
headers = dict(header.split(": ", 1) for header in given.H)
data = given.d.encode() if given.d else None
method = given.X or ("POST" if data else "GET")
try:
    answer = urllib.request.urlopen(urllib.request.Request(given.url, data, headers, method=method), timeout=20)
except urllib.error.HTTPError as error:
    answer = None if given.f else error
except OSError:
    answer = None
if answer is None:
    sys.exit(22)
sys.stdout.write(answer.read().decode())
"""


def reader_environment(home: Path) -> dict[str, str]:
    """What a reader has: runfold on the path, a home that is empty, a terminal that shows tables."""
    tools = home / "tools"
    if shutil.which("curl") is None and not tools.exists():
        tools.mkdir()
        (tools / "curl").write_text(_CURL.format(python=sys.executable), "utf-8")
        (tools / "curl").chmod(0o755)
    return {
        "PATH": f"{script('runfold').parent}:{os.environ['PATH']}:{tools}",
        "HOME": str(home),
        "RUNFOLD_HOME": str(home / "runfold"),
        "RUNFOLD_OUTPUT": "table",
        "COLUMNS": "200",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "PYTHONWARNINGS": "error",
    }


def run_python(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python block as a program of its own."""
    program = folder / f"line_{block.line}.py"
    program.write_text(block.text, "utf-8")
    return subprocess.run(
        [sys.executable, str(program)],
        cwd=folder,
        env=reader_environment(folder),
        capture_output=True,
        text=True,
        timeout=PAGE_S_MAX,
        check=False,
    )


def run_console(page_commands: list[Command], folder: Path) -> Iterator[tuple[Command, str, int]]:
    """Run commands in one shell, so that variables last; yields each with its output (both streams) and exit code."""
    port = str(_free_port())
    lines = ["exec 2>&1", "trap 'kill $(jobs -p) 2>/dev/null' EXIT"]
    for command in page_commands:
        lines += [command.text.replace(PORT_IN_DOCS, port), f'printf "\\n%s %s\\n" "{_MARK}" "$?"']
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=folder,
        env=reader_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PAGE_S_MAX,
        check=False,
    )
    outputs = re.split(rf"\n{_MARK} (\d+)\n", "\n" + done.stdout.replace(port, PORT_IN_DOCS))
    for index, command in enumerate(page_commands):
        if 2 * index + 1 >= len(outputs):
            raise AssertionError(f"line {command.line}: the shell ended before this command\n{done.stdout}")
        yield command, outputs[2 * index].removeprefix("\n"), int(outputs[2 * index + 1])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
