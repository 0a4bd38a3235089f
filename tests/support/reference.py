"""Pages that are rendered from code: ``python -m tests.support.reference`` writes them, a test compares them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import click
from msgspec import Struct

from runfold.cli.commands.root import root
from runfold.cli.exits import MEANINGS
from runfold_events.contract.statuses import ADVANCE_TARGETS, TERMINAL, Status
from runfold_events.rules.table import ALLOWED, Row, Verdict
from runfold_services.metrics import DECLARED
from tests.support.contract_files import write_contract_files
from tests.support.integration_tables import integration_part
from tests.support.repository import ROOT

BEGIN: Final = "<!-- rendered: ./dev test checks it; python -m tests.support.reference writes it -->"
END: Final = "<!-- end of the rendered part -->"
_WIDTH: Final = 100
_MEANINGS: Final = {
    Status.NOT_STARTED: "The record exists; nothing happened yet",
    Status.UNAPPROVED: "Waits for somebody's approval",
    Status.PAUSING: "Is about to pause",
    Status.PAUSED: "Pauses",
    Status.STARTING: "An agent has taken the submission",
    Status.PROVISIONING: "Compute is being created",
    Status.PREPARING: "The environment is being built",
    Status.QUEUED: "Waits for compute",
    Status.RUNNING: "The user's code runs",
    Status.NOT_RESPONDING: "The lease of its last holder ended; goes back to the status before when a holder speaks",
    Status.CANCEL_REQUESTED: "Somebody asked for the end; the holder has not ended it yet",
    Status.FINALIZING: "The user's code ended; files are being stored",
    Status.CANCELED: "Ended: canceled",
    Status.COMPLETED: "Ended: well",
    Status.FAILED: "Ended: with an error",
}


def statuses_part() -> str:
    """The fifteen statuses and the table of what is allowed in which."""
    lines = ["## The fifteen statuses", "", "| status | meaning | set by |", "|---|---|---|"]
    for status in Status:
        lines.append(f"| {status} | {_MEANINGS[status]} | {_set_by(status)} |")
    lines += ["", "## What is allowed when", ""]
    lines += ["| command | allowed in | changes nothing in | refused: `run_ended` | refused: `conflict` |"]
    lines += ["|---|---|---|---|---|"]
    for command, row in ALLOWED.items():
        name = str(cast("type[Struct]", command).__struct_config__.tag)
        cells = [
            _where(row, verdict) for verdict in (Verdict.TAKE, Verdict.SAME, Verdict.ENDED, Verdict.CONFLICT)
        ]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _where(row: Row, verdict: Verdict) -> str:
    """The statuses with this verdict, in as few words as say it."""
    there = [status for status in Status if row[status] is verdict]
    if len(there) == len(Status):
        return "every status"
    active = [status for status in Status if status not in TERMINAL]
    ends = [status for status in there if status in TERMINAL]
    if len(there) - len(ends) == len(active):
        return "every status before the end" + "".join(f", {status}" for status in ends)
    if len(there) > len(Status) // 2:
        missing = [status for status in active if status not in there]
        return f"every status before the end but {', '.join(missing)}" + "".join(
            f"; {status}" for status in ends
        )
    return ", ".join(there) if there else "-"


def _set_by(status: Status) -> str:
    if status in ADVANCE_TARGETS:
        return "`run.advance`"
    others = {
        Status.NOT_STARTED: "`run.create`",
        Status.RUNNING: "`run.create` with start, `run.start`, `run.mark_found`",
        Status.NOT_RESPONDING: "`run.mark_lost`",
        Status.CANCEL_REQUESTED: "`run.request_cancel` while a live process holds the run",
        Status.CANCELED: "`run.cancel`, `run.request_cancel` without a live holder, `run.mark_lost` after a request",
        Status.COMPLETED: "`run.complete`",
        Status.FAILED: "`run.fail`",
    }
    return others[status]


def cli_part() -> str:
    """Every command's help, and the exit codes."""
    lines = ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items()]
    for path, command in _commands("runfold", root):
        settings: dict[str, Any] = {
            **command.context_settings,
            "max_content_width": _WIDTH,
            "terminal_width": _WIDTH,
        }
        with click.Context(command, info_name=path, **settings) as context:
            text = command.get_help(context)
        if command is not root:  # the same everywhere: told once
            text = re.sub(
                r"\nGlobal options, on every command:\n.*?(?:\n(?=\n)|$)", "", text, flags=re.DOTALL
            )
        lines += ["", f"## {path}", "", "```text", text.rstrip(), "```"]
    return "\n".join(lines)


def _commands(path: str, command: click.Command) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        for name in command.commands:
            found += _commands(f"{path} {name}", command.commands[name])
    return found


def metrics_part() -> str:
    """Every metric of every role."""
    lines = ["| metric | kind | unit | by | meaning |", "|---|---|---|---|---|"]
    for of in DECLARED:
        labels = ", ".join(of.labels) or "-"
        lines.append(f"| `{of.full_name}` | {of.kind} | {of.unit} | {labels} | {of.meaning} |")
    return "\n".join(lines)


PAGES: Final[dict[Path, Callable[[], str]]] = {
    ROOT / "docs" / "statuses.md": statuses_part,
    ROOT / "docs" / "cli.md": cli_part,
    ROOT / "docs" / "operating.md": metrics_part,
    ROOT / "docs" / "integration.md": integration_part,
}


def with_part(text: str, part: str) -> str:
    """``text`` with its rendered part replaced."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{part}\n\n{END}", text)


def main() -> int:
    """Write the rendered parts, and the documents of the contract."""
    write_contract_files()
    for page, part in PAGES.items():
        page.write_text(with_part(page.read_text("utf-8"), part()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
