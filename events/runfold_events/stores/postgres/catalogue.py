"""What the schema's own files say, in the words of ``catalogue.sql``: a store is made and checked by the same text.

The files are read, not run: whoever checks a store may not make another one to compare it with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from runfold_events.stores.postgres.schema import sql

_COMMENT: Final = re.compile(r"--[^\n]*")
_TABLE: Final = re.compile(r"CREATE TABLE (\w+) \((.*?)\n\)", re.DOTALL)
_KEY: Final = re.compile(r"PRIMARY KEY \(([^)]*)\)")
_COLUMN: Final = re.compile(r"(\w+) (\w+(?: \w+)*?(?:\[\])?)(?= NOT NULL| DEFAULT| PRIMARY KEY| CHECK|$)(.*)")
_INDEX: Final = re.compile(r"CREATE (UNIQUE )?INDEX (\w+) ON (\w+) \(([^)]*)\)( WHERE)?")
_TRIGGER: Final = re.compile(
    r"CREATE OR REPLACE TRIGGER (\w+) (BEFORE|AFTER) (\w+) ON (\w+)\s+FOR EACH (ROW|STATEMENT) "
    r"EXECUTE FUNCTION (\w+)\(\)"
)
_ALWAYS: Final = re.compile(r"ALTER TABLE (\w+) ENABLE ALWAYS TRIGGER (\w+)")
_FUNCTION: Final = re.compile(r"CREATE OR REPLACE FUNCTION (\w+)\((.*?)AS \$\$(.*?)\$\$", re.DOTALL)
_SEARCH_PATH: Final = re.compile(r"SET search_path = (\w+(?:, \w+)*)")


@cache
def expected_catalogue() -> Mapping[str, str]:
    """``{"trigger events_delete on events": definition, …}`` of a store as this version makes it."""
    schema, functions = _COMMENT.sub("", sql("schema.sql")), sql("functions.sql")
    return {
        **dict(_tables(schema)),
        **dict(_indexes(schema)),
        **dict(_triggers(functions)),
        **dict(_functions(functions)),
    }


def _tables(schema: str) -> Iterator[tuple[str, str]]:
    for table, body in _TABLE.findall(schema):
        yield f"table {table}", ""
        of_key = _KEY.search(body)
        key = [] if of_key is None else of_key[1].split(", ")
        for line in re.split(r",\s*\n", body):
            column = _COLUMN.fullmatch(line.strip())
            if column is None:
                continue
            name, kind, rest = column.groups()
            if "PRIMARY KEY" in rest:
                key.append(name)
            yield f"column {table}.{name}", f"{kind} NOT NULL" if "NOT NULL" in rest or name in key else kind
        yield f"index {table}_pkey", f"UNIQUE {table} ({', '.join(key)})"


def _indexes(schema: str) -> Iterator[tuple[str, str]]:
    for unique, name, table, columns, condition in _INDEX.findall(schema):
        yield f"index {name}", f"{unique}{table} ({columns}){condition}"


def _triggers(functions: str) -> Iterator[tuple[str, str]]:
    always = set(_ALWAYS.findall(functions))
    for name, when, what, table, each, function in _TRIGGER.findall(functions):
        enabled = "ALWAYS" if (table, name) in always else "SOMETIMES"
        yield f"trigger {name} on {table}", f"{when} {what} {each} {function} {enabled}"


def _functions(functions: str) -> Iterator[tuple[str, str]]:
    for name, head, body in _FUNCTION.findall(functions):
        path = _SEARCH_PATH.search(head)
        rights = "DEFINER" if "SECURITY DEFINER" in head else "INVOKER"
        yield f"function {name}", f"{rights} {'' if path is None else f'search_path={path[1]}'}{body}"
