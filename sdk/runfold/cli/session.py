"""What commands work with: the workspace that the options name, opened when it is first needed, and the output."""

# The CLI is part of the SDK and goes where a handle has no method.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import functools
import platform
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

import click

from runfold._version import VERSION
from runfold.cli.options import Options, options_of
from runfold.cli.output import Output
from runfold_events.contract.errors import Invalid, NotFound
from runfold_events.contract.ids import check_experiment_name, check_run_id

if TYPE_CHECKING:
    from runfold._config import Config
    from runfold._run import Run
    from runfold._transport import Transport
    from runfold._workspace import Workspace
    from runfold_events.contract.commands import RunCommand
    from runfold_projections.model import (
        ChildCounts,
        ExperimentView,
        FileInfo,
        HistoryEntry,
        RunQuery,
        RunView,
        SeriesData,
    )
    from runfold_services.usage import Usage

P = ParamSpec("P")
T = TypeVar("T")

PREFIX_CHARS_MIN: Final = 4
COMPLETIONS_MAX: Final = 50
HISTORY_PAGE_ROWS: Final = 1_000


class Session:
    """One command's way to runs. Nothing is opened, and no file made, until a command asks for something."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.output = Output(options)
        self._workspace: Workspace | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._workspace is not None:
            self._workspace._connection.close()

    # Where

    @property
    def workspace(self) -> Workspace:
        """The workspace: what the options say, else the environment, else a config.json above this folder."""
        if self._workspace is None:
            from runfold._workspace import Workspace

            name, url, home = self.place()
            self._workspace = Workspace(workspace_name=name, url=url, home=home)
            self.output.detail(f"runfold: workspace {name!r} in {self._workspace.location}")
        return self._workspace

    def place(self) -> tuple[str, str | None, Path | None]:
        """Workspace, and either a server or the home of the embedded ledger."""
        from runfold._settings import load_settings

        if self.options.url is not None and self.options.home is not None:
            raise click.UsageError("--url and --home exclude each other: a server has a home of its own")
        settings = load_settings()
        config = self.config
        name = self.options.workspace or (config.workspace if config else settings.workspace)
        url = self.options.url or settings.url or (config.url if config else None)
        if self.options.home is not None or url is None:
            return name, None, self.options.home or settings.home
        return name, url, None

    @property
    def config(self) -> Config | None:
        """What the config.json says that is found from ``--path``, else from the current folder."""
        from runfold._config import find_config, read_config

        found = find_config((self.options.path or Path()).expanduser().absolute())
        return None if found is None else read_config(found)

    @property
    def url(self) -> str | None:
        """The server that is asked; None where the embedded ledger in the home is."""
        return self.place()[1]

    def home(self, purpose: str) -> Path:
        """The folder of the embedded ledger.

        Raises:
            Invalid: a server is asked instead, whose file is not in reach.
        """
        _, url, home = self.place()
        if home is None:
            raise Invalid(
                f"{purpose} works on the file itself, not through {url}; run it where the file is, with --home DIR",
                facts={"field": "--url", "size": url},
            )
        return home.expanduser().absolute()

    def facts(self) -> dict[str, Any]:
        """Versions, and where this command would look."""
        name, url, home = self.place()
        return {
            "version": VERSION,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "system": platform.platform(),
            "workspace": name,
            "url": url,
            "home": None if home is None else str(home.expanduser().absolute()),
        }

    # Questions

    def _ask(self, question: Callable[[Transport, str, str | None], T]) -> T:
        workspace = self.workspace
        return workspace._ask(lambda transport, at: question(transport, workspace.name, at))

    def find(self, run_id: str, experiment: str | None = None) -> RunView:
        """The run with this id, or the only one whose id begins so.

        Raises:
            NotFound: no run's id begins so, or the run is not in ``experiment``, where one is named.
            Invalid: several do, or no run's id can.
        """
        found = self._find(run_id)
        if experiment is not None and found.experiment != experiment:
            raise NotFound(
                f"run {found.run_id!r} is not in experiment {experiment!r} but in {found.experiment!r}",
                facts={"field": "--experiment", "size": experiment},
            )
        return found

    def _find(self, run_id: str) -> RunView:
        check_run_id(run_id, "RUN")
        try:
            return self._ask(lambda transport, workspace, at: transport.run(workspace, run_id, at))
        except NotFound:
            beginning = self.beginning_with(run_id, 3) if len(run_id) >= PREFIX_CHARS_MIN else []
            if len(beginning) > 1:
                named = ", ".join(one for one, _ in beginning)
                raise Invalid(
                    f"several runs begin with {run_id!r}: {named}, …",
                    facts={"field": "RUN", "limit": "the beginning of one run's id", "size": run_id},
                ) from None
            if not beginning:
                raise
        return self._ask(lambda transport, workspace, at: transport.run(workspace, beginning[0][0], at))

    def beginning_with(self, prefix: str, last: int = COMPLETIONS_MAX) -> list[tuple[str, str]]:
        """Ids that begin so, newest first, each with a word about the run."""
        from runfold.cli.prefix import prefix_filter
        from runfold_projections.model import RunQuery

        query = RunQuery(
            filter=prefix_filter(prefix),
            include_children=True,
            include_archived=True,
            fields=("run_id", "status", "display_name", "experiment"),
        )
        return [
            (run.run_id, f"{run.status} {run.display_name or run.experiment}")
            for run in self.runs(query, last)
        ]

    def runs(self, query: RunQuery, last: int | None) -> list[RunView]:
        """The first ``last`` runs that match, all without it."""
        return list(self.workspace._pages(query, last))

    def count(self, query: RunQuery) -> int:
        """How many match."""
        return self._ask(lambda transport, workspace, at: transport.count(workspace, query, at))

    def more(self, query: RunQuery, shown: int) -> None:
        """Tell people, below a list that was cut, how much it leaves out."""
        if self.output.format == "table" and not self.options.quiet:
            hidden = self.count(query) - shown
            if hidden > 0:
                self.output.after(f"… and {hidden:,} more: --last N shows more of them, --all shows all")

    def child_counts(self, run_id: str) -> ChildCounts:
        """Children and descendants by status."""
        return self._ask(lambda transport, workspace, at: transport.child_counts(workspace, run_id, at))

    def usage(self) -> Usage:
        """What the workspace holds and how it stands with its quotas."""
        return self._ask(lambda transport, workspace, at: transport.usage(workspace))

    def experiments(self, *, include_archived: bool) -> list[ExperimentView]:
        """All experiments."""
        return self._ask(
            lambda transport, workspace, at: transport.experiments(workspace, include_archived, at)
        )

    def check_experiment(self, name: str) -> None:
        """Raise ``NotFound`` when there is no such experiment, ``Invalid`` when there can be none."""
        check_experiment_name(name, "--experiment")
        self._ask(lambda transport, workspace, at: transport.experiment(workspace, name, at))

    def history(self, run_id: str) -> list[HistoryEntry]:
        """The whole audit trail."""
        entries: list[HistoryEntry] = []
        while True:
            next_seq = entries[-1].stream_seq + 1 if entries else 1
            page = self._ask(
                lambda transport, workspace, at, seq=next_seq: transport.history(  # type: ignore[misc]
                    workspace, run_id, seq, HISTORY_PAGE_ROWS, at
                )
            )
            entries += page
            if len(page) < HISTORY_PAGE_ROWS:
                return entries

    def files(self, run_id: str, prefix: str) -> list[FileInfo]:
        """The recorded files of a run whose path begins with ``prefix``, without what runfold keeps for itself."""
        from runfold._downloads import HIDDEN_PREFIX

        found = self._ask(lambda transport, workspace, at: transport.files(workspace, run_id, prefix, at))
        return [file for file in found if not file.path.startswith(HIDDEN_PREFIX)]

    def series(
        self, run_id: str, names: tuple[str, ...], *, recursive: bool, points_max: int | None
    ) -> list[SeriesData]:
        """Points of metrics."""
        return self._ask(
            lambda transport, workspace, at: transport.metrics(
                workspace, run_id, names, recursive, points_max, at
            )
        )

    # Changes

    def handle(self, run_id: str) -> Run:
        """The SDK's handle on a run."""
        return self.workspace.get_run(run_id)

    def cancel(self, run_id: str, reason: str | None, *, cascade: bool) -> None:
        """Ask a run, with ``cascade`` also everything below it, to end; waits for that, but not for ever."""
        self.handle(run_id).cancel(reason=reason, cascade=cascade)

    def submit(self, command: RunCommand) -> None:
        """Send one command that no handle has a method for; raises what it is refused with."""
        connection = self.workspace._connection
        stream = connection.run_stream(self.workspace.name, command.run_id)
        connection.call(stream, command, strict=True)  # type: ignore[arg-type]  # RunCommand is the base of the union


def check_new(file: Path | None) -> None:
    """Refuse to overwrite a file that ``-t`` names, before the command has done anything."""
    if file is not None and file.exists():
        raise click.UsageError(f"-t/--output-metadata-file names a file that is there already: {file}")


def with_session(command: Callable[Concatenate[Session, P], T]) -> Callable[P, T]:
    """Pass a session for the options of the present command, and close it afterwards."""

    @functools.wraps(command)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        options = options_of(click.get_current_context())
        check_new(options.output_metadata_file)
        with Session(options) as session:
            return command(session, *args, **kwargs)

    return called
