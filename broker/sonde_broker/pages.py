"""The web viewer's files and the health of the broker, over plain HTTP, from memory.

Everything is read once at start: a request is looked up in a table, so that no path can lead anywhere else.
`websockets` serves one request for each connection, without a body; that is all a page needs.
"""

import gzip
import hashlib
import importlib.util
import re
from http import HTTPStatus
from pathlib import Path

from msgspec import Struct
from websockets.datastructures import Headers
from websockets.http11 import Response

from sonde_broker.errors import InvalidSettings
from sonde_broker.health import Health
from sonde_wire import asyncapi, codec

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".map": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}
"""Ours and not the system's table, which may call a script something that browsers refuse to run."""
_COMPRESSED = {".html", ".js", ".css", ".svg", ".json", ".map", ".txt", ".webmanifest"}
_HASHED = re.compile(r"-[A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_MOST_BYTES = 64 * 1024 * 1024

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

_NOT_BUILT = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sonde</title>
<h1>Sonde's broker is running</h1>
<p>Its web page is not part of this installation. In a checkout, build it with <code>make page</code>, or name a
directory with built files: <code>--page DIR</code>.</p>
<p>The command line works without it: <code>sonde ps</code>.</p>
</html>
"""


class Asset(Struct, frozen=True):
    content_type: str
    body: bytes
    etag: str
    packed: bytes | None
    """The same, compressed by gzip, where that is worth it."""
    immutable: bool

    @classmethod
    def of(cls, name: str, body: bytes) -> "Asset":
        suffix = Path(name).suffix.lower()
        packed = gzip.compress(body, 9, mtime=0) if suffix in _COMPRESSED and len(body) > 512 else None
        return cls(
            content_type=_TYPES.get(suffix, "application/octet-stream"),
            body=body,
            etag=hashlib.sha256(body).hexdigest()[:20],
            packed=packed if packed is not None and len(packed) < len(body) else None,
            immutable=name.startswith("/assets/") and bool(_HASHED.search(name)),
        )


def load(directory: Path | None) -> dict[str, Asset]:
    """The files by URL path. None: those of the installed viewer, or a plain page that says they are missing."""
    named = directory is not None
    directory = directory or _installed()
    if directory is None or not (directory / "index.html").is_file():
        if named:
            raise InvalidSettings(f"--page {directory}: there is no index.html in it")
        return {"/": Asset.of("index.html", _NOT_BUILT)}
    assets: dict[str, Asset] = {}
    size = 0
    for path in sorted(directory.rglob("*")):
        if not path.is_file():
            continue
        body = path.read_bytes()
        size += len(body)
        if size > _MOST_BYTES:
            raise InvalidSettings(f"{directory} holds more than {_MOST_BYTES} bytes; is it a built page?")
        name = f"/{path.relative_to(directory).as_posix()}"
        assets[name] = Asset.of(name, body)
    assets["/"] = assets["/index.html"]
    return assets


def document() -> Asset:
    """The AsyncAPI document: what crosses the WebSocket and the bus, for programs of others. It names no process and no
    person, so everybody may read it."""
    return Asset.of("/asyncapi.json", asyncapi.text().encode())


def _installed() -> Path | None:
    """Found without importing the viewer: programs meet only on the wire."""
    spec = importlib.util.find_spec("sonde_viewer")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "static"


class Pages:
    def __init__(self, assets: dict[str, Asset]) -> None:
        self._assets = assets

    def respond(
        self, method: str, path: str, *, encodings: str = "", known_etags: str = "", health: Health
    ) -> Response:
        """`encodings` and `known_etags` are Accept-Encoding and If-None-Match."""
        if method not in {"GET", "HEAD"}:
            response = plain(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET and HEAD are offered.\n")
            response.headers["Allow"] = "GET, HEAD"
        elif path == "/healthz":
            response = json_response(HTTPStatus.OK, codec.encode({"status": "ok"}))
        elif path == "/readyz":
            ready = HTTPStatus.OK if health.ready else HTTPStatus.SERVICE_UNAVAILABLE
            response = json_response(ready, codec.encode(health.told()))
        elif (asset := self._assets.get(path)) is not None:
            response = _file(asset, encodings, known_etags)
        else:
            response = plain(HTTPStatus.NOT_FOUND, "There is nothing here.\n")
        if method == "HEAD":
            response.body = b""
        return response


def plain(status: HTTPStatus, text: str) -> Response:
    return fresh(status, "text/plain; charset=utf-8", text.encode())


def json_response(status: HTTPStatus, encoded: bytes) -> Response:
    return fresh(status, "application/json", encoded)


def fresh(status: HTTPStatus, content_type: str, body: bytes) -> Response:
    """What nobody may keep."""
    return _response(status, content_type, body, {"Cache-Control": "no-store"})


def _file(asset: Asset, encodings: str, known_etags: str) -> Response:
    packed = asset.packed if "gzip" in encodings.lower() else None
    etag = f'"{asset.etag}{"-gz" if packed else ""}"'
    extra = {
        "ETag": etag,
        "Vary": "Accept-Encoding",
        "Cache-Control": "public, max-age=31536000, immutable" if asset.immutable else "no-cache",
    }
    known = {each.strip().removeprefix("W/") for each in known_etags.split(",")}
    if etag in known or known == {"*"}:
        return _response(HTTPStatus.NOT_MODIFIED, None, b"", extra)
    if packed:
        extra["Content-Encoding"] = "gzip"
    return _response(HTTPStatus.OK, asset.content_type, packed or asset.body, extra)


def _response(status: HTTPStatus, content_type: str | None, body: bytes, extra: dict[str, str]) -> Response:
    headers = Headers(SECURITY_HEADERS | extra | {"Connection": "close"})
    if content_type is not None:
        headers["Content-Type"] = content_type
        headers["Content-Length"] = str(len(body))
    return Response(status.value, status.phrase, headers, body)
