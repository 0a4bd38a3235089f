"""What databases spell differently, as words in our SQL that each adapter replaces by its own.

``{p}`` is the prefix of the tables. ``{is COLUMN VALUE}`` compares a text that may be too long for an index.
``{key COLUMN}`` stands for such a text where a row is named by it. ``{like COLUMN ?}`` and ``{ilike COLUMN ?}`` match a
:class:`Pattern`; ``ilike`` takes the letters A to Z alone for their small ones. ``{joined TEXT KEY}`` is the texts of a
group with commas between them, nulls left out; its rows come out of a table in the order of their keys.
``{among COLUMN ?}`` is true for those of :class:`Keys`, which are one parameter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

IS: Final = re.compile(r"\{is (\S+) ([^\s}]+)\}")
KEY: Final = re.compile(r"\{key ([^\s}]+)\}")
LIKE: Final = re.compile(r"\{(i?)like (\S+) ([^\s}]+)\}")
JOINED: Final = re.compile(r"\{joined (\S+) ([^\s}]+)\}")


AMONG: Final = re.compile(r"\{among (\S+) ([^\s}]+)\}")


class Keys(Struct, frozen=True):
    """The parameter of ``{among}``: at least one."""

    numbers: Sequence[int]


class Pattern(Struct, frozen=True):
    """The parameter of ``{like}`` or ``{ilike}``: ``%`` and ``_`` stand for others, a backslash makes them plain."""

    text: str
    ignore_case: bool
