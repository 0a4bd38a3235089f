"""Azure ML's exception names, so that ``except`` clauses of existing scripts keep their meaning.

Where one of Azure's names covers several of our kinds, it stands for their common root: ``ServiceException`` there is
whatever a server answers, here any :class:`~runfold.errors.RunfoldError`.
"""

from __future__ import annotations

from runfold.errors import Invalid, NoRunContext, RunFailed, RunfoldError

AzureMLException = RunfoldError
ServiceException = RunfoldError
RunEnvironmentException = NoRunContext
ExperimentExecutionException = RunfoldError
AzureMLAggregatedException = RunfoldError
SnapshotException = RunfoldError
UserErrorException = Invalid
ActivityFailedException = RunFailed

__all__ = [
    "ActivityFailedException",
    "AzureMLAggregatedException",
    "AzureMLException",
    "ExperimentExecutionException",
    "RunEnvironmentException",
    "ServiceException",
    "SnapshotException",
    "UserErrorException",
]
