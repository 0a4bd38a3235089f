"""An experiment: a name under which runs are gathered."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runfold._filters import Filter, label_filter, labels, status_filter, text
from runfold_events.contract.commands import Command, CreateRun, EnsureExperiment, UpdateExperiment
from runfold_events.contract.errors import Conflict, Invalid, NotFound
from runfold_events.contract.ids import check_experiment_name, check_run_id, experiment_id

if TYPE_CHECKING:
    import builtins
    from datetime import datetime
    from pathlib import Path

    from runfold._curves import Curves
    from runfold._run import Run
    from runfold._script_run import ScriptRun
    from runfold._workspace import Workspace
    from runfold_projections.model import Axis, ExperimentView, RunQuery, RunView

VIEW_TYPES: Final = ("ActiveOnly", "ArchivedOnly", "All")


class Experiment:
    """Get or create the experiment ``name`` of a workspace.

    Raises:
        Invalid: the name is not 1 to 255 letters, digits, ``-`` and ``_``, beginning with a letter or digit.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._bind(workspace, check_experiment_name(name, "name"))
        self._call(EnsureExperiment(experiment=name))

    def _bind(self, workspace: Workspace, name: str, view: ExperimentView | None = None) -> None:
        self._workspace = workspace
        self._name = name
        self._stream = workspace._connection.experiment_stream(workspace.name, name)
        self._view = view

    @classmethod
    def _existing(cls, workspace: Workspace, name: str, view: ExperimentView | None = None) -> Experiment:
        """A handle on what is known to exist."""
        experiment = cls.__new__(cls)
        experiment._bind(workspace, name, view)
        return experiment

    @staticmethod
    def list(
        workspace: Workspace,
        experiment_name: str | None = None,
        view_type: str = "ActiveOnly",
        tags: Filter = None,
    ) -> builtins.list[Experiment]:
        """Experiments of a workspace, newest activity first.

        Args:
            workspace: where.
            experiment_name: only the one of this name.
            view_type: ``ActiveOnly``, ``ArchivedOnly`` or ``All``.
            tags: a key that must exist, or a dict of values that must be equal (as text).

        Raises:
            Invalid: another ``view_type``, or ``tags`` of another type.
        """
        if view_type not in VIEW_TYPES:
            raise Invalid(
                f"view_type must be one of {', '.join(VIEW_TYPES)}; got {view_type!r}",
                facts={"field": "view_type", "limit": VIEW_TYPES, "size": str(view_type)[:80]},
            )
        equal, existing = label_filter(tags, "tags")
        views = workspace._ask(
            lambda transport, at: transport.experiments(workspace.name, view_type != "ActiveOnly", at)
        )
        return [
            Experiment._existing(workspace, view.experiment, view)
            for view in views
            if (experiment_name is None or view.experiment == experiment_name)
            and (view.archived or view_type != "ArchivedOnly")
            and all(view.tags.get(key, ...) == value for key, value in equal.items())
            and all(key in view.tags for key in existing)
        ]

    @property
    def workspace(self) -> Workspace:
        """The workspace it belongs to."""
        return self._workspace

    @property
    def workspace_object(self) -> Workspace:
        """The same as :attr:`workspace`."""
        return self._workspace

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self._name

    @property
    def id(self) -> str:
        """A UUID, derived from workspace and name."""
        return str(experiment_id(self._workspace.name, self._name))

    @property
    def tags(self) -> dict[str, str | None]:
        """Tags as they were when last read; :meth:`refresh` reads them again."""
        return dict(self._seen().tags)

    @property
    def description(self) -> str | None:
        """The description, read anew; may be set."""
        return self._fetch().description

    @description.setter
    def description(self, value: str | None) -> None:
        self._call(UpdateExperiment(experiment=self._name, description=value))

    @property
    def archived(self) -> bool:
        """Whether it is hidden from lists, as it was when last read."""
        return self._seen().archived

    @property
    def archived_time(self) -> datetime | None:
        """When it was archived (UTC), as it was when last read; None: it is not."""
        return self._seen().archived_at

    # Runs

    def start_logging(  # noqa: PLR0913  # Azure ML's signature, and ours added by keyword
        self,
        name: str | None = None,
        run_id: str | None = None,
        outputs: str | bool | None = None,
        snapshot_directory: str | None = None,
        *,
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        resume: bool = False,
        interrupt_on_cancel: bool = False,
        system_metrics: bool | None = None,
    ) -> Run:
        """Create and start an interactive run that this process holds until it ends it.

        Args:
            name: default ``run_{id}``.
            run_id: 1 to 256 of ``A-Z a-z 0-9 _ - .``, unique in the workspace; default: a new UUIDv7.
            outputs: a folder, which is made; True for ``outputs``. Its files are uploaded when this process ends the
                run. Default: none.
            snapshot_directory: a folder to take a snapshot of, once the run has begun; what git says of it becomes
                properties. Default: none.
            display_name: a name for people, that may change.
            description: free text.
            tags: mutable labels.
            properties: immutable ones.
            resume: re-open the run ``run_id`` if it exists and has not ended, whatever its other content.
            interrupt_on_cancel: raise KeyboardInterrupt in the main thread when somebody asks to cancel the run.
            system_metrics: log what the machine does meanwhile, every ten seconds, as metrics below ``system/``; needs
                ``runfold[system]``. Default: what ``RUNFOLD_SYSTEM_METRICS`` says.

        Raises:
            Conflict: a run with this id and other content exists.
            RunEnded: with ``resume``, the run has ended.
            Invalid: an id or text that cannot be, or a feature that is not there.
        """
        from runfold._git import git_properties
        from runfold._outputs import outputs_of
        from runfold._run import begin_sampling, create_runs
        from runfold._run_snapshots import check_folder

        if system_metrics:
            from runfold._system_metrics import check_installed

            check_installed()
        collected = outputs_of(outputs)
        snapshot_directory = check_folder(snapshot_directory, "snapshot_directory")
        found = {} if snapshot_directory is None else git_properties(Path(snapshot_directory).expanduser())
        run_id = new_run_id() if run_id is None else check_run_id(run_id)
        command = CreateRun(
            run_id=run_id,
            experiment=self._name,
            resume=resume,
            name=f"run_{run_id}" if name is None else name,
            display_name=display_name,
            description=description,
            tags=labels(tags or {}, "tags"),
            properties={**found, **labels(properties or {}, "properties")},
        )
        run = create_runs(self, [command], interrupt=interrupt_on_cancel)[0]
        run._outputs = collected
        begin_sampling(run, system_metrics)
        if snapshot_directory is not None:
            run.take_snapshot(snapshot_directory)
        return run

    def submit(self, config: object, tags: Mapping[str, Any] | None = None, **kwargs: Any) -> ScriptRun:
        """Submit a script: a run that waits for an agent, which executes it. Returns at once; the run is Starting.

        The folder of the script is sent along. Over an embedded ledger an agent is started when none lives.

        Args:
            config: a :class:`runfold.ScriptRunConfig`.
            tags: mutable labels of the run.
            kwargs: ``display_name``.

        Raises:
            SubmissionFailed: the script, or its folder, is not there; or no agent could be started for it.
            RunfoldError: ``config`` is of another type.
            Invalid: a setting cannot be.
            TypeError: another keyword.
        """
        from runfold._submit import submit

        return submit(self, config, tags, **submit_options(kwargs))

    def get_runs(
        self,
        type: str | None = None,
        tags: Filter = None,
        properties: Filter = None,
        include_children: bool = False,
    ) -> Iterator[Run]:
        """Runs of this experiment, newest first; a generator that asks page after page while it is iterated.

        Args:
            type: the run's type, such as ``azureml.scriptrun``.
            tags: a key that must exist, or a dict of values that must be equal (as text); several are ANDed.
            properties: likewise.
            include_children: child runs too, not only roots.

        Raises:
            Invalid: a filter of another type; when the call is made.
        """
        return self._runs(run_query(self, type, tags, properties, None, include_children))

    def query(
        self,
        filter: str | None = None,
        order_by: str = "-created_at",
        fields: Sequence[str] = (),
        limit: int | None = None,
        *,
        include_children: bool = False,
        include_archived: bool = False,
    ) -> Iterator[RunView]:
        """Summaries of this experiment's runs; see :meth:`runfold.Workspace.query`."""
        return self._workspace.query(
            filter,
            order_by,
            fields,
            limit,
            experiment=self._name,
            include_children=include_children,
            include_archived=include_archived,
        )

    def curves(
        self,
        *names: str,
        filter: str | None = None,
        limit: int | None = None,
        x: Axis = "step",
        start: int | None = None,
        stop: int | None = None,
        last: int | None = None,
        buckets: int | None = None,
    ) -> Curves:
        """Metrics of this experiment's runs as NumPy arrays; see :meth:`runfold.Workspace.curves`. Ours.

        Args:
            names: metrics; none: all.
            filter: which runs, as in :meth:`query`; default: all but child runs.
            limit: of the so many newest.
            x: the axis.
            start: only from this x on.
            stop: only before this x.
            last: only so many points of each.
            buckets: at most so many buckets for each.
        """
        runs = [view.run_id for view in self.query(filter, fields=("run_id",), limit=limit)]
        return self._workspace.curves(runs, *names, x=x, start=start, stop=stop, last=last, buckets=buckets)

    def to_dataframe(
        self,
        filter: str | None = None,
        order_by: str = "-created_at",
        limit: int | None = None,
        *,
        include_children: bool = False,
        include_archived: bool = False,
        engine: str = "pandas",
    ) -> Any:
        """This experiment's runs as a DataFrame, a row each; see :meth:`runfold.Workspace.to_dataframe`. Ours."""
        return self._workspace.to_dataframe(
            filter,
            order_by,
            limit,
            experiment=self._name,
            include_children=include_children,
            include_archived=include_archived,
            engine=engine,
        )

    def _runs(self, query: RunQuery, *, rehydrate: bool = True) -> Iterator[Run]:
        from runfold._run import run_of_view

        for view in self._workspace._pages(query):
            yield run_of_view(self, view, rehydrate=rehydrate)

    # Tags and archive

    def tag(self, key: str, value: Any = None) -> None:
        """Set one tag."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Merge tags into those that are there. :attr:`tags` shows them after :meth:`refresh`."""
        self._call(UpdateExperiment(experiment=self._name, set_tags=labels(tags, "tags")))

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Remove tags by key; unknown keys are ignored."""
        self._call(UpdateExperiment(experiment=self._name, remove_tags=tag_keys(tags)))

    def archive(self) -> None:
        """Hide the experiment from lists. Its runs go on."""
        self._call(UpdateExperiment(experiment=self._name, archived=True))

    def reactivate(self, new_name: str | None = None) -> None:
        """Undo :meth:`archive`.

        Raises:
            Invalid: ``new_name`` was given.
        """
        if new_name is not None:
            raise Invalid(
                "Cannot rename an experiment.",
                facts={"field": "new_name", "limit": "None", "size": new_name[:80]},
            )
        self._call(UpdateExperiment(experiment=self._name, archived=False))

    @staticmethod
    def delete(workspace: Workspace, experiment_id: str) -> None:
        """Take an experiment without runs out of the lists. The ledger forgets nothing, so it is archived for good.

        Raises:
            NotFound: there is no experiment with this id.
            Conflict: it has runs; archive it, or have an administrator erase what they hold.
        """
        views = workspace._ask(lambda transport, at: transport.experiments(workspace.name, True, at))
        found = next((view for view in views if str(view.experiment_id) == str(experiment_id)), None)
        if found is None:
            raise NotFound(
                f"there is no experiment with the id {str(experiment_id)[:80]!r}",
                facts={"experiment_id": str(experiment_id)[:80]},
            )
        if found.runs:
            raise Conflict(
                f"Only empty experiments can be deleted: {found.experiment!r} has {sum(found.runs.values())} runs. "
                "Archive it instead",
                facts={"experiment": found.experiment, "runs": sum(found.runs.values())},
            )
        Experiment._existing(workspace, found.experiment, found).archive()

    @staticmethod
    def from_directory(path: str | Path, auth: object = None) -> Experiment:
        """The experiment that a folder was attached to by ``runfold folder attach``, searched for upwards.

        Raises:
            Invalid: no configuration file is found, or it names no experiment.
        """
        from pathlib import Path

        from runfold import _config
        from runfold._workspace import Workspace

        workspace = Workspace.from_config(path, auth)
        start = Path(path).expanduser().absolute()
        found = start if start.is_file() else _config.find_config(start)
        name = None if found is None else _config.read_config(found).experiment
        if name is None:
            raise Invalid(
                f"{found} names no experiment; attach the folder with one: runfold folder attach -e NAME",
                facts={"field": "path", "limit": "a Scope with /projects/NAME", "size": str(path)[:80]},
            )
        return Experiment(workspace, name)

    @property
    def identity(self) -> str:
        """What log lines call the experiment."""
        return f"{type(self).__name__}#{self.id}"

    @classmethod
    def get_docs_url(cls) -> str:
        """Azure ML's page about the class, whose names and signatures these are."""
        from runfold._run_azure import DOCS_URL

        return f"{DOCS_URL}.experiment(class)?view=azure-ml-py"

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from runfold._run_azure import html_table

        cells = {"Name": self._name, "Workspace": self._workspace.name, "Report Page": self.get_portal_url()}
        return html_table(cells)

    def refresh(self) -> None:
        """Read tags and archiving again."""
        self._fetch()

    def get_portal_url(self) -> str:
        """Where a server (for an embedded ledger: ``runfold up``) shows the experiment."""
        return f"{self._workspace._web_base()}/experiments/{self._name}"

    @property
    def portal_url(self) -> str:
        """The same as :meth:`get_portal_url`."""
        return self.get_portal_url()

    def __repr__(self) -> str:
        return f"Experiment(Name: {self._name},\nWorkspace: {self._workspace.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Experiment._existing, (self._workspace, self._name)

    def _call(self, command: Command) -> None:
        self._workspace._connection.call(self._stream, command, strict=self._workspace._strict)

    def _seen(self) -> ExperimentView:
        return self._view or self._fetch()

    def _fetch(self) -> ExperimentView:
        workspace = self._workspace
        self._view = workspace._ask(
            lambda transport, at: transport.experiment(workspace.name, self._name, at)
        )
        return self._view


