"""Pages that are rendered from code say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.reference import BEGIN, PAGES, with_part
from tests.support.repository import ROOT

pytestmark = pytest.mark.source_tree


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_rendered_part_is_up_to_date(page: Path) -> None:
    text = page.read_text("utf-8")

    assert BEGIN in text
    assert text == with_part(text, PAGES[page]()), "run: .venv/bin/python -m tests.support.reference"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}

    assert {name for name in pages if f"]({name})" not in index} == set()
