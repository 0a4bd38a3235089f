"""Write the golden bytes of a release: ``python -m tests.compatibility.write_goldens 0.2``

What exists is never overwritten. Where this version would write other bytes than an existing file holds, nothing is
written at all: either the change breaks what was stored, or the release needs a number of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from runfold_events.contract.schemas import command_schemas, event_schemas, reply_schema
from tests.compatibility.records import command_files, event_and_reply_files
from tests.compatibility.samples import Files, ledger_encoded, missing, sender_encoded

GOLDEN: Final = Path(__file__).parent / "golden"
SCHEMAS: Final = "schemas.json"


class Refused(Exception):
    """Existing golden files differ from what this version writes."""


def fixed_files() -> Files:
    """What this version must write as it did before."""
    return ledger_encoded() | event_and_reply_files()


def other_files() -> Files:
    """What others wrote or a later version may say otherwise: only its reading, or what it promised, is fixed."""
    return sender_encoded() | command_files() | {SCHEMAS: schemas()}


def newest() -> str:
    """The newest release that has golden bytes."""
    return max(
        (folder.name for folder in GOLDEN.iterdir()), key=lambda name: [int(n) for n in name.split(".")]
    )


def schemas() -> bytes:
    """All schemas of the contract in one document."""
    said = {"commands": command_schemas(), "events": event_schemas(), "reply": reply_schema()}
    return msgspec.json.format(msgspec.json.encode(said)) + b"\n"


def write(folder: Path) -> list[str]:
    """Write what is missing in ``folder``; returns the names written.

    Raises:
        Refused: an existing file would change; nothing is written.
    """
    if missing():
        raise Refused(f"no sample of {', '.join(missing())}: add one to samples.py")
    fixed = fixed_files()
    differing = sorted(
        name
        for name, data in fixed.items()
        if (folder / name).exists() and (folder / name).read_bytes() != data
    )
    if differing:
        raise Refused(
            f"{folder} holds other bytes for {', '.join(differing)}; golden bytes are never rewritten"
        )
    written: list[str] = []
    for name, data in sorted((fixed | other_files()).items()):
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written.append(name)
    return written


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        written = write(GOLDEN / arguments[0])
    except Refused as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(written) or "nothing was missing")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
