"""Plain HTTP: who answers which path. The page, health, the broker's own figures, the JSON view and its documents.

Everything is GET (and HEAD for files and health), one request for each connection. What needs a token takes it from the
Authorization header and from nowhere else. No other origin is ever allowed to read an answer (there is no CORS here): a
dashboard asks from its server.
"""

import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from websockets.http11 import Request, Response

from sonde_broker import access, http_view
from sonde_broker.admission import DoorRules, Headers, Rejected, admit_program
from sonde_broker.calls import trace_context
from sonde_broker.counts import Counts
from sonde_broker.health import Health
from sonde_broker.pages import Pages, fresh, json_response, plain
from sonde_broker.passing import PassingViewers
from sonde_broker.telemetry import Telemetry
from sonde_wire import Code, Failure, Reason, Refused, Scope, bus
from sonde_wire.facts import facts

logger = logging.getLogger(__name__)

HEALTH = ("/healthz", "/readyz")
"""Asked by probes, which name an address and not one of our hosts."""
METRICS = "/metrics"


class Web:
    """`health` is asked whenever somebody wants to know."""

    def __init__(
        self,
        *,
        pages: Pages,
        health: Callable[[], Health],
        telemetry: Telemetry,
        passing: PassingViewers,
        door: DoorRules,
        counts: Counts,
    ) -> None:
        self._pages = pages
        self._health = health
        self._telemetry = telemetry
        self._passing = passing
        self._door = door
        self._counts = counts

    async def respond(self, request: Request, headers: Headers, peer: str) -> Response:
        """Call after the host was checked. `headers` are those of the request, `peer` is who sent it."""
        path, _, query = request.path.partition("?")
        if "token=" in query:
            return plain(HTTPStatus.BAD_REQUEST, "A token never belongs into a URL's query.\n")
        if http_view.is_ours(path):
            return await self._view(request, path, query, headers, peer)
        if path == METRICS:
            return self._count("metrics", self._metrics(request, headers))
        return self._count(path[1:] if path in HEALTH else "page", self._page(request, path))

    def monitor(self, request: Request) -> Response:
        """For the port where no token is asked for: figures and health, and nothing else."""
        path = request.path.partition("?")[0]
        if path == METRICS and request.method == "GET":
            return self._count("metrics", self._figures(request))
        if path in HEALTH:
            return self._count(path[1:], self._page(request, path))
        return plain(HTTPStatus.NOT_FOUND, "There are /metrics, /healthz and /readyz here.\n")

    def _page(self, request: Request, path: str) -> Response:
        return self._pages.respond(
            request.method,
            path,
            encodings=",".join(request.headers.get_all("Accept-Encoding")),
            known_etags=",".join(request.headers.get_all("If-None-Match")),
            health=self._health(),
        )

    def _metrics(self, request: Request, headers: Headers) -> Response:
        if request.method != "GET":
            return _only_get(plain(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is offered.\n"))
        admission = admit_program(headers, self._door)
        if isinstance(admission, Rejected):
            return _challenged(plain(admission.status, admission.text), admission)
        try:
            access.require_scope(admission.claims, Scope.OBSERVE, METRICS)
        except Refused as refused:
            return plain(HTTPStatus.FORBIDDEN, f"{refused}\n")
        return self._figures(request)

    def _figures(self, request: Request) -> Response:
        body, content_type = self._telemetry.render(",".join(request.headers.get_all("Accept")))
        return fresh(HTTPStatus.OK, content_type, body)

    async def _view(self, request: Request, path: str, query: str, headers: Headers, peer: str) -> Response:
        """Errors are JSON too: {"error": {"code", "reason", "message"}}."""
        if request.method != "GET":
            failure = Failure(
                code=Code.UNIMPLEMENTED, reason=Reason.UNKNOWN_METHOD, message="only GET is offered here"
            )
            _, body = http_view.failure(failure)
            return self._count("api", _only_get(json_response(HTTPStatus.METHOD_NOT_ALLOWED, body)))
        admission = admit_program(headers, self._door)
        if isinstance(admission, Rejected):
            return self._count("api", self._refuse(path, admission, peer))
        try:
            asked = http_view.read(path, query, time.time(), _trace(request))
        except Refused as refused:
            return self._count("api", json_response(*http_view.failure(refused.failure)))
        status, body = await self._passing.ask(admission.claims, asked)
        response = json_response(status, body)
        if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            response.headers["Retry-After"] = "1"
        return self._count(f"api{asked.route.path}", response)

    def _refuse(self, path: str, rejected: Rejected, peer: str) -> Response:
        code = Code.UNAUTHENTICATED if rejected.challenge else Code.PERMISSION_DENIED
        failure = Failure(code=code, reason=Reason.BAD_TOKEN, message=rejected.text.strip())
        _, body = http_view.failure(failure)
        logger.warning(
            "rejected a request of %s for %.200r: %d %s",
            peer,
            path,
            rejected.status,
            rejected.text.strip(),
            extra=facts(peer=peer, code=code, reason=Reason.BAD_TOKEN, status=rejected.status.value),
        )
        return _challenged(json_response(rejected.status, body), rejected)

    def _count(self, route: str, response: Response) -> Response:
        self._counts.request(route, response.status_code)
        return response


def _trace(request: Request) -> bus.TraceContext | None:
    parents, states = request.headers.get_all("traceparent"), request.headers.get_all("tracestate")
    return trace_context(parents[0], ",".join(states)) if len(parents) == 1 else None


def _challenged(response: Response, rejected: Rejected) -> Response:
    if rejected.challenge:
        response.headers["WWW-Authenticate"] = 'Bearer realm="sonde", error="invalid_token"'
    return response


def _only_get(response: Response) -> Response:
    response.headers["Allow"] = "GET"
    return response
