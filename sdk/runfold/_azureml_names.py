"""What only scripts of Azure ML ask for: names of ``azureml.core`` that have no use of their own here."""

from __future__ import annotations

from typing import Any

from runfold._experiment import Experiment
from runfold._run import Run


def get_run(experiment: Experiment, run_id: str, rehydrate: bool = True, clean_up: bool = True) -> Run:
    """``azureml.core.get_run``: the run ``run_id`` of ``experiment``; the other arguments mean nothing here."""
    return Run(experiment, run_id)


class Authentication:
    """Stands for every ``…Authentication`` class. Takes whatever those take and keeps none of it.

    Credentials here are a server's token: ``RUNFOLD_TOKEN``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass
