"""The exit codes of ``runfold``, and which error gives which."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from runfold_events.contract.errors import (
    Invalid,
    NotFound,
    PositionNotReached,
    RunfoldError,
    Unauthorized,
    Unavailable,
)


class Exit(IntEnum):
    """What a script can tell from ``$?``."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_FOUND = 3
    UNAVAILABLE = 4
    UNAUTHORIZED = 5
    DAMAGED = 6
    INTERRUPTED = 130


MEANINGS: Final[dict[Exit, str]] = {
    Exit.OK: "done",
    Exit.REFUSED: "refused by a rule, or another error; stderr says which",
    Exit.USAGE: "wrong usage: an option, a value, a filter or a --query",
    Exit.NOT_FOUND: "no such run, experiment or workspace",
    Exit.UNAVAILABLE: "the server or the ledger cannot be reached now; trying again may help",
    Exit.UNAUTHORIZED: "credentials are missing or do not allow this",
    Exit.DAMAGED: "the ledger, or a view, is damaged",
    Exit.INTERRUPTED: "stopped with Ctrl-C",
}

_EXITS: Final[dict[type[RunfoldError], Exit]] = {
    Invalid: Exit.USAGE,
    NotFound: Exit.NOT_FOUND,
    Unauthorized: Exit.UNAUTHORIZED,
    Unavailable: Exit.UNAVAILABLE,
    PositionNotReached: Exit.UNAVAILABLE,
}


def exit_of(error: RunfoldError) -> Exit:
    """The exit code for an error; subclasses count as what they are a kind of."""
    if error.code == "ledger_damaged":
        return Exit.DAMAGED
    for kind in type(error).__mro__:
        if kind in _EXITS:
            return _EXITS[kind]
    return Exit.REFUSED
