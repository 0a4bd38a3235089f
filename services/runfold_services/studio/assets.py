"""Serving the Studio's files: from memory, in the form that was compressed when they were built.

The program is one page: every address below ``/studio`` that is no file answers with it, and it finds out by itself
what the address shows. Nothing here knows anything of runs, so nothing here asks who is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

ROOT: Final = "/studio"
BUILT: Final = Path(__file__).parent / "static"
_PAGE: Final = "index.html"
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))  # the smaller one first
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob: data:",  # previews of files, which are fetched with the token
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        "require-trusted-types-for 'script'",  # text never becomes a part of the page as HTML or as a program
        "trusted-types 'none'",
    )
)
_GUARDS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_FOR_EVER: Final = b"public, max-age=31536000, immutable"  # the name has a digest of the content in it
_ASK_AGAIN: Final = b"no-cache"
_HASHED: Final = re.compile(r"assets/[^/]+-[\w-]{8}\.\w+\Z")

_NOT_BUILT: Final = """\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>runfold</title></head>
<body>
<h1>The Studio is not built</h1>
<p>This server runs from a checkout in which the Studio has not been built. In the checkout, run</p>
<pre>./dev studio</pre>
<p>and start the server again. Node is not needed: it is taken from a package. An installed runfold has the Studio.</p>
<p>The API works without it: <a href="/schema/openapi.json">/schema/openapi.json</a>.</p>
</body></html>
"""

_UNWANTED: Final = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*\Z")

Headers = list[tuple[bytes, bytes]]


class Asset(Struct, frozen=True):
    """One file in each form that it is kept in; None is the form without compression."""

    content_type: bytes
    etag: bytes
    is_hashed: bool
    bodies: Mapping[str | None, bytes]


class Studio:
    """An ASGI application for ``/`` and everything below :data:`ROOT`."""

    def __init__(self, folder: Path = BUILT) -> None:
        """Read all files, once: they are a few hundred kilobytes."""
        self._assets = _read(folder) if (folder / _PAGE).is_file() else {}

    @property
    def names(self) -> list[str]:
        """The files there are; none where it has not been built."""
        return sorted(self._assets)

    @staticmethod
    def owns(path: str) -> bool:
        """Whether the path is the Studio's and not the API's."""
        return path in {"/", ROOT} or path.startswith(ROOT + "/")

    async def __call__(self, scope: Any, headers: Mapping[str, str], send: Any) -> int:
        """Answer; returns the status."""
        if scope["method"] not in {"GET", "HEAD"}:
            return await _send(scope, send, 405, [(b"allow", b"GET, HEAD")], b"")
        if scope["path"] in {"/", ROOT}:
            return await _send(scope, send, 307, [(b"location", ROOT.encode() + b"/")], b"")
        if not self._assets:
            about = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
            return await _send(scope, send, 503, about, _NOT_BUILT.encode())
        name = scope["path"][len(ROOT) + 1 :]
        asset = self._assets.get(name)
        if asset is None:
            if name.startswith("assets/"):
                return await _send(
                    scope, send, 404, [(b"content-type", b"text/plain")], b"there is no such file\n"
                )
            asset = self._assets[_PAGE]
        return await _send_asset(scope, headers, send, asset)


async def _send_asset(scope: Any, headers: Mapping[str, str], send: Any, asset: Asset) -> int:
    encoding = _encoding(headers.get("accept-encoding", ""), asset)
    about: Headers = [
        (b"content-type", asset.content_type),
        (b"cache-control", _FOR_EVER if asset.is_hashed else _ASK_AGAIN),
        (b"etag", asset.etag),
        (b"vary", b"accept-encoding"),
    ]
    if asset.etag.decode() in headers.get("if-none-match", ""):
        return await _send(scope, send, 304, about, None)
    if encoding is not None:
        about.append((b"content-encoding", encoding.encode()))
    return await _send(scope, send, 200, about, asset.bodies[encoding])


async def _send(scope: Any, send: Any, status: int, headers: Headers, body: bytes | None) -> int:
    about = [*headers, *_GUARDS]
    if body is not None:
        about.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": about})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body or b""})
    return status


def _encoding(accepted: str, asset: Asset) -> str | None:
    names = {
        name.strip() for part in accepted.split(",") for name, _, q in (part.partition(";"),) if _is_wanted(q)
    }
    for name, _ in _ENCODINGS:
        if name in names and name in asset.bodies:
            return name
    return None


def _is_wanted(parameter: str) -> bool:
    """Whether ``q=…`` of an Accept-Encoding is more than nothing; without one it is."""
    return _UNWANTED.match(parameter) is None


def _read(folder: Path) -> dict[str, Asset]:
    endings = {ending for _, ending in _ENCODINGS}
    plain = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in endings]
    assets: dict[str, Asset] = {}
    for path in plain:
        content_type = _TYPES.get(path.suffix)
        if content_type is None:
            continue  # not for browsers, such as the note of what this was built from
        name = path.relative_to(folder).as_posix()
        content = path.read_bytes()
        bodies: dict[str | None, bytes] = {None: content}
        for encoding, ending in _ENCODINGS:
            packed = path.with_name(path.name + ending)
            if packed.is_file():
                bodies[encoding] = packed.read_bytes()
        assets[name] = Asset(
            content_type=content_type.encode(),
            etag=f'"{sha256(content).hexdigest()[:32]}"'.encode(),
            is_hashed=_HASHED.match(name) is not None,
            bodies=bodies,
        )
    return assets
