"""A run: the handle that scripts hold."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from runfold._filters import Filter
from runfold._run_azure import RunAzure, typed_run
from runfold._run_charts import RunCharts
from runfold._run_children import RunChildren
from runfold._run_reading import RunReading
from runfold._run_snapshots import RunSnapshots
from runfold._run_waiting import RunWaiting
from runfold._settings import system_metrics_s
from runfold_events.collector import paused_for

if TYPE_CHECKING:
    from runfold._experiment import Experiment
    from runfold._workspace import Workspace
    from runfold_events.contract.commands import CreateRun
    from runfold_projections.model import RunView


SCRIPT_RUN_TYPE: Final = "azureml.scriptrun"


class Run(RunWaiting, RunCharts, RunChildren, RunReading, RunSnapshots, RunAzure):
    """A handle on a run that exists: ``Run(experiment, run_id)``. It only attaches: who leaves changes nothing.

    New runs come from :meth:`runfold.Experiment.start_logging`, :meth:`child_run` and :meth:`create_children`; these
    are *held* by the process that made them. A run whose last holder goes without ending it becomes NotResponding.

    Raises:
        NotFound: there is no such run in this experiment.
    """

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """A handle on a run of any experiment of ``workspace``.

        Raises:
            NotFound: there is no such run.
        """
        from runfold._experiment import Experiment

        view = workspace._ask(lambda transport, at: transport.run(workspace.name, run_id, at))
        return run_of_view(Experiment._existing(workspace, view.experiment), view)

    @staticmethod
    def list(
        experiment: Experiment,
        type: str | None = None,
        tags: Filter = None,
        properties: Filter = None,
        status: str | None = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """Runs of an experiment, newest first; see :meth:`runfold.Experiment.get_runs`.

        Args:
            status: one status, exactly as it is spelt.

        Raises:
            Invalid: a filter of another type, or a status that there is not; when the call is made.
        """
        from runfold._experiment import run_query

        query = run_query(experiment, type, tags, properties, status, include_children)
        return experiment._runs(query, rehydrate=_rehydrate_runs)

    @classmethod
    def get_context(
        cls, allow_offline: bool = True, used_for_context_manager: bool = False, **kwargs: Any
    ) -> Run:
        """The run that this process is the script of; without one, an offline run that prints what it is told.

        An offline run has everything that a run has: what it was told can be asked, and is gone with the process. A
        process has one context: every call gives the same run (a new offline one once the last has ended).

        Args:
            allow_offline: False: raise instead.
            used_for_context_manager: accepted.
            kwargs: accepted.

        Raises:
            NoRunContext: there is no run, and ``allow_offline`` is False.
            NotFound, Unavailable: the environment names a run that cannot be had.
        """
        from runfold._context import get_context

        return get_context(allow_offline)

    @classmethod
    def get_submitted_run(cls, **kwargs: Any) -> Run:
        """The same as ``get_context(allow_offline=False)``."""
        return cls.get_context(allow_offline=False)

    @property
    def parent(self) -> Run | None:
        """The parent run; None for a root."""
        known = self._created or self._seen()
        parent_id = known.parent_run_id
        if parent_id is None:
            return None
        if self._parent is None:
            self._parent = Run(self._experiment, parent_id)
        return self._parent

    _parent: Run | None = None

    def __repr__(self) -> str:
        return (
            f"Run(Experiment: {self._experiment.name},\n"
            f"Id: {self._run_id},\n"
            f"Type: {self.type},\n"
            f"Status: {self.status})"
        )


def create_runs(experiment: Experiment, commands: list[CreateRun], *, interrupt: bool = False) -> list[Run]:
    """Create runs in one request; handles on those that were accepted, or queued for a server that is gone."""
    runs: list[Run] = []
    with paused_for(len(commands)):
        for command in commands:
            run = Run.__new__(Run)
            run._bind(experiment, command.run_id, created=None if command.resume else command)
            run._stream.interrupt = interrupt
            runs.append(run)
        workspace = experiment.workspace
        workspace._connection.call_all(
            [(run._stream, command) for run, command in zip(runs, commands, strict=True)],
            strict=workspace._strict,
        )
    return runs


def begin_sampling(run: Run, asked: bool | None = None) -> None:
    """Log what the machine does until the run's end, where the program (``asked``) or the environment wants that."""
    interval_s = system_metrics_s(asked)
    if interval_s is not None:
        from runfold._system_metrics import begin

        run._system = begin(run, interval_s)


def run_of_view(experiment: Experiment, view: RunView, *, rehydrate: bool = True) -> Run:
    """A handle on a run as a list or question showed it; of the kind that was registered for its type.

    Without ``rehydrate`` always an ordinary one.
    """
    if view.experiment != experiment.name:
        from runfold._experiment import Experiment

        experiment = Experiment._existing(experiment.workspace, view.experiment)
    typed = typed_run(experiment, view) if rehydrate else None
    if typed is not None:
        return typed
    run = _class_of(view.run_type if rehydrate else None)()
    run._bind(experiment, view.run_id, view=view)
    return run


def _class_of(run_type: str | None) -> Callable[[], Run]:
    """What makes an empty handle on runs of a type."""
    kind = Run
    if run_type == SCRIPT_RUN_TYPE:
        from runfold._script_run import ScriptRun

        kind = ScriptRun
    return lambda: kind.__new__(kind)
