"""Who may talk to the server: tokens, the Host and Origin of a request, the addresses a server may listen on."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

from msgspec import Struct

from runfold_events.contract import limits
from runfold_events.contract.errors import Invalid, Unauthorized
from runfold_events.contract.submission import Actor
from runfold_services.api.run_tokens import make_token, read_token

# Nobody is known without tokens: everybody on this machine is the same actor, and may do everything.
ANONYMOUS: Final = Actor("anonymous", "anonymous", admin=True)
RUNFOLD_TOKEN_NAME: Final = "default"  # the name of an actor
HOSTS_REMEMBERED: Final = 256  # as requests name them


class Credential(Struct, frozen=True):
    """One token's digest and whom it stands for."""

    digest: bytes
    actor: Actor


class Credentials:
    """The tokens of a server. Only digests are kept, and all of them are compared, each in constant time."""

    def __init__(self, credentials: Sequence[Credential] = ()) -> None:
        self._credentials = tuple(credentials)

    @property
    def are_configured(self) -> bool:
        """False: everybody is :data:`ANONYMOUS`."""
        return bool(self._credentials)

    def actor_of(self, authorization: str | None) -> Actor:
        """The actor whose token ``Authorization: Bearer …`` carries.

        Raises:
            Unauthorized: there is no token, or it is not known.
        """
        if not self._credentials:
            return ANONYMOUS
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized(
                "this server asks for a token: Authorization: Bearer …", facts={"field": "Authorization"}
            )
        digest = _digest(token.strip())
        found: Actor | None = read_token(token.strip(), self._secrets())
        for credential in self._credentials:
            if hmac.compare_digest(digest, credential.digest):
                found = credential.actor
        if found is None:
            raise Unauthorized("this token is not known", facts={"field": "Authorization"})
        return found

    def run_token(
        self, actor: Actor, workspace: str, run_id: str, holders: Sequence[UUID] = ()
    ) -> str | None:
        """A token for one run, by the authority of ``actor``; None where no tokens are configured.

        ``holders``: processes that it must not speak for.
        """
        secrets = self._secrets().get(actor.name)
        return make_token(secrets[0], actor.name, workspace, run_id, holders) if secrets else None

    def _secrets(self) -> dict[str, list[bytes]]:
        """What run tokens are signed with: the digests, which only the server knows."""
        secrets: dict[str, list[bytes]] = {}
        for credential in self._credentials:
            secrets.setdefault(credential.actor.name, []).append(credential.digest)
        return secrets


def load_credentials(token: str | None, tokens_file: Path | None) -> Credentials:
    """The credentials of ``RUNFOLD_TOKEN`` (an admin named ``default``) and of a file of tokens.

    A line of the file is a name, a token, and for an admin the word ``admin``; ``#`` begins a comment.

    Raises:
        Invalid: the file cannot be read or a line is none of that; the message names the line, never the token.
    """
    found: list[Credential] = []
    if token is not None:
        found.append(_credential(RUNFOLD_TOKEN_NAME, token, is_admin=True, where="RUNFOLD_TOKEN"))
    if tokens_file is not None:
        found.extend(_read_tokens(tokens_file))
        if not found:
            raise _bad_tokens(f"{tokens_file} holds no token")
    return Credentials(found)


def _read_tokens(path: Path) -> list[Credential]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _bad_tokens(f"the file of tokens {path} cannot be read: {error}") from None
    found: list[Credential] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) not in {2, 3} or (len(words) == 3 and words[2] != "admin"):
            raise _bad_tokens(f"{path}, line {number}: expected a name, a token and maybe the word admin")
        found.append(
            _credential(words[0], words[1], is_admin=len(words) == 3, where=f"{path}, line {number}")
        )
    return found


def _credential(name: str, token: str, *, is_admin: bool, where: str) -> Credential:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise _bad_tokens(f"{where}: a token may hold printable ASCII characters only, and no space")
    if len(name) > limits.ACTOR_CHARS_MAX:
        raise _bad_tokens(f"{where}: a name may have {limits.ACTOR_CHARS_MAX} characters")
    return Credential(_digest(token), Actor(name, "token", is_admin))


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def _bad_tokens(why: str) -> Invalid:
    return Invalid(why, facts={"field": "tokens"})


# where a server may listen, and what a browser may ask of it


@lru_cache(HOSTS_REMEMBERED)
def is_loopback(host: str) -> bool:
    """True for ``localhost`` and the addresses of this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_listen_address(host: str, credentials: Credentials) -> None:
    """Refuse to offer an open server to other machines."""
    if not is_loopback(host) and not credentials.are_configured:
        raise Unauthorized(
            f"refusing to listen on {host} without a token: other machines could reach it. Set RUNFOLD_TOKEN (or "
            "RUNFOLD_TOKENS_FILE), or listen on 127.0.0.1",
            facts={"field": "host", "limit": "a loopback address", "size": host},
        )


def check_browser(headers: Mapping[str, str], method: str, credentials: Credentials) -> None:
    """Keep web pages of other origins away.

    Without tokens any page could otherwise reach a server on this machine: by a name that it makes resolve to
    127.0.0.1 (so Host must be a loopback name), or by a plain cross-origin write (so Origin must be the server's own).
    """
    host = headers.get("host", "")
    if not credentials.are_configured and not is_loopback(_without_port(host)):
        raise Unauthorized(
            f"Host {host[:80]!r} is not this machine; use http://127.0.0.1 or http://localhost, or configure a token",
            code="forbidden",
            facts={"field": "Host", "limit": "a loopback name", "size": host[:80]},
        )
    origin = headers.get("origin")
    if origin is not None and method not in {"GET", "HEAD"} and origin.partition("://")[2] != host:
        raise Unauthorized(
            f"Origin {origin[:80]!r} is not this server",
            code="forbidden",
            facts={"field": "Origin", "limit": host, "size": origin[:80]},
        )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0].lstrip("[")
    return host.partition(":")[0]
