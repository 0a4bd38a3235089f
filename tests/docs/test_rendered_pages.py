"""Pages that are rendered from code say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.reference import BEGIN, PAGES, with_part
from tests.support.repository import PACKAGES, ROOT, package_files

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


def test_the_architecture_page_says_who_owns_what() -> None:
    """A new module or package gets its line there: what it owns."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    parts = {
        path.relative_to(package).parts[0].removesuffix(".py")
        for package in PACKAGES.values()
        for path in package_files()
        if path.suffix == ".py" and path.is_relative_to(package)
    }
    named = {name.partition(".")[0] for name in re.findall(r"`([a-z_]+)[`.]", text)}
    handle = {part for part in parts if part.startswith("_run")}  # `_run*` stands for all of them

    assert "`_run*`" in text
    assert sorted(parts - named - handle - {"__init__"}) == []
