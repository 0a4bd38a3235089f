"""A real hyper-parameter sweep, recorded with runfold and read back: ``./dev demo``.

Classifiers of handwritten digits are trained in several worker processes, each as a child of one parent run. One child
diverges and fails, one is canceled from outside while it runs, one tries to overwrite a property and is refused.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text
from sweep_report import best_of, further, problems, tell
from sweep_training import Plan, load, plans
from sweep_worker import COMMIT, DIGEST, work

from runfold import Experiment, Run, Workspace
from runfold.cli.render.statuses import LOOKS
from runfold_projections.model import RunView

EXPERIMENT: Final = "digits-sweep"
SWEEP_S_MAX: Final = 180.0
LOOK_EVERY_S: Final = 0.25
TELL_EVERY_S: Final = 3.0  # without a terminal: one line so often
CANCEL_AFTER_EPOCHS: Final = 10
_ENDED: Final = {"Completed", "Failed", "Canceled"}


def main() -> int:
    """Run the sweep, show it, check it; 0 only when what was read back is right."""
    options = _options()
    if options.home is not None:
        os.environ["RUNFOLD_HOME"] = str(options.home.absolute())
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    console = Console(highlight=False)
    began = time.monotonic()
    planned = plans(options.children, options.epochs)
    data = load()
    experiment = Experiment(Workspace.from_config(), EXPERIMENT)
    _greet(console, experiment, len(planned), options.workers)
    with experiment.start_logging(display_name="digits sweep", tags={"demo": "sweep"}) as parent:
        parent.add_properties({DIGEST: data.sha256, COMMIT: git_commit()})
        parent.log_params({"children": len(planned), "epochs": options.epochs, "workers": options.workers})
        Sweep(console, parent, planned, options).run()
    place = [] if options.home is None else ["--home", str(options.home)]
    return _tell(console, parent, planned, data.sha256, place, time.monotonic() - began)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev demo", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument(
        "--home", type=Path, help="where to record (default: RUNFOLD_HOME, else the user's data directory)"
    )
    parser.add_argument(
        "--children", type=_at_least(2), default=24, help="children that train to their end (default 24)"
    )
    parser.add_argument("--workers", type=_at_least(1), default=4, help="worker processes (default 4)")
    parser.add_argument("--epochs", type=_at_least(1), default=40, help="epochs of each child (default 40)")
    return parser.parse_args()


def _at_least(least: int) -> _AtLeast:
    return _AtLeast(least)


@dataclass(frozen=True)
class _AtLeast:
    least: int

    def __call__(self, text: str) -> int:
        number = int(text)
        if number < self.least:
            raise argparse.ArgumentTypeError(f"must be at least {self.least}")
        return number


def _greet(console: Console, experiment: Experiment, children: int, workers: int) -> None:
    console.print(
        Text.assemble(
            ("Training ", "bold"),
            (f"{children} classifiers of handwritten digits in {workers} processes, ", "bold"),
            f"recorded in experiment {experiment.name} under {experiment.workspace.location}",
        )
    )


class Sweep:
    """The workers, and what the views show of their children."""

    def __init__(
        self, console: Console, parent: Run, planned: list[Plan], options: argparse.Namespace
    ) -> None:
        self._console = console
        self._parent = parent
        self._planned = planned
        self._epochs: int = options.epochs
        self._context = multiprocessing.get_context("spawn")
        self._queue = self._context.Queue()
        self._workers: list[BaseProcess] = [
            self._context.Process(
                target=work, args=(parent, git_commit(), self._queue), name=f"worker-{number}"
            )
            for number in range(options.workers)
        ]
        self._cancel: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Until every worker is done; a sweep that takes too long is stopped."""
        for plan in [*self._planned, *[None] * len(self._workers)]:
            self._queue.put(plan)
        for worker in self._workers:
            worker.start()
        try:
            self._watch()
        finally:
            for worker in self._workers:
                worker.join(10)
                if worker.is_alive():
                    worker.terminate()
        broken = [worker.name for worker in self._workers if worker.exitcode]
        if broken:
            raise RuntimeError(f"{', '.join(broken)} ended with an error")

    def _watch(self) -> None:
        deadline = time.monotonic() + SWEEP_S_MAX
        told_at = time.monotonic()
        with self._bar() as bar:
            task = bar.add_task("starting", total=len(self._planned) * self._epochs)
            while True:
                is_over = not any(worker.is_alive() for worker in self._workers)
                children = self._children()
                self._cancel_endless(children)
                bar.update(task, completed=self._epochs_done(children), description=_symbols(children))
                if not self._console.is_terminal and (is_over or time.monotonic() - told_at > TELL_EVERY_S):
                    told_at = time.monotonic()
                    done = self._epochs_done(children)
                    self._console.print(
                        f"  {done} of {len(self._planned) * self._epochs} epochs: {_standing(children)}"
                    )
                if is_over:
                    return
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the sweep took longer than {SWEEP_S_MAX:g} s")
                time.sleep(LOOK_EVERY_S)

    def _bar(self) -> Progress:
        return Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def _children(self) -> list[RunView]:
        """What the views say of the children now."""
        filter = f'parent_run_id = "{self._parent.id}"'
        fields = ("status", "tags.role", "metrics.val_accuracy")
        return list(self._parent.experiment.query(filter, fields=fields, include_children=True))

    def _epochs_done(self, children: list[RunView]) -> int:
        """Of an ended child all count, whatever stopped it; of the endless one no more than of others."""
        return sum(
            self._epochs if child.status in _ENDED else min(self._epochs, _epochs_of(child))
            for child in children
        )

    def _cancel_endless(self, children: list[RunView]) -> None:
        """Have another process cancel the endless child once it has shown that it runs."""
        if self._cancel is not None:
            return
        for child in children:
            if child.tags.get("role") == "endless" and _epochs_of(child) >= CANCEL_AFTER_EPOCHS:
                reason = "it would never end by itself"
                command = [
                    sys.executable,
                    "-m",
                    "runfold.cli.main",
                    "run",
                    "cancel",
                    child.run_id,
                    "--reason",
                    reason,
                ]
                self._cancel = subprocess.Popen([*command, "-q", "-o", "none"], text=True)


def _epochs_of(child: RunView) -> int:
    return child.metrics["val_accuracy"].count if "val_accuracy" in child.metrics else 0


def _standing(children: list[RunView]) -> str:
    counts = Counter(str(child.status) for child in children)
    return ", ".join(f"{count} {status}" for status, count in counts.most_common())


def _symbols(children: list[RunView]) -> str:
    counts = Counter(child.status for child in children)
    return " ".join(f"{LOOKS[status].symbol}{counts[status]}" for status in LOOKS if counts[status])


def git_commit() -> str | None:
    """The commit that is checked out here, if this is a checkout."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _tell(
    console: Console, parent: Run, planned: list[Plan], digest: str, place: list[str], took_s: float
) -> int:
    children = [child.summary() for child in parent.get_children()]
    wrong = problems(parent, planned, digest)
    if len(children) == len(planned) and not tell(console, parent, children, place):
        wrong.append("the command line could not show all of it")
    if not wrong:
        further(console, parent, best_of(children), place)
    console.print()
    for problem in wrong:
        console.print(Text(f"✗ {problem}", style="bold red"))
    if not wrong:
        by_status = _standing(children)
        console.print(Text(f"✓ read back as it was done: {by_status}; {took_s:.0f} s", style="bold green"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
