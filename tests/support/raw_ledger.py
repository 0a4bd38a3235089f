"""What stands in a ledger's file, read with nothing but sqlite3, msgpack and zstd: none of our own code.

Used to check what others say they have written.
"""

from __future__ import annotations

import itertools
import sqlite3
import struct
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import zstandard

ENDS: Final = {"run.completed": "Completed", "run.failed": "Failed", "run.canceled": "Canceled"}
_FORMATS: Final = {"i64": "q", "f64": "d", "bool": "?"}
Points = dict[str, list[tuple[int, float]]]  # (step, value) by series


class RawLedger:
    """All events of a file with one partition, in order of position."""

    def __init__(self, path: Path) -> None:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            query = "SELECT pos, type, stream, stream_seq, content_type, body FROM events ORDER BY position"
            self.rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()

    def holes(self) -> list[int]:
        """Positions that are missing or out of order."""
        return [expected for expected, row in enumerate(self.rows) if row[0] != expected]

    def gaps_in_streams(self) -> list[tuple[str, int]]:
        """Streams whose numbers are not 1, 2, 3 …, with the first number that is wrong."""
        last: dict[str, int] = defaultdict(int)
        wrong: list[tuple[str, int]] = []
        for _, _, stream, number, _, _ in self.rows:
            if number != last[stream] + 1:
                wrong.append((stream, number))
            last[stream] = number
        return wrong

    def statuses(self) -> dict[str, str]:
        """How each run stands, by the last event that says so."""
        found: dict[str, str] = {}
        for _, kind, stream, _, _, _ in self.rows:
            run_id = stream.rpartition("/")[2]
            if kind == "run.started":
                found[run_id] = "Running"
            elif kind == "run.lost":
                found[run_id] = "NotResponding"
            elif kind in ENDS:
                found[run_id] = ENDS[kind]
        return found

    def types(self, run_id: str) -> list[str]:
        """The types of a run's events."""
        return [row[1] for row in self.rows if row[2].endswith(f"/run/{run_id}")]

    def points(self, run_id: str) -> Points:
        """All scalar points of a run."""
        found: Points = defaultdict(list)
        for _, kind, stream, _, content_type, body in self.rows:
            if kind == "run.metrics_logged" and stream.endswith(f"/run/{run_id}"):
                assert content_type == "application/msgpack"
                for series in msgspec.msgpack.decode(body)["series"]:
                    name = series["name"]
                    values = _column(series["columns"][name])
                    found[name] += zip(_column(series["steps"]), values, strict=True)
        return found


def _column(column: dict[str, Any]) -> list[Any]:
    if column.get("values") is not None:
        return list(column["values"])
    letter, count, data = _FORMATS[column["dtype"]], column["count"], column["data"]
    codec = column["codec"]
    if codec != "raw":
        data = zstandard.ZstdDecompressor().decompress(data, max_output_size=count * 8)
    if codec.endswith("shuffle-zstd"):
        data = b"".join(bytes(data[place::count]) for place in range(count))
    values = list(struct.unpack(f"<{count}{letter}", data))
    return list(itertools.accumulate(values)) if codec.startswith("delta-") else values
