"""Lists, page after page: of a server the next one is asked for while the rows of this one are read."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from runfold_events.contract import limits

if TYPE_CHECKING:
    from runfold._connection import Connection
    from runfold_projections.model import Page, RunQuery, RunView

FIRST_PAGE_ROWS: Final = 50  # many callers want only the newest run
NEXT_PAGES_ROWS: Final = limits.PAGE_ROWS_MAX  # each page is looked for among all that match


def pages(
    connection: Connection, workspace: str, query: RunQuery, limit: int | None, *, ahead: bool
) -> Iterator[RunView]:
    """The rows of a list, at most ``limit``.

    Args:
        ahead: from the third page on, one is asked for before it is wanted; where another process answers.
    """
    left = limit
    page_rows = FIRST_PAGE_ROWS
    begun: Ahead | None = None
    while left is None or left > 0:
        page = None if begun is None else begun.take()
        if page is None:
            page = _ask(connection, workspace, _limited(query, page_rows, left))
        if page.next is None:
            yield from page.rows
            return
        left = None if left is None else left - len(page.rows)
        query = replace(query, page=page.next)
        if ahead and page_rows == NEXT_PAGES_ROWS and (left is None or left > 0):
            begun = Ahead(connection, workspace, _limited(query, page_rows, left))
        page_rows = NEXT_PAGES_ROWS
        yield from page.rows


class Ahead:
    """A page that is being asked for."""

    def __init__(self, connection: Connection, workspace: str, query: RunQuery) -> None:
        self._connection = connection
        self._workspace = workspace
        self._query = query
        self._pid = os.getpid()
        self._token = connection.token
        self._page: Page | None = None
        self._thread = threading.Thread(target=self._run, name="runfold-page", daemon=True)
        self._is_begun = False
        with suppress(RuntimeError):  # while Python ends
            self._thread.start()
            self._is_begun = True

    def take(self) -> Page | None:
        """The page; None when it has to be asked for now.

        That is so after a failure, which the next question tells, in a fork's child, which has no such thread, and
        where this process has been told of something since that the page may not include.
        """
        if not self._is_begun or os.getpid() != self._pid:
            return None
        self._thread.join()
        is_as_it_was = self._connection.token == self._token and not self._connection.has_open_calls
        return self._page if is_as_it_was else None

    def _run(self) -> None:
        with suppress(Exception):  # whatever it is, asking again says so
            self._page = _ask(self._connection, self._workspace, self._query)


def _limited(query: RunQuery, page_rows: int, left: int | None) -> RunQuery:
    return replace(query, limit=page_rows if left is None else min(left, page_rows))


def _ask(connection: Connection, workspace: str, query: RunQuery) -> Page:
    return connection.ask(lambda transport, at: transport.runs(workspace, query, at))
