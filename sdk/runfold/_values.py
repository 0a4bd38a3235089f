"""What may be logged: values are checked one by one, before they meet any others.

A value that cannot be recorded is refused here, in the call that brought it, and never takes its neighbours along.
NumPy scalars, 0-d arrays and tensors are known by their ``item()``; NumPy itself is not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeGuard

from runfold._filters import is_mapping
from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, LimitExceeded
from runfold_events.contract.validation import check_text

Scalar = bool | int | float | str

_INT_MIN: Final = limits.INT64_MIN
_INT_MAX: Final = limits.INT64_MAX
_FLOAT_EXACT_INT_MAX: Final = 2**53
_PLAIN: Final = (bool, int, float, str)
_SEVERAL: Final = (list, range, set, frozenset)
_ONE: Final = (str, bytes, dict)  # can be iterated, but nobody means that
_NESTED: Final = (list, tuple, dict, set)


def scalar(value: Any, field: str) -> Scalar | None:
    """``value`` as one of the four types that metrics have; None stays None.

    As in Azure ML, what is none of these (a tuple, a dict, a date) is recorded as its ``repr``.

    Raises:
        Invalid: an array or a text that no store can hold; ``field`` as given.
        LimitExceeded: an integer beyond 64 bits, or a text over its limit.
    """
    kind = type(value)  # pyright: ignore[reportUnknownVariableType]  # of anything
    if value is None or kind is float or kind is bool:
        plain: float | bool | None = value
        return plain
    if kind is str:
        return _text(value, field)
    if kind is int:
        return _integer(value, field)
    return _from_subclass(value, field)


def one_scalar(value: Any, field: str) -> Scalar | None:
    """:func:`scalar` for ``log``, which refuses what holds several values, in Azure ML's words.

    Raises:
        Invalid: a list, range, set or iterator.
    """
    if isinstance(value, _SEVERAL) or hasattr(value, "__next__"):
        raise not_one(_kind(value), field)
    return scalar(value, field)


def not_one(kind: str, field: str) -> Invalid:
    """What ``log`` says to several values."""
    return Invalid(
        "run.log does not support list type. Use run.log_list instead",
        facts={"field": field, "limit": "one value", "size": kind},
    )


def _kind(value: Any) -> str:
    return str(type(value).__name__)


def _from_subclass(value: Any, field: str) -> Scalar | None:
    """Subclasses of the plain types (``np.float64``, enum members) and everything that only looks like a number."""
    if isinstance(value, bool | float):
        return float(value) if isinstance(value, float) else bool(value)
    if isinstance(value, int):
        return _integer(int(value), field)
    if isinstance(value, str):
        return _text(str.__str__(value), field)
    item = getattr(value, "item", None)
    if callable(item) and hasattr(value, "dtype"):
        return _from_array(value, item, field)
    return _text(repr(value), field)


def _from_array(value: Any, item: Any, field: str) -> Scalar | None:
    if getattr(value, "ndim", 0) and getattr(value, "size", 1) != 1:
        raise not_one(_kind(value), field)
    plain = item()
    if isinstance(plain, _PLAIN):
        return scalar(plain, field)
    return _text(repr(plain), field)


def _integer(value: int, field: str) -> int:
    if not _INT_MIN <= value <= _INT_MAX:
        raise LimitExceeded(
            f"{field}: an integer must fit 64 bits; log larger ones as float or string",
            facts={"field": field, "limit": _INT_MAX, "size": str(value)[:80]},
        )
    return value


def _text(value: str, field: str) -> str:
    check_text(value, field, limits.METRIC_TEXT_VALUE_CHARS_MAX)
    return value


def check_step(step: Any, field: str) -> int | None:
    """``step`` as a 64-bit integer, or None.

    Raises:
        Invalid: not a whole number; LimitExceeded: beyond 64 bits.
    """
    if step is None:
        return None
    whole = step.item() if hasattr(step, "item") else step
    if isinstance(whole, float) and whole.is_integer():
        whole = int(whole)
    if not isinstance(whole, int) or isinstance(whole, bool):
        raise Invalid(
            f"{field} must be a whole number; got {step!r:.80}",
            facts={"field": field, "limit": "int", "size": type(step).__name__},
        )
    if not limits.STEP_MIN <= whole <= limits.STEP_MAX:
        raise LimitExceeded(
            f"{field} must fit 64 bits",
            facts={"field": field, "limit": limits.STEP_MAX, "size": str(whole)[:80]},
        )
    return int(whole)


def check_name(name: Any, field: str = "name", chars_max: int = limits.METRIC_NAME_CHARS_MAX) -> str:
    """``name`` if a metric or column may be called so."""
    if not isinstance(name, str):
        raise Invalid(
            f"{field} must be a string, not {type(name).__name__}",
            facts={"field": field, "limit": "str", "size": type(name).__name__},
        )
    check_text(name, field, chars_max, 1)
    return name


def list_values(values: Any, field: str) -> list[Scalar]:
    """The values of ``log_list``: any iterable but a text; None is left out.

    Where whole numbers and fractions meet, all become floats, as in Azure ML.
    """
    checked: list[Scalar] = []
    for index, value in enumerate(_iterate(values, field)):
        where = f"{field}[{index}]"
        if isinstance(value, _NESTED):
            kind = _kind(value)
            raise Invalid(
                f"{where} is a {kind}: a list holds single values; use log_table for columns",
                facts={"field": where, "limit": "one value", "size": kind},
            )
        plain = scalar(value, where)
        if plain is not None:
            checked.append(plain)
    return _widened(checked)


def _iterate(values: Any, field: str) -> Iterator[Any]:
    flat: Any = values.tolist() if hasattr(values, "tolist") else values
    if not _is_several(flat):
        raise Invalid(
            f"{field} must be a list of values, not {_kind(values)}",
            facts={"field": field, "limit": "list", "size": _kind(values)},
        )
    return iter(flat)


def _is_several(values: Any) -> TypeGuard[Iterable[Any]]:
    return isinstance(values, Iterable) and not isinstance(values, _ONE)


def _widened(values: list[Scalar]) -> list[Scalar]:
    if set(map(type, values)) != {int, float}:
        return values
    if any(type(value) is int and abs(value) > _FLOAT_EXACT_INT_MAX for value in values):
        return values
    return [float(value) for value in values]


def row_values(row: Mapping[str, Any], name: str) -> dict[str, Scalar]:
    """The columns of ``log_row``: single values; None is left out.

    Raises:
        Invalid: a value is a list, or there are too many columns.
    """
    _check_columns(len(row), name)
    checked: dict[str, Scalar] = {}
    for column, value in row.items():
        check_name(column, f"{name} column", limits.METRIC_COLUMN_NAME_CHARS_MAX)
        if isinstance(value, _SEVERAL):
            raise Invalid(
                f"Rows cannot contain list values, column {column} contains a list.",
                facts={"field": f"{name}.{column}", "limit": "one value", "size": _kind(value)},
            )
        plain = scalar(value, f"{name}.{column}")
        if plain is not None:
            checked[column] = plain
    return checked


def table_values(table: Any, name: str) -> dict[str, list[Scalar | None]]:
    """The columns of ``log_table``, of equal length; a single value is a column of one.

    Raises:
        Invalid: not a dict of columns, empty, or columns of different length.
    """
    if not is_mapping(table) or not table:
        raise Invalid(
            f"{name}: log_table needs a dict of columns with at least one column, not {_kind(table)}",
            facts={"field": name, "limit": "dict of lists", "size": _kind(table)},
        )
    _check_columns(len(table), name)
    checked: dict[str, list[Scalar | None]] = {}
    first = ""
    for column, values in table.items():
        check_name(column, f"{name} column", limits.METRIC_COLUMN_NAME_CHARS_MAX)
        checked[column] = _table_column(values, f"{name}.{column}")
        first = first or column
        if len(checked[column]) != len(checked[first]):
            raise Invalid(
                f"Columns must have the same length, column {first} had length {len(checked[first])}, "
                f"however, column {column} had length {len(checked[column])}.",
                facts={
                    "field": f"{name}.{column}",
                    "limit": len(checked[first]),
                    "size": len(checked[column]),
                },
            )
    return checked


def _table_column(values: Any, field: str) -> list[Scalar | None]:
    if isinstance(values, str | bytes | dict) or not (isinstance(values, Iterable)):
        return [scalar(values, field)]
    return [scalar(value, f"{field}[{index}]") for index, value in enumerate(_iterate(values, field))]


def _check_columns(count: int, name: str) -> None:
    if count > limits.METRIC_COLUMNS_PER_SERIES_MAX:
        raise LimitExceeded(
            f"{name} may have {limits.METRIC_COLUMNS_PER_SERIES_MAX} columns; it has {count}",
            facts={"field": name, "limit": limits.METRIC_COLUMNS_PER_SERIES_MAX, "size": count},
        )
