"""The documentation's pictures are real, all there, and looked at by somebody."""

from __future__ import annotations

import pytest

from tests.support.studio_pictures import IMAGES, IMAGES_BYTES_MAX, UPDATE, files_shown, files_taken

pytestmark = pytest.mark.source_tree


def test_every_picture_that_a_page_shows_is_there_and_taken_by_a_test() -> None:
    there = {file.name for file in IMAGES.iterdir()}
    again = f"take them: {UPDATE}=1 ./dev test tests/studio -k pictures"
    assert sorted(files_shown().keys() - there) == [], again
    assert there == files_taken(), again


def test_every_picture_is_shown_somewhere() -> None:
    assert sorted(files_taken() - files_shown().keys()) == []


def test_the_pictures_are_no_burden_to_a_checkout() -> None:
    assert sum(file.stat().st_size for file in IMAGES.iterdir()) < IMAGES_BYTES_MAX
