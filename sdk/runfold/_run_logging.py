"""How values get into a run."""

# pyright: reportPrivateUsage=false
# Handles are friends of one another: what they share is no part of the public surface.

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, SupportsIndex

from runfold import _values
from runfold._filters import is_mapping
from runfold._packing import COMMAND_CELLS_MAX, COMMAND_TEXT_CHARS_MAX, weigh
from runfold._run_base import RunBase
from runfold._streams import Block, Rejection, Series
from runfold_events.contract import limits
from runfold_events.contract.commands import LogParams, ParamValue
from runfold_events.contract.errors import Invalid, LimitExceeded, Unavailable
from runfold_events.contract.validation import check_text

CALL_CELLS_MAX: Final = 500_000
_INT_MIN: Final = limits.INT64_MIN
_INT_MAX: Final = limits.INT64_MAX
_STEP_MIN: Final = limits.STEP_MIN


class RunLogging(RunBase):
    """Logging calls check their values, append them to a queue, and return: they never wait for the store.

    They are in a spool on disk when the call returns, so they survive this process. A background thread sends them in
    order, at the latest a second later; :meth:`~runfold.Run.flush`, and every lifecycle call, waits for them. When the
    store is gone for so long that the spool is full (1 GiB), new values are counted instead, and the run's history says
    how many.
    """

    def log(
        self, name: str, value: Any, description: str = "", step: SupportsIndex | float | None = None
    ) -> None:
        """Log one value: float, int (64 bits), bool or text; NumPy's and their like are converted, None is dropped.

        Args:
            name: the metric, 1 to 512 characters.
            value: what is none of the above (a tuple, a dict, a date) is logged as its ``repr``.
            description: what the metric means.
            step: a whole number, such as an epoch or batch: data, not order; any order and duplicates are legal.

        Raises:
            Invalid: the value is a list or array, or not loggable; the name or step is not one.
            LimitExceeded: a text or integer is too large.
        """
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]  # of anything
        try:
            series = self._scalars[name]
        except (KeyError, TypeError):
            series = self._new_scalar(name)
        if description:
            series.describe(_description(description))
        if step is None or (type(step) is int and _STEP_MIN <= step <= _INT_MAX):
            whole = step
        else:
            whole = _values.check_step(step, "step")
        if kind is float or kind is bool or (kind is int and _INT_MIN <= value <= _INT_MAX):
            if not self._journal.add(series, whole, value):
                self._no_room()
        else:
            self._log_other(series, whole, value)

    def log_list(self, name: str, value: Iterable[Any], description: str = "") -> None:
        """Log several values of one metric at once: a list or anything else that can be iterated, NumPy arrays too.

        Raises:
            Invalid: not a list, or one of its elements is not loggable; nothing was logged.
        """
        values = _values.list_values(value, _values.check_name(name))
        self._add_block(self._series(name, "list", description), {name: values}, len(values))

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """Log one row of a table: ``run.log_row("scores", epoch=3, f1=0.7)``.

        Raises:
            Invalid: a column is a list or not loggable; nothing was logged.
        """
        series = self._series(name, "row", description or "")
        row = _values.row_values(kwargs, name)
        if not self._journal.add_wide(series, None, row, values=1):
            self._no_room()

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Log a table: a dict of columns of equal length; a single value is a column of one.

        Raises:
            Invalid: not such a dict, or a cell is not loggable; nothing was logged.
        """
        columns = _values.table_values(value, _values.check_name(name))
        count = len(next(iter(columns.values())))
        self._add_block(self._series(name, "table", description), columns, count)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters: typed, each written once. Ours: Azure ML has no such call.

        Args:
            params: names to bool, int, float, text or None.

        Raises:
            PropertyImmutable: one has another value already; none of them was recorded.
            Invalid: a value is of another type (also a nested dict: choose names such as ``model.depth``).
        """
        self._call(LogParams(run_id=self._run_id, params=_params(params)))

    def rejections(self) -> list[Rejection]:
        """What was refused after its call had returned: values, and commands queued while the server was gone.

        Refusals recorded in the run's history by anybody are in :meth:`~runfold.Run.history`.
        """
        return list(self._stream.rejections)

    # Ways in

    def _new_scalar(self, name: str) -> Series:
        series = self._series(name, "scalar")
        self._scalars[name] = series
        return series

    def _series(self, name: str, kind: str, description: str = "") -> Series:
        key = (_values.check_name(name), kind)
        series = self._stream.series.get(key)
        if series is None:
            series = self._stream.series.setdefault(key, Series(self._stream, str.__str__(name), kind))
        if description:
            series.describe(_description(description))
        return series

    def _log_other(self, series: Series, step: int | None, value: Any) -> None:
        plain = _values.one_scalar(value, series.name)
        if plain is None:
            return
        if type(plain) is str:
            room = self._journal.add_wide(series, step, plain, values=1)
        else:
            room = self._journal.add(series, step, plain)
        if not room:
            self._no_room()

    def _add_block(self, series: Series, columns: Mapping[str, list[Any]], count: int) -> None:
        """Queue many points, in parts that one command can carry. All of them or, when there is no room, none."""
        blocks = list(_blocks(columns, count))
        cells = sum(weigh(block)[0] for block in blocks)
        if cells > CALL_CELLS_MAX:
            raise LimitExceeded(
                f"{series.name}: one call may log {CALL_CELLS_MAX} cells; it has {cells}",
                facts={"field": series.name, "limit": CALL_CELLS_MAX, "size": cells},
            )
        for block in blocks:
            if not self._journal.add_wide(series, None, block, values=block.count):
                self._no_room()

    def _no_room(self) -> None:
        if self._workspace._strict:
            raise Unavailable(
                f"no room: {self._journal.values} values wait to be delivered; this one was counted as lost"
            )


