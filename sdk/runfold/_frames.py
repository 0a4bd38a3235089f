"""Tables for pandas, polars and Arrow, each imported when somebody asks for it, with a word on what to install."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from runfold_events.contract.errors import Invalid

if TYPE_CHECKING:
    pass

Engine = Literal["pandas", "polars"]
ENGINES: Final = ("pandas", "polars")


def check_engine(engine: str) -> None:
    """Raise :class:`Invalid` unless there is such an engine and its package is installed."""
    if engine not in ENGINES:
        raise Invalid(
            f"engine must be one of {', '.join(ENGINES)}; got {engine!r}",
            facts={"field": "engine", "limit": ENGINES, "size": str(engine)[:80]},
        )
    _imported(engine)


def frame_of(columns: Mapping[str, Any], engine: str) -> Any:
    """A DataFrame of columns of equal length: arrays, or lists whose gaps are None.

    Times become UTC. A list of values of several kinds becomes texts in polars, which has no column of anything.

    Raises:
        Invalid: another engine, or its package is not installed.
    """
    check_engine(engine)
    if engine == "polars":
        polars = _imported("polars")
        return polars.DataFrame([_polars_series(polars, name, values) for name, values in columns.items()])
    pandas = _imported("pandas")
    return pandas.DataFrame({name: _pandas_column(pandas, values) for name, values in columns.items()})


def _pandas_column(pandas: Any, values: Any) -> Any:
    if _kind(values) == "M":
        return pandas.Series(values).dt.tz_localize("UTC")
    return values if hasattr(values, "dtype") else pandas.Series(values, dtype=_pandas_dtype(values))


def _pandas_dtype(values: Sequence[Any]) -> str | None:
    """Of a list: what pandas finds by itself, but that integers with gaps stay integers, and mixtures what they are."""
    kinds: set[Any] = set(map(type, values)) - {type(None)}
    if kinds == {int} and None in values:
        return "Int64" if all(_fits(value) for value in values) else "object"
    if kinds == {bool} and None in values:
        return "boolean"
    return "object" if len(kinds) > 1 and kinds != {int, float} else None


def _polars_series(polars: Any, name: str, values: Any) -> Any:
    kind = _kind(values)
    if kind == "M":
        return polars.Series(name, values).dt.replace_time_zone("UTC")
    if kind == "O":
        return polars.Series(name, values.tolist(), dtype=polars.String)
    if kind is not None:
        return polars.Series(name, values)
    kinds: set[Any] = set(map(type, values)) - {type(None)}
    if kinds <= {int, float} and float in kinds:
        return polars.Series(name, _each(float, values), dtype=polars.Float64)
    if len(kinds) > 1 or (kinds == {int} and not all(map(_fits, values))):
        return polars.Series(name, _each(str, values), dtype=polars.String)
    return polars.Series(name, list(values))


def _each(kind: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    return [None if value is None else kind(value) for value in values]


def _fits(value: int | None) -> bool:
    return value is None or -(2**63) <= value < 2**63


def _kind(values: Any) -> str | None:
    dtype = getattr(values, "dtype", None)
    return None if dtype is None else dtype.kind


def _imported(package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(package)
    except ImportError:
        raise Invalid(
            f"this needs {package}, which is not installed: pip install 'runfold[{package}]'",
            facts={"field": "engine", "limit": f"the package {package}"},
        ) from None
