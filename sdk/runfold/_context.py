"""Which run this process is the script of."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from runfold.errors import NoRunContext
from runfold_events.contract.ids import check_experiment_name, check_run_id

if TYPE_CHECKING:
    from runfold._run import Run
    from runfold._run_offline import OfflineRun

RUN_ID: Final = "RUNFOLD_RUN_ID"
EXPERIMENT: Final = "RUNFOLD_EXPERIMENT"
_PLACE: Final = ("RUNFOLD_WORKSPACE", "RUNFOLD_URL", "RUNFOLD_HOME")

_online: dict[tuple[str | None, ...], Run] = {}
_offline: list[OfflineRun] = []


def get_context(allow_offline: bool) -> Run:
    """See :meth:`runfold.Run.get_context`."""
    run_id = os.environ.get(RUN_ID)
    if run_id:
        return _submitted(run_id)
    if not allow_offline:
        raise NoRunContext(
            "Could not load a submitted run, if outside of an execution context, use experiment.start_logging to "
            "initialize an interactive run: RUNFOLD_RUN_ID is not set",
            facts={"field": RUN_ID},
        )
    return _offline_run()


def _submitted(run_id: str) -> Run:
    key = (run_id, *(os.environ.get(name) for name in _PLACE))
    found = _online.get(key)
    if found is None:
        from runfold._experiment import Experiment
        from runfold._run import begin_sampling
        from runfold._run_submitted import SubmittedRun
        from runfold._workspace import Workspace

        workspace = Workspace(workspace_name=os.environ.get("RUNFOLD_WORKSPACE") or None)
        run = SubmittedRun.__new__(SubmittedRun)
        check_run_id(run_id, RUN_ID)
        named = os.environ.get(EXPERIMENT)
        if named:  # the agent says it, and then nothing needs to be asked before the first value is logged
            experiment = Experiment._existing(workspace, check_experiment_name(named, EXPERIMENT))
        else:
            view = workspace._ask(lambda transport, at: transport.run(workspace.name, run_id, at))
            experiment = Experiment._existing(workspace, view.experiment)
        run._bind(experiment, run_id)
        found = _online.setdefault(key, run)  # one handle, whichever thread comes first
        if found is run:
            begin_sampling(run)
    return found


def _offline_run() -> OfflineRun:
    """The process's offline run; another one once that has ended."""
    if not _offline or _offline[-1]._stream.ended:
        from runfold._run_offline import OfflineRun

        _offline.append(OfflineRun._new())
    return _offline[-1]
