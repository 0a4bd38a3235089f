"""Memory that a virtual machine's host keeps for others until a page is touched.

A guest that frees memory may give it back to its host ("free page reporting"), so that the first touch of a page costs
several µs, as CPU time of whoever touches it. Servers that write much touch pages all the time: those of the page
cache. On a server that has been up for long the page cache has filled memory once and for all; on a machine where a
benchmark has just started its servers it has not.
"""

from __future__ import annotations

import mmap
import time


def touch_us(size_bytes: int) -> float:
    """Touch every page of ``size_bytes`` once and free them; what one page took, in µs."""
    with mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)  # the page cache has small ones
        pages = size_bytes // mmap.PAGESIZE
        with memoryview(memory) as view, view[:: mmap.PAGESIZE] as firsts:
            began = time.perf_counter()
            firsts[:] = bytes(pages)
            took = time.perf_counter() - began
    return took / pages * 1e6
