"""Servers as jobs may find them: slow, silent, or not there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

SLOW_S: Final = 0.3  # before every answer's first byte
_BUFFER_BYTES: Final = 65_536


@contextmanager
def slow(url: str) -> Generator[str]:
    """A way to ``url`` on which everything takes 0.3 s longer; yields its URL."""
    place = urlsplit(url)
    with _listening() as listener:
        threading.Thread(
            target=_serve_slowly, args=(listener, place.hostname, place.port), daemon=True
        ).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def silent() -> Generator[str]:
    """A server that takes connections and never answers."""
    with _listening() as listener:  # the kernel takes connections for it
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def nobody() -> str:
    """An address where nobody listens."""
    with _listening() as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def _listening() -> Generator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


def _serve_slowly(listener: socket.socket, host: str | None, port: int | None) -> None:
    with suppress(OSError):  # the listener is closed at the end
        while True:
            client, _ = listener.accept()
            upstream = socket.create_connection((host or "", port or 0))
            threading.Thread(target=_pump, args=(client, upstream, 0.0), daemon=True).start()
            threading.Thread(target=_pump, args=(upstream, client, SLOW_S), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, delay_s: float) -> None:
    with suppress(OSError), source, target:
        while data := source.recv(_BUFFER_BYTES):
            time.sleep(delay_s)
            target.sendall(data)
