"""What holds for every test of the SDK's parts."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support.sdk import close_wires


@pytest.fixture(autouse=True)
def no_wire_is_left() -> Generator[None]:
    """A test may drop its ledger in memory; it is closed here."""
    yield
    close_wires()
