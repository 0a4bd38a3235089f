"""What a forked child must make anew: locks, descriptors and connections belong to the process that made them."""

from __future__ import annotations

import os
from typing import Any, Protocol
from weakref import WeakSet


class ForkAware(Protocol):
    """Something that a child of ``fork`` may not go on using as it is."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""
        ...


_followers: WeakSet[Any] = WeakSet()
_generation = 0


def follow(follower: ForkAware) -> None:
    """Have ``follower.after_fork()`` called in every child, as long as it lives."""
    _followers.add(follower)


def generation() -> int:
    """How many forks lie between the first process and this one: tells a child from its parent."""
    return _generation


def keep_for_ever(thing: object) -> None:
    """Never let Python destroy ``thing``, not even at exit.

    Closing an inherited SQLite connection in a child could checkpoint or delete the log under the parent's hands;
    SQLite says not to touch it. A leaked reference is the one way to be sure that no destructor does.
    """
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _after_fork() -> None:
    global _generation  # noqa: PLW0603  a process has one history
    _generation += 1
    for follower in list(_followers):
        follower.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
