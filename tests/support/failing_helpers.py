"""Helper processes that go wrong: what starts them."""

from __future__ import annotations

import sys
from typing import Final


def helper_that(code: str) -> list[str]:
    """A process that runs ``code``."""
    return [sys.executable, "-c", code]


def helper_that_answers(expression: str) -> list[str]:
    """One that is ready, and answers ``request`` with what ``expression`` gives, if it gives anything."""
    imports = "import os, time; from runfold_services.helper_process import answer_requests"
    return helper_that(f"{imports}; answer_requests(lambda request: {expression})")


ENDS_AT_ONCE: Final = helper_that("")
ENDS: Final = helper_that_answers("os._exit(1)")
HANGS: Final = helper_that_answers("time.sleep(60)")
BABBLES: Final = helper_that_answers("b'broken'")
