"""What every part of a run's handle builds on: who the run is, how to send for it, how to ask about it."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from runfold_events.contract.errors import NotFound
from runfold_events.contract.statuses import Status
from runfold_events.contract.submission import Accepted

if TYPE_CHECKING:
    from collections.abc import Callable

    from runfold._experiment import Experiment
    from runfold._outputs import Outputs
    from runfold._system_metrics import SystemMetrics
    from runfold._transport import Transport
    from runfold_events.contract.commands import Command, CreateRun
    from runfold_projections.model import RunView

T = TypeVar("T")


class RunBase:
    """Identity and plumbing of a run's handle."""

    _system: SystemMetrics | None  # samples what the machine does, until this process ends the run
    _outputs: Outputs | None  # the folder that is uploaded when this process ends the run

    def __init__(self, experiment: Experiment, run_id: str, outputs: str | bool | None = None) -> None:
        self._bind(experiment, run_id)
        view = self._fetch()
        if view.experiment != experiment.name:
            raise NotFound(
                f"there is no run {run_id!r} in experiment {experiment.name!r}",
                facts={"run_id": run_id, "experiment": experiment.name},
            )
        if outputs:
            from runfold._outputs import outputs_of

            self._outputs = outputs_of(outputs)

    def _bind(
        self,
        experiment: Experiment,
        run_id: str,
        *,
        view: RunView | None = None,
        created: CreateRun | None = None,
    ) -> None:
        self._experiment = experiment
        self._workspace = experiment.workspace
        self._connection = self._workspace._connection
        self._journal = self._connection.journal
        self._run_id = run_id
        self._stream = self._connection.run_stream(self._workspace.name, run_id)
        self._scalars = self._stream.scalars
        self._view = view
        self._created = created
        self._entered_pid: int | None = None
        self._outputs = None
        self._system = None

    @property
    def id(self) -> str:
        """The run's id, unique in its workspace."""
        return self._run_id

    @property
    def experiment(self) -> Experiment:
        """The experiment it belongs to."""
        return self._experiment

    @property
    def status(self) -> str:
        """The status as it was when last read; of a run just started that is ``NotStarted``, as in Azure ML."""
        return Status.NOT_STARTED.value if self._view is None else self._view.status.value

    def get_portal_url(self) -> str:
        """Where a server (for an embedded ledger: ``runfold up``) shows the run."""
        return f"{self._workspace._web_base()}/runs/{self._run_id}"

    @property
    def portal_url(self) -> str:
        """The same as :meth:`get_portal_url`."""
        return self.get_portal_url()

    def _call(self, command: Command) -> Accepted | None:
        """Send a command of this run and wait for its outcome; None when it is queued for a server that is gone."""
        return self._connection.call(self._stream, command, strict=self._workspace._strict)

    def _ask(self, question: Callable[[Transport, str | None], T]) -> T:
        return self._workspace._ask(question)

    def _seen(self) -> RunView:
        return self._view or self._fetch()

    def _fetch(self) -> RunView:
        workspace, run_id = self._workspace.name, self._run_id
        self._view = self._ask(lambda transport, at: transport.run(workspace, run_id, at))
        return self._view

    def __reduce__(self) -> tuple[Any, ...]:
        return _attach, (self._experiment, self._run_id)


def _attach(experiment: Experiment, run_id: str) -> Any:
    """A handle in another process: attached, so that it holds nothing."""
    from runfold._run import Run

    return Run(experiment, run_id)
