"""What the sweep came to, read back: shown by the command line, checked through the SDK."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text
from sweep_training import Plan
from sweep_worker import DIGEST

from runfold import Run
from runfold_projections.model import RunView

BEST: Final = 8
REFUSED: Final = "run.command_rejected"
_OUTCOMES: Final = {
    "regular": "Completed",
    "overwrites": "Completed",
    "diverges": "Failed",
    "endless": "Canceled",
}


def runfold() -> str:
    """The command as one types it here."""
    script = Path(sys.executable).parent / "runfold"
    return os.path.relpath(script) if script.is_relative_to(Path.cwd()) else str(script)


def show(console: Console, title: str, arguments: list[str]) -> bool:
    """Run ``runfold ARGUMENTS`` and let it print: what follows is read from the views by another process.

    ``arguments`` say everything, ``--home`` included, so that the command that is shown works wherever it is typed.
    """
    console.print()
    console.print(Text(title, style="bold underline"))
    shown = " ".join(_quoted(argument) for argument in arguments)
    console.print(Text(f"$ {runfold()} {shown}", style="dim"), soft_wrap=True)
    sys.stdout.flush()
    width = os.environ.get("COLUMNS") or str(shutil.get_terminal_size((100, 24)).columns)
    environment = {**os.environ, "RUNFOLD_OUTPUT": "table", "COLUMNS": width}
    done = subprocess.run(
        [sys.executable, "-m", "runfold.cli.main", *arguments], env=environment, check=False
    )
    return done.returncode == 0


def _quoted(argument: str) -> str:
    return f"'{argument}'" if set(argument) & set(" <>|&;()$") else argument


def tell(console: Console, parent: Run, children: list[RunView], place: list[str]) -> bool:
    """Print the whole story; False when the command line could not."""
    sweep = parent.id
    fields = "metrics.val_accuracy.max,name,metrics.val_loss.min"
    best = [
        "--status",
        "Completed",
        "--order-by=-metrics.val_accuracy.max",
        "--last",
        str(BEST),
        "--fields",
        fields,
    ]
    not_completed = ["--filter", 'status != "Completed"', "--query", _WHY]
    curves = ["--name", "train_loss", "--name", "val_loss", "--plot"]
    chapters = [
        ("The best children", ["run", "list", "--parent", sweep, *best]),
        ("The children that did not complete", ["run", "list", "--parent", sweep, *not_completed]),
        ("The sweep, with its children by status", ["run", "show", sweep]),
        ("The best child's curve", ["run", "metrics", best_of(children).run_id, *curves]),
        (
            "The audit trail of the child that tried to overwrite a property",
            ["run", "history", _of_role(children, "overwrites").run_id],
        ),
    ]
    shown = [show(console, title, [*arguments, *place]) for title, arguments in chapters]
    return all(shown)


_WHY: Final = "[].{run: run_id, status: status, why: error.message || cancel_reason}"


def further(console: Console, parent: Run, best: RunView, place: list[str]) -> None:
    """Commands to look further."""
    command = runfold()
    lines = [
        (f"{command} run children {parent.id} --tree", "the whole sweep as a tree"),
        (
            f"{command} run list --filter 'params.lr >= 0.003 and metrics.val_loss < 0.2' --include-children",
            "query it",
        ),
        (f"{command} run show {best.run_id} -o json", "the best child, for programs"),
        (f"{command} ledger check", "prove that nothing was changed"),
        (f"{command} up", "serve all of it over HTTP"),
    ]
    console.print()
    console.print(Text("Look further", style="bold underline"))
    for line, what in lines:
        console.print(Text.assemble((f"# {what}\n", "dim"), " ".join([line, *place])), soft_wrap=True)


def best_of(children: list[RunView]) -> RunView:
    """The completed child with the greatest accuracy on data it has not seen."""
    completed = [child for child in children if child.status == "Completed"]
    return max(completed, key=lambda child: child.metrics["val_accuracy"].max or 0.0)


def _of_role(children: list[RunView], role: str) -> RunView:
    return next(child for child in children if child.tags.get("role") == role)


def problems(parent: Run, plans: list[Plan], digest: str) -> list[str]:
    """What was read back and is not as it was done; empty when all is right."""
    children = [child.summary() for child in parent.get_children()]
    found = [*_wrong_statuses(parent, children, plans), *_wrong_metrics(children, plans)]
    if len(children) == len(plans):
        found += _wrong_failure(_of_role(children, "diverges")) + _wrong_refusal(parent, children, digest)
    return found


def _wrong_statuses(parent: Run, children: list[RunView], plans: list[Plan]) -> list[str]:
    expected = Counter(_OUTCOMES[plan.role] for plan in plans)
    listed = Counter(str(child.status) for child in children)
    counted = Counter({str(status): count for status, count in parent.child_counts().direct.items()})
    found = (
        [f"children by status are {dict(listed)}, expected {dict(expected)}"] if listed != expected else []
    )
    if counted != listed:
        found.append(f"the roll-up says {dict(counted)}, the list {dict(listed)}")
    if parent.get_status() != "Completed":
        found.append(f"the sweep is {parent.get_status()}, expected Completed")
    return found


def _wrong_metrics(children: list[RunView], plans: list[Plan]) -> list[str]:
    epochs = {plan.name: plan.epochs for plan in plans if _OUTCOMES[plan.role] == "Completed"}
    found: list[str] = []
    for child in children:
        wanted = epochs.get((child.name or "").rpartition(">")[2])
        for name in ("train_loss", "val_loss", "val_accuracy"):
            count = child.metrics[name].count if name in child.metrics else 0
            if wanted is not None and count != wanted:
                found.append(f"{child.name} has {count} values of {name}, expected {wanted}")
    return found


def _wrong_failure(child: RunView) -> list[str]:
    message = (child.error.message or "") if child.error is not None else ""
    return [] if "ValueError" in message else [f"the failed child tells {message!r}, expected its ValueError"]


def _wrong_refusal(parent: Run, children: list[RunView], digest: str) -> list[str]:
    child = _of_role(children, "overwrites")
    refusals = [entry for entry in Run(parent.experiment, child.run_id).history() if entry.type == REFUSED]
    facts = [(entry.body or {}).get("facts", {}) for entry in refusals]
    found: list[str] = []
    if child.properties.get(DIGEST) != digest:
        found.append(f"the property {DIGEST} is {child.properties.get(DIGEST)!r}, expected {digest!r}")
    if [(fact.get("current"), fact.get("attempted")) for fact in facts] != [(digest, "0" * 64)]:
        found.append(f"the audit trail has {len(refusals)} refusals, expected one with both values")
    return found
