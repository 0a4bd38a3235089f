"""runfold: record what runs do. Names, signatures and shapes are Azure ML's (``azureml.core``).

    from runfold import Workspace, Experiment

    experiment = Experiment(Workspace.from_config(), "explore-runs")
    with experiment.start_logging() as run:
        run.log("loss", 0.7, step=1)

Errors are in :mod:`runfold.errors`, Azure ML's names for them in :mod:`runfold.exceptions`.
"""

from runfold._compute import ComputeTarget
from runfold._experiment import Experiment
from runfold._metric import Metric
from runfold._run import Run
from runfold._run_charts import Artifact
from runfold._streams import Rejection
from runfold._version import VERSION
from runfold._workspace import Workspace
from runfold.environment import Environment
from runfold.errors import (
    Conflict,
    Invalid,
    LimitExceeded,
    NotFound,
    PropertyImmutable,
    RunEnded,
    RunFailed,
    RunfoldError,
    RunRejected,
    Unauthorized,
    Unavailable,
)
from runfold.runconfig import RunConfiguration
from runfold.script_run_config import ScriptRunConfig

__version__ = VERSION

__all__ = [
    "VERSION",
    "Artifact",
    "ComputeTarget",
    "Conflict",
    "Environment",
    "Experiment",
    "Invalid",
    "LimitExceeded",
    "Metric",
    "NotFound",
    "PropertyImmutable",
    "Rejection",
    "Run",
    "RunConfiguration",
    "RunEnded",
    "RunFailed",
    "RunRejected",
    "RunfoldError",
    "ScriptRunConfig",
    "Unauthorized",
    "Unavailable",
    "Workspace",
]
