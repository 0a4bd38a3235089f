"""A workspace: where runs are recorded, and the way in to everything in it."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from runfold import _config, _process
from runfold._connection import Connection
from runfold._curves import Asked, Curves, read_curves, run_ids_of
from runfold._settings import Settings, check_url, load_settings
from runfold._transport import Transport
from runfold.errors import NeedsAzure
from runfold_events.contract.errors import Conflict
from runfold_events.contract.ids import check_workspace_name

if TYPE_CHECKING:
    from runfold._experiment import Experiment
    from runfold._run import Run
    from runfold_projections.model import Axis, RunQuery, RunView
    from runfold_services.usage import Usage

T = TypeVar("T")

_FLUSH_BEFORE_QUERY_S: Final = 10.0
_MEMORY: Final = ":memory:"
_EMBEDDED_BASE: Final = "http://127.0.0.1:8765"  # where `runfold up` shows what the embedded ledger holds

# Members of Azure ML's workspaces that stand for something in Azure.
_NEED_AZURE: Final = frozenset(
    {
        "compute_targets",
        "datasets",
        "datastores",
        "environments",
        "get_default_compute_target",
        "get_default_datastore",
        "get_default_keyvault",
        "images",
        "models",
        "set_default_datastore",
        "webservices",
    }
)

_told: set[str] = set()  # homes that this process has named on stderr


class Workspace:
    """A named set of experiments and runs, in an embedded ledger or on a server.

    Without ``url`` (and without ``RUNFOLD_URL``) the embedded ledger of ``home`` is used (``RUNFOLD_HOME``; default:
    the user's data folder). Handles on the same place share one connection; threads and forked processes may use them.

    Args:
        subscription_id: kept for scripts written for Azure ML, and for :meth:`write_config`; means nothing here.
        resource_group: likewise.
        workspace_name: default ``RUNFOLD_WORKSPACE``, else ``default``.
        auth: accepted and not used; credentials come from ``token``.
        url: a server, such as ``http://127.0.0.1:8765``.
        token: its credential; default ``RUNFOLD_TOKEN``.
        home: folder of the embedded ledger.
        strict: lifecycle calls raise ``Unavailable`` while the server is gone, instead of being queued; and ``log``
            raises it when there is no room for more values. Default ``RUNFOLD_STRICT``, else False.

    Raises:
        Invalid: a name or address that cannot be.
    """

    def __init__(
        self,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        workspace_name: str | None = None,
        auth: object = None,
        *,
        url: str | None = None,
        token: str | None = None,
        home: str | Path | None = None,
        strict: bool | None = None,
    ) -> None:
        settings = load_settings()
        self._name = check_workspace_name(workspace_name or settings.workspace, "workspace_name")
        self._subscription_id = subscription_id
        self._resource_group = resource_group
        self._strict = settings.strict if strict is None else strict
        if url is not None:
            self._url: str | None = check_url(url, "url")
        else:
            self._url = None if home is not None else settings.url
        self._token = token if token is not None else settings.token
        self._home = settings.home if home is None else Path(home).expanduser().absolute()
        self._connection = _connect(self._url, self._token, self._home, settings)
        if self._url is None and url is None and home is None and workspace_name is None:
            _tell_once(self._name, self._home)

    @classmethod
    def _over(cls, connection: Connection, name: str, *, strict: bool = False) -> Workspace:
        """A workspace over a connection that is not shared."""
        workspace = cls.__new__(cls)
        workspace._name = check_workspace_name(name)
        workspace._subscription_id = workspace._resource_group = workspace._token = workspace._url = None
        workspace._home = Path(_MEMORY)
        workspace._strict = strict
        workspace._connection = connection
        return workspace

    @staticmethod
    def from_config(
        path: str | Path | None = None,
        auth: object = None,
        _logger: object = None,
        _file_name: str | None = None,
    ) -> Workspace:
        """The workspace that a configuration file names.

        ``path`` is a file, or a folder to search from (default: the current one), upwards. ``RUNFOLD_URL`` wins over
        the file's ``url``. With neither a file nor a path this is :class:`Workspace()`.

        Raises:
            Invalid: ``path`` was given and leads to no file, or the file names no workspace.
        """
        start = (Path.cwd() if path is None else Path(path).expanduser()).absolute()
        found = start if start.is_file() else _config.find_config(start, _file_name)
        if found is None:
            if path is not None:
                raise _config.not_found(start, _file_name)
            return Workspace()
        config = _config.read_config(found)
        return Workspace(
            config.subscription_id,
            config.resource_group,
            config.workspace,
            auth,
            url=load_settings().url or config.url,
        )

    @staticmethod
    def get(
        name: str | None = None,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
    ) -> Workspace:
        """The workspace ``name``; there is nothing that it could lack. The other arguments mean nothing here."""
        return Workspace(subscription_id, resource_group, name, auth)

    @staticmethod
    def create(
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        exist_ok: bool = False,
        **kwargs: Any,
    ) -> Workspace:
        """The workspace ``name``. A workspace is a name: it comes into being with its first experiment.

        Raises:
            Conflict: it has experiments already; not with ``exist_ok``.
        """
        workspace = Workspace(subscription_id, resource_group, name, auth)
        if not exist_ok and workspace._ask(lambda transport, at: transport.experiments(name, True, at)):
            raise Conflict(
                f"the workspace {name!r} has experiments already; open it: Workspace.get({name!r})",
                facts={"workspace": name},
            )
        return workspace

    def write_config(self, path: str | Path | None = None, file_name: str | None = None) -> None:
        """Write ``.azureml/config.json`` under ``path`` (default: the current folder) for :meth:`from_config`."""
        config = _config.Config(
            workspace=self._name,
            subscription_id=self._subscription_id,
            resource_group=self._resource_group,
            url=self._url,
        )
        _config.write_config(
            config, Path.cwd() if path is None else Path(path), file_name or _config.FILE_NAME
        )

    @property
    def name(self) -> str:
        """The workspace's name."""
        return self._name

    @property
    def subscription_id(self) -> str | None:
        """As given; means nothing here."""
        return self._subscription_id

    @property
    def resource_group(self) -> str | None:
        """As given; means nothing here."""
        return self._resource_group

    @property
    def location(self) -> str:
        """The server's address, or the embedded ledger's folder."""
        return self._url or str(self._home)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """Active experiments by name, the one with the newest activity first."""
        from runfold._experiment import Experiment

        return {experiment.name: experiment for experiment in Experiment.list(self)}

    def get_run(self, run_id: str) -> Run:
        """A handle on a run of any experiment of this workspace.

        Raises:
            NotFound: there is no such run.
        """
        from runfold._run import Run

        return Run.get(self, run_id)

    def usage(self) -> Usage:
        """What this workspace holds and, on a server, how it stands with its quotas."""
        return self._connection.ask(lambda transport, at: transport.usage(self._name))

    def get_details(self) -> dict[str, Any]:
        """``{"name", "id", "location", "subscriptionId", "resourceGroup", "type"}``."""
        return {
            "name": self._name,
            "id": f"{self.location}#{self._name}",
            "location": self.location,
            "subscriptionId": self._subscription_id,
            "resourceGroup": self._resource_group,
            "type": "server" if self._url else "embedded",
        }

    def query(
        self,
        filter: str | None = None,
        order_by: str = "-created_at",
        fields: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
        include_children: bool = False,
        include_archived: bool = False,
    ) -> Iterator[RunView]:
        """Summaries of runs of all experiments, page after page while they are iterated. Ours.

        Args:
            filter: an expression such as ``status = "Running" and metrics.loss < 0.1 and tags.quality like "fan%"``.
            order_by: a field such as ``metrics.loss``; a leading ``-`` for descending.
            fields: what to load of each run, such as ``["metrics.loss", "params.lr"]``; default: everything.
            limit: at most so many runs; default: all.
            experiment: of this experiment only.
            include_children: child runs too.
            include_archived: archived runs too.

        Raises:
            Invalid: the filter, a field or the order cannot be read; when the call is made, with its first page.
            Unavailable: the server is gone, or what this process logged is not delivered yet.
        """
        from runfold_projections.model import RunQuery

        self._connection.deliver_values(_FLUSH_BEFORE_QUERY_S)
        rows = self._pages(
            RunQuery(
                experiment=experiment,
                filter=filter,
                order_by=order_by,
                fields=tuple(fields),
                include_children=include_children,
                include_archived=include_archived,
            ),
            limit,
        )
        return _eager_first(rows)

    def curves(
        self,
        runs: Iterable[Run | str],
        *names: str,
        x: Axis = "step",
        start: int | None = None,
        stop: int | None = None,
        last: int | None = None,
        buckets: int | None = None,
    ) -> Curves:
        """Metrics of many runs as NumPy arrays, many in a request; see :meth:`runfold.Run.curve`. Ours.

        Args:
            runs: handles or ids.
            names: metrics; none: all.
            x: the axis.
            start: only from this x on.
            stop: only before this x.
            last: only so many points of each.
            buckets: at most so many buckets for each.

        Raises:
            NotFound: there is no such run.
            Invalid: an argument that cannot be.
        """
        asked = Asked(names=names, x=x, start=start, stop=stop, last=last, buckets=buckets)
        return read_curves(self, run_ids_of(runs), asked)

    def to_dataframe(
        self,
        filter: str | None = None,
        order_by: str = "-created_at",
        limit: int | None = None,
        *,
        experiment: str | None = None,
        include_children: bool = False,
        include_archived: bool = False,
        engine: str = "pandas",
    ) -> Any:
        """Runs as a DataFrame, a row each: status, times, ``params.*``, ``metrics.*`` (last), ``tags.*``. Ours.

        Arguments are those of :meth:`query`; runs are read page by page, each page in one request.

        Args:
            filter: which runs.
            order_by: in which order.
            limit: at most so many.
            experiment: of this experiment only.
            include_children: child runs too.
            include_archived: archived runs too.
            engine: ``pandas`` or ``polars``.

        Raises:
            Invalid: the filter or the order cannot be read, or the engine's package is not installed.
        """
        from runfold._frames import check_engine
        from runfold._runs_frame import runs_frame

        check_engine(engine)
        views = self.query(
            filter,
            order_by,
            limit=limit,
            experiment=experiment,
            include_children=include_children,
            include_archived=include_archived,
        )
        return runs_frame(views, engine)

    def get_mlflow_tracking_uri(self, with_auth: bool = False) -> NoReturn:
        """There is no MLflow server here.

        Raises:
            NeedsAzure: always.
        """
        raise NeedsAzure(
            "get_mlflow_tracking_uri needs Azure's MLflow server. Log by run.log, run.log_params and run.tag",
            facts={"call": "get_mlflow_tracking_uri"},
        )

    if not TYPE_CHECKING:  # a checker would take every name for a member

        def __getattr__(self, name: str) -> NoReturn:
            """Say of members that stand for services of Azure why they are not there; ``hasattr`` stays False."""
            if name in _NEED_AZURE:
                raise AttributeError(
                    f"Workspace.{name} needs Azure itself: runfold keeps runs and their files"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Workspace(Name: {self._name},\nLocation: {self.location})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._is_in_memory:
            raise TypeError("a workspace in memory is this process's own and cannot be sent to another")
        return _reopen, (
            self._subscription_id,
            self._resource_group,
            self._name,
            self._url,
            str(self._home),
            self._strict,
        )

    # For the other handles

    def _ask(self, question: Callable[[Transport, str | None], T]) -> T:
        return self._connection.ask(question)

    def _pages(self, query: RunQuery, limit: int | None = None) -> Iterator[RunView]:
        """Rows of a list, page after page."""
        from runfold._pages import pages

        return pages(self._connection, self._name, query, limit, ahead=self._url is not None)

    @property
    def _is_in_memory(self) -> bool:
        return str(self._home) == _MEMORY

    def _web_base(self) -> str:
        return f"{self._url or _EMBEDDED_BASE}/studio/w/{self._name}"


def _eager_first(rows: Iterator[T]) -> Iterator[T]:
    """``rows``, with what goes wrong on the first page raised here and now."""
    from itertools import chain

    first = list(_take(rows, 1))
    return chain(first, rows)


def _take(rows: Iterator[T], count: int) -> Iterator[T]:
    for _ in range(count):
        try:
            yield next(rows)
        except StopIteration:
            return


def _connect(url: str | None, token: str | None, home: Path, settings: Settings) -> Connection:
    from runfold._spool_place import place_of

    place = place_of(url, home, settings)
    key = ("embedded", str(home)) if url is None else ("http", url, token, settings.values_by)
    files = settings.files if url is None else None
    return _process.shared_connection(
        key, lambda: Connection(lambda: open_transport(url, token, home, settings), files=files, place=place)
    )


def open_transport(url: str | None, token: str | None, home: Path, settings: Settings) -> Transport:
    """A way to a server or, without ``url``, to the ledger of ``home``."""
    return _open_embedded(home, settings) if url is None else _open_http(url, token, settings)


def _open_http(url: str, token: str | None, settings: Settings) -> Transport:
    from runfold._http import HttpTransport

    transport = HttpTransport(url, token, settings.traceparent)
    if settings.values_by == "kafka":
        from runfold._kafka import open_log

        transport.log = open_log(transport, settings.traceparent)
    return transport


def _open_embedded(home: Path, settings: Settings) -> Transport:
    from runfold._embedded import EmbeddedTransport, os_actor
    from runfold_services.compose import open_embedded

    return EmbeddedTransport(open_embedded(home, files=settings.files), os_actor(), settings.traceparent)


def _tell_once(name: str, home: Path) -> None:
    if str(home) not in _told:
        _told.add(str(home))
        print(  # noqa: T201  # once per process: nobody should have to guess where runs went
            f"runfold: no configuration file and no RUNFOLD_URL; recording in the embedded workspace {name!r} "
            f"under {home} (see it with `runfold up`)",
            file=sys.stderr,
        )


def _reopen(
    subscription_id: str | None,
    resource_group: str | None,
    name: str,
    url: str | None,
    home: str,
    strict: bool,
) -> Workspace:
    """The same workspace in another process. Credentials do not travel: they come from that process's environment."""
    return Workspace(
        subscription_id,
        resource_group,
        name,
        url=url,
        home=None if url is not None else home,
        strict=strict,
    )
