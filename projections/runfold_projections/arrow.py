"""Tables in Apache Arrow's form, by nanoarrow, which is a fiftieth of the size of the reference library (0101)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from runfold_events.contract.errors import Invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"


def arrow_of(table: Mapping[str, NDArray[Any]]) -> Any:
    """One struct array, a child for each column; an object that every Arrow library takes as a record batch.

    Integers, floats (NaN stays NaN), times in ms (UTC) and texts.

    Raises:
        Invalid: nanoarrow is not installed.
    """
    na = _nanoarrow()
    length = len(next(iter(table.values())))
    fields: dict[str, Any] = {}
    children: list[Any] = []
    for name, values in table.items():
        fields[name], buffers = _column(na, values)
        children.append(na.c_array_from_buffers(fields[name], length, [None, *buffers]))
    return na.Array(na.c_array_from_buffers(na.struct(fields), length, buffers=[None], children=children))


def _column(na: Any, values: NDArray[Any]) -> tuple[Any, list[Any]]:
    """The type of a column and what Arrow keeps of it, but no bits that say what is absent: nothing is."""
    import numpy as np

    kind = values.dtype.kind
    if kind == "O":
        texts = [text.encode() for text in values.tolist()]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        return na.string(), [ends, b"".join(texts)]
    if kind == "M":
        return na.timestamp("ms", "UTC"), [np.ascontiguousarray(values.view("i8"))]
    return (na.float64() if kind == "f" else na.int64()), [np.ascontiguousarray(values)]


def arrow_stream_of(table: Mapping[str, NDArray[Any]]) -> bytes:
    """The same as an IPC stream of one record batch.

    Raises:
        Invalid: nanoarrow is not installed.
    """
    array = arrow_of(table)
    from nanoarrow.ipc import StreamWriter

    out = io.BytesIO()
    with StreamWriter.from_writable(out) as writer:
        writer.write_stream(array)
    return out.getvalue()


def _nanoarrow() -> Any:
    try:
        import nanoarrow
    except ImportError:
        raise Invalid(
            "Arrow needs the package nanoarrow, which is not installed here: pip install 'runfold[arrow]'",
            facts={"field": "arrow", "limit": "the package nanoarrow"},
        ) from None
    return nanoarrow
