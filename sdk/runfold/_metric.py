"""A metric in columns, with types, steps and times: what the compatible shapes leave out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runfold_projections.model import SeriesData


class Metric:
    """One metric of one run; all sequences have ``len(metric)`` values, in the order of logging.

    Attributes:
        run_id: the run.
        name: the metric.
        kind: ``scalar``, ``list``, ``row`` or ``table``; that of the first point where kinds are mixed.
        steps: the step of each point, None where it has none.
        times_ms: when each point was logged, ms since the epoch.
        columns: values by column, None where a point lacks one. A scalar or list has one column of its own name.
    """

    __slots__ = ("columns", "kind", "name", "run_id", "steps", "times_ms")

    def __init__(self, series: SeriesData) -> None:
        self.run_id = series.run_id
        self.name = series.name
        self.kind = series.kind
        self.steps: list[int | None] = series.steps
        self.times_ms: list[int] = series.times_ms
        self.columns: dict[str, list[Any]] = series.columns

    def __len__(self) -> int:
        return len(self.times_ms)

    @property
    def times(self) -> list[datetime]:
        """When each point was logged, UTC."""
        return [datetime.fromtimestamp(ms / 1_000, UTC) for ms in self.times_ms]

    @property
    def values(self) -> list[Any]:
        """The values of a scalar or list; of rows and tables a dict for each point."""
        if set(self.columns) == {self.name}:
            return self.columns[self.name]
        names = list(self.columns)
        return [dict(zip(names, cells, strict=True)) for cells in zip(*self.columns.values(), strict=True)]

    def to_numpy(self, column: str | None = None) -> NDArray[Any]:
        """One column as an array: float64, int64, bool, or object where types are mixed; None among numbers is NaN.

        Raises:
            KeyError: there is no such column; a scalar or list needs no name.
        """
        import numpy as np

        cells = self.columns[self.name if column is None else column]
        kinds = set(map(type, cells))
        if kinds == {int}:
            return np.array(cells, np.int64)
        if kinds == {bool}:
            return np.array(cells, np.bool_)
        if kinds <= {float, int, type(None)} and float in kinds | {float}:
            return np.array([np.nan if cell is None else cell for cell in cells], np.float64)
        return np.array(cells, object)

    def steps_to_numpy(self) -> NDArray[Any]:
        """Steps as int64, or as float64 with NaN where some points have none."""
        import numpy as np

        if None in self.steps:
            return np.array([np.nan if step is None else step for step in self.steps], np.float64)
        return np.array(self.steps, np.int64)

    def times_to_numpy(self) -> NDArray[Any]:
        """Times as ``datetime64[ms]``, UTC."""
        import numpy as np

        return np.array(self.times_ms, "datetime64[ms]")

    def __repr__(self) -> str:
        columns = "" if set(self.columns) == {self.name} else f", columns={list(self.columns)}"
        return f"Metric({self.name!r}, kind={self.kind!r}, points={len(self)}{columns})"
