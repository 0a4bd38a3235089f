"""Whether a broker or a database answers, in a few bytes of its own protocol and without any client library."""

from __future__ import annotations

import socket
import struct
from typing import Final

PROBE_S_MAX: Final = 2.0
_API_VERSIONS: Final = 18
_CORRELATION: Final = 0x72756E66
_PROTOCOL_3: Final = 196_608
_MESSAGE_BYTES_MAX: Final = 4_096
_NOT_ACCEPTING: Final = b"C57P03\0"


def kafka_answers(host: str, port: int) -> bool:
    """Whether a broker takes requests there. A broker opens its port before it does, so connecting proves nothing."""
    body = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION, -1)
    try:
        with socket.create_connection((host, port), PROBE_S_MAX) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            return _exactly(connection, 8)[4:] == struct.pack(">i", _CORRELATION)
    except OSError:
        return False


def postgres_answers(host: str, port: int, user: str) -> bool:
    """Whether a database takes connections there: it asks for credentials, and is not starting or ending."""
    body = struct.pack(">i", _PROTOCOL_3) + f"user\0{user}\0database\0postgres\0\0".encode()
    try:
        with socket.create_connection((host, port), PROBE_S_MAX) as connection:
            connection.sendall(struct.pack(">i", len(body) + 4) + body)
            kind, length = struct.unpack(">ci", _exactly(connection, 5))
            # Read to its end also where it does not matter: a connection that is closed before gets a line in the log.
            message = _exactly(connection, min(length, _MESSAGE_BYTES_MAX) - 4)
            return kind == b"R" or (kind == b"E" and _NOT_ACCEPTING not in message)
    except OSError:
        return False


def _exactly(connection: socket.socket, size: int) -> bytes:
    """``size`` bytes; fewer is an OSError, as a closed connection is."""
    connection.settimeout(PROBE_S_MAX)
    held = b""
    while len(held) < size:
        more = connection.recv(size - len(held))
        if not more:
            raise ConnectionResetError
        held += more
    return held
