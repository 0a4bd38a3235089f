"""Our statements as Postgres takes them: one row at a time, and many rows in one statement.

A long text is compared by a hash, too, since an entry of an index has room for 2,700 bytes only; where it names a row,
two hashes of 64 bits do so in its place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from runfold_projections.filters.patterns import like
from runfold_projections.projection import Parameters
from runfold_projections.spelling import AMONG, IS, JOINED, KEY, LIKE, Keys, Pattern

_PARAMETER: Final = re.compile(r"\$(\d+)")
_VALUES: Final = re.compile(r"VALUES \([$\d,\s]+\)")
_WHERE: Final = re.compile(r"\bWHERE\b")
_TYPES: Final = {
    str: "text",
    int: "bigint",
    float: "numeric",
    bytes: "bytea",
    Pattern: "text",
    Keys: "bigint[]",
}


def spelled(sql: str, prefix: str) -> str:
    """The words of :mod:`runfold_projections.spelling` as Postgres's."""
    sql = IS.sub(r"(\1 = \2 AND hashtextextended(\1, 0) = hashtextextended(\2, 0))", sql)
    sql = KEY.sub(r"hashtextextended(\1, 0), hashtextextended(\1, 1)", sql)
    sql = JOINED.sub(r"string_agg(\1, ',' ORDER BY \2)", sql)
    # ILIKE under the collation "C", which all our columns have, takes the letters A to Z for their small ones.
    sql = LIKE.sub(lambda found: f"{found[2]} {'I' if found[1] else ''}LIKE {found[3]} ESCAPE '\\'", sql)
    sql = AMONG.sub(r"\1 = ANY (\2)", sql)
    return sql.replace("{p}", prefix)


def numbered(sql: str, parameters: Parameters) -> str:
    """Plain ``?`` as ``$1``, ``$2``, …, each of the type that its value says.

    Left alone, Postgres would take a value's type from what it is compared with, and a column of integers cannot be
    compared with 0.5 then.
    """
    parts = sql.split("?")
    marks = [f"${place}::{_TYPES[type(value)]}" for place, value in enumerate(parameters, 1)]
    return "".join(part + mark for part, mark in zip(parts, [*marks, ""], strict=True))


def bound(value: Any) -> Any:
    """A parameter of compiled SQL as the driver takes it."""
    if isinstance(value, Keys):
        return list(value.numbers)
    return like(value.text) if isinstance(value, Pattern) else value


def for_many(sql: str, types: Sequence[str]) -> str:
    """The statement for many rows of parameters at once, which are given as one array for each parameter.

    Writing: all rows are changed by one statement, so no two may be the same row. Reading: the rows of the first key
    come first, those of one key in the statement's own order; a last column is for the sorting alone.
    """
    arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(types, 1))
    names = ", ".join(f"k{place}" for place in range(1, len(types) + 1))
    by_key = _PARAMETER.sub(r"k.k\1", sql)
    if sql.startswith("INSERT"):
        return _VALUES.sub(f"SELECT * FROM unnest({arrays})", sql, count=1)  # noqa: S608  # of parameters alone
    if sql.startswith("DELETE"):
        return _WHERE.sub(f"USING unnest({arrays}) AS k ({names}) WHERE", by_key, count=1)
    return (
        f"SELECT q.* FROM unnest({arrays}) WITH ORDINALITY AS k ({names}, place) CROSS JOIN LATERAL "  # noqa: S608
        f"(SELECT found.*, row_number() OVER () AS within FROM ({by_key}) AS found) AS q ORDER BY k.place, q.within"
    )
