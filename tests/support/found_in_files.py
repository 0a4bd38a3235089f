"""Looking for words in all files of a folder, a ledger's among them, which this very process may have open."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# By a process of its own: closing a file gives up all locks that this process has on it, SQLite's too, and then another
# process may take the log away from under us (https://sqlite.org/howtocorrupt.html, section 2.2).
_LOOK: Final = """
import json, pathlib, sys
folder, words = json.load(sys.stdin)
data = [path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()]
print(json.dumps([word for word in words if any(word.encode() in one for one in data)]))
"""


def found_in_files(folder: Path, words: Iterable[str]) -> set[str]:
    """Which of ``words`` stand in any file below ``folder``, in whatever encoding keeps ASCII as it is."""
    asked = json.dumps([str(folder), sorted(words)])
    done = subprocess.run(
        [sys.executable, "-c", _LOOK], input=asked, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))