def _blocks(columns: Mapping[str, list[Any]], count: int) -> Iterable[Block]:
    width = max(len(columns), 1)
    text_chars = sum(len(value) for values in columns.values() for value in values if type(value) is str)
    rows_by_text = count if not text_chars else max(1, COMMAND_TEXT_CHARS_MAX * count // text_chars // 4)
    rows = max(1, min(COMMAND_CELLS_MAX // width // 2, rows_by_text))
    for start in range(0, count, rows):
        part = {name: values[start : start + rows] for name, values in columns.items()}
        yield Block(part, min(rows, count - start))


def _description(description: str) -> str:
    text = str(description)
    check_text(text, "description", limits.METRIC_DESCRIPTION_CHARS_MAX)
    return text


def _params(params: Mapping[str, Any]) -> dict[str, ParamValue]:
    if not is_mapping(params):
        raise Invalid(
            f"params must be a dict, not {type(params).__name__}",
            facts={"field": "params", "limit": "dict", "size": type(params).__name__},
        )
    return {_param_name(name): _param(value, f"params.{str(name)[:80]}") for name, value in params.items()}


def _param_name(name: Any) -> str:
    if not isinstance(name, str):
        raise Invalid(
            f"a parameter's name must be a string, not {type(name).__name__}",
            facts={"field": "params", "limit": "str", "size": type(name).__name__},
        )
    return str.__str__(name)


def _param(value: Any, field: str) -> ParamValue:
    plain = value.item() if hasattr(value, "item") and hasattr(value, "dtype") and value.size == 1 else value
    if plain is None or isinstance(plain, bool):
        return plain
    for kind in (int, float):
        if isinstance(plain, kind):
            return kind(plain)
    if isinstance(plain, str):
        return str.__str__(plain)
    raise Invalid(
        f"{field} must be bool, int, float, text or None, not {type(value).__name__}",
        facts={"field": field, "limit": "bool, int, float, str or None", "size": type(value).__name__},
    )
