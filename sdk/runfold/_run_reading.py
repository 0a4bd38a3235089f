"""What can be asked about a run, and its tags and properties."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from runfold import _shapes
from runfold._curves import Asked, Curve, Curves, one_curve, read_curves
from runfold._experiment import run_query, tag_keys
from runfold._filters import label, labels, text
from runfold._metric import Metric
from runfold._run_base import RunBase
from runfold._run_charts import populated
from runfold_events.contract.commands import AddProperties, ParamValue, RemoveTags, SetTags, UpdateRun
from runfold_events.contract.statuses import TERMINAL

if TYPE_CHECKING:
    from runfold_events.ports import WriterMark
    from runfold_projections.model import Axis, HistoryEntry, RunView, SeriesData

FILE_KINDS: Final = frozenset({"image", "chart"})
METRICS_FLUSH_S: Final = 30.0
_HISTORY_PAGE: Final = 1_000


class RunReading(RunBase):
    """Questions. Answers include everything that this process was told has happened, and what it logged before."""

    @property
    def number(self) -> int:
        """The run's number in its experiment: unique, roughly ascending, with gaps."""
        return self._seen().number

    @property
    def name(self) -> str | None:
        """The run's name, given at its creation."""
        return self._seen().name if self._created is None else self._created.name

    @property
    def type(self) -> str | None:
        """The run's type; None for interactive runs."""
        return self._seen().run_type if self._created is None else self._created.run_type

    @property
    def display_name(self) -> str | None:
        """A name for people, read anew; may be set."""
        return self._fetch().display_name

    @display_name.setter
    def display_name(self, value: str | None) -> None:
        self._call(UpdateRun(run_id=self._run_id, display_name=label(value)))

    @property
    def description(self) -> str | None:
        """Free text, read anew; may be set."""
        return self._fetch().description

    @description.setter
    def description(self, value: str | None) -> None:
        self._call(UpdateRun(run_id=self._run_id, description=label(value)))

    # Status

    def get_status(self) -> str:
        """The status, read anew unless it was terminal when last read."""
        if self._view is None or self._view.status not in TERMINAL:
            self._fetch()
        return self.status

    def get_detailed_status(self) -> dict[str, Any]:
        """``{"status": …, "details": …}``; details are what an agent said about it, or None."""
        view = self._fetch()
        return {"status": view.status.value, "details": view.status_details}

    def summary(self) -> RunView:
        """Everything that lists know of the run: latest, least and greatest value of each metric included. Ours."""
        return self._fetch()

    # Tags and properties

    @property
    def tags(self) -> dict[str, str | None]:
        """Tags as they were when last read."""
        return dict(self._created_labels("tags") if self._view is None else self._view.tags)

    @property
    def properties(self) -> dict[str, str | None]:
        """Properties as they were when last read."""
        return dict(self._created_labels("properties") if self._view is None else self._view.properties)

    def tag(self, key: str, value: Any = None) -> None:
        """Set one tag, with or without a value; what is no text is made one."""
        self._call(SetTags(run_id=self._run_id, tags={text(key, "key"): label(value)}))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Merge tags into those that are there.

        Raises:
            Invalid: not a dict.
        """
        self._call(SetTags(run_id=self._run_id, tags=labels(tags, "tags")))

    def remove_tags(self, tags: Iterable[str]) -> None:
        """Remove tags by key (a list, or one key); unknown keys are ignored."""
        self._call(RemoveTags(run_id=self._run_id, keys=tag_keys(tags)))

    def get_tags(self) -> dict[str, str | None]:
        """Tags, read anew."""
        return dict(self._fetch().tags)

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Add properties: each is written once and never changes. The same value again is accepted.

        Raises:
            PropertyImmutable: one has another value already; none of them was added, and the history says so.
            Invalid: not a dict.
        """
        given = labels(properties, "properties")
        if given:
            self._call(AddProperties(run_id=self._run_id, properties=given))

    def get_properties(self) -> dict[str, str | None]:
        """Properties, read anew."""
        return dict(self._fetch().properties)

    def get_params(self) -> dict[str, ParamValue]:
        """Parameters, read anew. Ours."""
        return dict(self._fetch().params)

    def _created_labels(self, what: str) -> Mapping[str, str | None]:
        labels_given: Mapping[str, str | None] = {} if self._created is None else getattr(self._created, what)
        return labels_given

    # Metrics

    def get_metrics(
        self,
        name: str | None = None,
        recursive: bool = False,
        run_type: str | None = None,
        populate: bool = False,
    ) -> dict[str, Any]:
        """Metrics in Azure ML's shapes: ``{name: value}``.

        A value logged once is itself, more are a list in the order of logging; rows and tables are
        ``{column: value or list}``. A list or table of one is a single value too: :meth:`metrics` tells them apart.

        Args:
            name: only this metric; ``{}`` when there is none.
            recursive: ``{run id: {name: value}}`` of this run and all descendants, those without metrics left out.
            run_type: with ``recursive``: only runs of this type.
            populate: images and charts as :class:`~runfold.Artifact` with their bytes, instead of where they are.
        """
        series = self._series_data(() if name is None else (name,), recursive, None)
        if not recursive:
            return self._shaped(series, populate)
        of_type = None if run_type is None else self._ids_of_type(run_type)
        by_run: dict[str, list[SeriesData]] = {}
        for one in series:
            if of_type is None or one.run_id in of_type:
                by_run.setdefault(one.run_id, []).append(one)
        shown = {run_id: self._shaped(own, populate) for run_id, own in by_run.items()}
        return {run_id: metrics for run_id, metrics in shown.items() if metrics}

    def _shaped(self, series: list[SeriesData], populate: bool) -> dict[str, Any]:
        shown = _shapes.compatible_metrics(series)
        if populate:
            for one in series:
                if one.kind in FILE_KINDS and one.name in shown:
                    shown[one.name] = populated(self, shown[one.name])
        return shown

    @overload
    def metrics(
        self, *names: str, recursive: Literal[False] = ..., points_max: int | None = ...
    ) -> dict[str, Metric]: ...

    @overload
    def metrics(
        self, *names: str, recursive: Literal[True], points_max: int | None = ...
    ) -> dict[str, dict[str, Metric]]: ...

    def metrics(
        self, *names: str, recursive: bool = False, points_max: int | None = None
    ) -> dict[str, Metric] | dict[str, dict[str, Metric]]:
        """Metrics in columns, with their steps and times: ``{name: Metric}``. Ours.

        Args:
            names: only these; default: all.
            recursive: ``{run id: {name: Metric}}`` of this run and all descendants.
            points_max: only the last so many points of each.
        """
        found = [Metric(series) for series in self._series_data(names, recursive, points_max)]
        if not recursive:
            return {metric.name: metric for metric in found}
        by_run: dict[str, dict[str, Metric]] = {}
        for metric in found:
            by_run.setdefault(metric.run_id, {})[metric.name] = metric
        return by_run

    def curve(
        self,
        name: str,
        *,
        column: str | None = None,
        x: Axis = "step",
        start: int | None = None,
        stop: int | None = None,
        last: int | None = None,
        buckets: int | None = None,
    ) -> Curve:
        """One metric as NumPy arrays, sorted along an axis. Ours.

        Args:
            name: the metric.
            column: which column of rows or tables.
            x: ``step``, ``time`` (ms since the epoch), or ``index``: the place of a point in the metric.
            start: only from this x on.
            stop: only before this x.
            last: only so many points, those with the greatest x.
            buckets: where there are more points, their least, greatest, mean, … in at most so many buckets, however
                many points there are; default: all points.

        Raises:
            NotFound: the run has no such metric.
            Invalid: the metric has several columns, or an argument that cannot be.
        """
        return one_curve(
            self.curves(name, x=x, start=start, stop=stop, last=last, buckets=buckets),
            self._run_id,
            name,
            column,
        )

    def curves(
        self,
        *names: str,
        x: Axis = "step",
        start: int | None = None,
        stop: int | None = None,
        last: int | None = None,
        buckets: int | None = None,
    ) -> Curves:
        """The same of several metrics (none named: all) in one request; each column of rows is one. Ours."""
        asked = Asked(names=names, x=x, start=start, stop=stop, last=last, buckets=buckets)
        return read_curves(self._workspace, [self._run_id], asked)

    def _series_data(
        self, names: tuple[str, ...], recursive: bool, points_max: int | None
    ) -> list[SeriesData]:
        self._connection.deliver_values(METRICS_FLUSH_S)
        workspace, run_id = self._workspace.name, self._run_id
        return self._ask(
            lambda transport, at: transport.metrics(workspace, run_id, names, recursive, points_max, at)
        )

    def _ids_of_type(self, run_type: str) -> set[str]:
        import msgspec

        query = msgspec.structs.replace(
            run_query(None, run_type, None, None, None, True), ancestor_run_id=self._run_id
        )
        ids = {view.run_id for view in self._workspace._pages(query)}
        return ids | ({self._run_id} if self.type == run_type else set())

    # The audit trail

    def history(self) -> list[HistoryEntry]:
        """What happened to the run, who did it and what was refused, in order; metric batches are left out. Ours."""
        workspace, run_id = self._workspace.name, self._run_id
        entries: list[HistoryEntry] = []
        while True:
            start = entries[-1].stream_seq + 1 if entries else 1
            page = self._ask(
                lambda transport, at, start=start: transport.history(  # type: ignore[misc]
                    workspace, run_id, start, _HISTORY_PAGE, at
                )
            )
            entries += page
            if len(page) < _HISTORY_PAGE:
                return entries

    def writers(self) -> list[WriterMark]:
        """Per process that wrote to the run: how far it came, what is missing, what it declared lost. Ours."""
        return self._ask(lambda transport, _: transport.writers(self._workspace.name, self._run_id))
