"""The face to monitoring: a second port inside the cluster, where Prometheus and the kubelet need no token.

Off unless it is asked for, because figures tell how large a fleet is and when it is debugged. Nothing else is served there:
neither the page nor a WebSocket.
"""

import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from sonde_broker.errors import CannotListen
from sonde_broker.pages import plain
from sonde_broker.settings import HostPort

_CLOSE_TIMEOUT = 1.0


@asynccontextmanager
async def listening(
    where: HostPort | None, respond: Callable[[Request], Response]
) -> AsyncIterator[str | None]:
    """While the block lasts each request is answered by `respond`; yields the URL. None: there is no such port. Raises
    `CannotListen`."""
    if where is None:
        yield None
        return
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        opened = socket.create_server((where.host, where.port), family=family)
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(str(where), problem, "--metrics-listen") from None
    quiet = logging.getLogger(f"{__name__}.websockets")
    quiet.setLevel(logging.WARNING)

    def answer(connection: ServerConnection, request: Request) -> Response:
        if request.headers.get_all("Upgrade"):
            return plain(HTTPStatus.NOT_FOUND, "There is no WebSocket here.\n")
        return respond(request)

    async def nobody(connection: ServerConnection) -> None:
        """No handshake ever gets here."""

    async with serve(
        nobody,
        sock=opened,
        process_request=answer,
        compression=None,
        max_size=1024,
        open_timeout=5,
        close_timeout=_CLOSE_TIMEOUT,
        server_header=None,
        logger=quiet,
    ):
        yield f"http://{HostPort(where.host, opened.getsockname()[1])}"
