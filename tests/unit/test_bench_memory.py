"""What benchmarks touch before they measure is touched."""

from __future__ import annotations

import mmap
import resource

from benchmarks.memory import touch_us


def test_every_page_is_touched() -> None:
    pages = 2_048
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    took_us = touch_us(pages * mmap.PAGESIZE)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before >= pages
    assert took_us > 0
