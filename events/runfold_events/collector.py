"""Python's collector of cycles, and calls that make very many objects."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

MANY_OBJECTS: Final = 1_000


@contextmanager
def paused_for(count: int) -> Generator[None]:
    """Look for no garbage in a call that makes ``count`` of something, where that is many.

    Ten thousand runs on their way are some hundred thousand objects, all of them in use. The collector would look
    through all that the program has again and again meanwhile, for a tenth of the time that the call takes, and a
    quarter of what a server needs to commit them.
    """
    if count < MANY_OBJECTS or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
