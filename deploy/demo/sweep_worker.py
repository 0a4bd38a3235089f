"""A worker process of the sweep: takes plans from a queue, trains, records each as a child run of its own."""

from __future__ import annotations

import logging
import os
from multiprocessing.queues import Queue
from typing import Final

from sweep_training import Data, Plan, load, train

from runfold import PropertyImmutable, Run

DIGEST: Final = "dataset.sha256"
COMMIT: Final = "git.commit"
_log = logging.getLogger("sweep")


def work(parent: Run, commit: str | None, plans: Queue[Plan | None]) -> None:
    """Train until the queue says None. ``parent`` came from another process: this one is attached, and holds nothing
    but the children that it starts itself. A child that fails does not end the worker.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes are the parallelism
    data = load()
    while (plan := plans.get()) is not None:
        try:
            record(parent, plan, data, commit)
        except ValueError as error:
            _log.debug("child %s failed: %s", plan.name, error)  # its run says so; the sweep goes on


def record(parent: Run, plan: Plan, data: Data, commit: str | None) -> None:
    """One child: parameters, properties and tags first, metrics per epoch, its end by how the block ends."""
    with parent.child_run(name=plan.name) as child:
        child.set_tags({"model": plan.model, "role": plan.role})
        child.log_params({"model": plan.model, "epochs": plan.epochs, **plan.params})
        child.add_properties({DIGEST: data.sha256, COMMIT: commit})
        for number, epoch in enumerate(train(plan, data)):
            child.log("train_loss", epoch.train_loss, step=number)
            child.log("val_loss", epoch.val_loss, step=number)
            child.log("val_accuracy", epoch.val_accuracy, step=number)
            if child.cancel_requested:
                return  # the block's end says Canceled, since somebody asked for that
        if plan.role == "overwrites":
            _overwrite(child)


def _overwrite(child: Run) -> None:
    """What nobody may do: say afterwards that the run was trained on other data."""
    try:
        child.add_properties({DIGEST: "0" * 64})
    except PropertyImmutable as refusal:
        _log.debug("refused: %s", refusal)
    else:
        raise RuntimeError("a property was overwritten; that must never happen")
