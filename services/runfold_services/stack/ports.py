"""Free ports on loopback."""

from __future__ import annotations

import random
import socket
import time
from itertools import islice
from typing import Final

from runfold_services.stack.port import StackError

HOST: Final = "127.0.0.1"
# Below what Linux and macOS hand out to outgoing connections (32,768 and 49,152 on). A client that keeps trying a
# port of that range while the server is down can be given the same port for its own end: it is then connected to
# itself, and the server cannot come back.
_RANGE: Final = range(20_000, 32_768)
_TRIES_MAX: Final = 200
_LINGERING_S_MAX: Final = 5.0
_LOOK_AGAIN_S: Final = 0.05


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now, in no particular order.

    Raises:
        StackError: none was found.
    """
    # Chosen at random, so that stacks which start at the same time seldom want the same ones.
    candidates = random.sample(_RANGE, _TRIES_MAX)
    found = list(islice((port for port in candidates if is_free(port)), count))
    if len(found) < count:
        raise StackError(f"no {count} free ports on {HOST} between {_RANGE.start} and {_RANGE.stop - 1}")
    return found


def becomes_free(port: int) -> bool:
    """True as soon as nothing listens on ``port``: a killed server's socket outlives it while its memory is let go."""
    deadline = time.monotonic() + _LINGERING_S_MAX
    while not is_free(port):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_AGAIN_S)
    return True


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