def run_query(
    experiment: Experiment | None,
    type: str | None,
    tags: Filter,
    properties: Filter,
    status: str | None,
    include_children: bool,
) -> RunQuery:
    """The compatible filters of a list of runs; raises :class:`Invalid` for one that cannot be meant."""
    from runfold_projections.model import RunQuery

    equal_tags, existing_tags = label_filter(tags, "tags")
    equal_properties, existing_properties = label_filter(properties, "properties")
    return RunQuery(
        experiment=None if experiment is None else experiment.name,
        tags=equal_tags,
        tag_keys=existing_tags,
        properties=equal_properties,
        property_keys=existing_properties,
        status=status_filter(status),
        run_type=type,
        include_children=include_children,
        include_archived=True,
    )


def submit_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What ``submit`` and ``submit_child`` take beside their arguments."""
    unknown = sorted(set(kwargs) - {"display_name"})
    if unknown:
        raise TypeError(f"submit() got an unexpected keyword argument {unknown[0]!r}")
    return kwargs


def tag_keys(tags: Iterable[str]) -> tuple[str, ...]:
    """Keys of tags to remove: a list, or one key."""
    if isinstance(tags, str):
        return (tags,)
    return tuple(text(key, "tags") for key in tags)


def new_run_id() -> str:
    """A UUIDv7: unique, and in order of time."""
    import uuid_utils

    return str(uuid_utils.uuid7())
