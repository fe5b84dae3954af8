"""Plain HTTP on a whole broker: the JSON view, the figures, health, and who may have which."""

import asyncio
import json
import socket
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from sonde_broker import http_view, passing
from sonde_broker.errors import CannotListen
from sonde_broker.history_settings import HistorySettings
from sonde_broker.passing import BURST, MOST_WAITING, PassingViewers
from sonde_broker.relay_io import (
    CloseViewer,
    Deliver,
    Happening,
    Send,
    ViewerCalled,
    ViewerJoined,
    ViewerLeft,
)
from sonde_broker.serve import Broker, running
from sonde_broker.settings import HostPort
from sonde_wire import Scope, asyncapi, rpc
from tests.broker.conftest import settings
from tests.broker.fake_agent import agent
from tests.broker.messages import CART, CHECKOUT, batch, started
from tests.broker.test_door import http
from tests.broker.tokens import claims, token
from tests.broker.viewer import viewer

OTHER_ORIGIN = {"Origin": "https://evil.example"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def get(url: str, path: str, bearer: str | None = None, *, method: str = "GET", **more: str) -> Answer:
    where = urlsplit(url)
    headers = {"Host": where.netloc, **{name.replace("_", "-"): value for name, value in more.items()}}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write("\r\n".join(lines).encode())
        async with asyncio.timeout(15):
            told = await reader.read()
    finally:
        writer.close()
    head, _, body = told.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return Answer(int(status.split()[1]), dict(field.split(": ", 1) for field in fields), body)


async def online(broker: Broker, *processes: str) -> None:
    async with viewer(broker.url, token()) as ada:
        for process in processes:
            await ada.online(process)


async def test_processes_are_listed_and_shown(broker: Broker) -> None:
    async with agent(broker.bus, CHECKOUT), agent(broker.bus, CART):
        await online(broker, CHECKOUT, CART)
        every = await get(broker.url, "/api/v1/processes", token())
        assert (every.status, every.headers["Content-Type"]) == (200, "application/json")
        assert {each["process"] for each in every.json["processes"]} == {CHECKOUT, CART}
        some = await get(broker.url, "/api/v1/processes?selector=shop/cart/*", token())
        assert [each["process"] for each in some.json["processes"]] == [CART]
        one = await get(broker.url, f"/api/v1/processes/{CART}", token())
        assert one.json == some.json["processes"][0]
        none = await get(broker.url, "/api/v1/processes/shop/cart/pod-9", token())
        assert (none.status, none.json["error"]["reason"]) == (404, "unknown_process")


async def test_a_token_sees_over_http_what_it_sees_anywhere(broker: Broker) -> None:
    async with agent(broker.bus, CHECKOUT), agent(broker.bus, CART):
        await online(broker, CHECKOUT, CART)
        limited = token(processes=("shop/cart/*",))
        seen = await get(broker.url, "/api/v1/processes", limited)
        assert [each["process"] for each in seen.json["processes"]] == [CART]
        assert (await get(broker.url, f"/api/v1/processes/{CHECKOUT}", limited)).status == 404
    blind = await get(broker.url, "/api/v1/processes", token(scopes=(Scope.INSPECT,)))
    assert (blind.status, blind.json["error"]["reason"]) == (403, "missing_scope")
    values = await get(broker.url, "/api/v1/snapshots/0123456789ab-7", token(scopes=(Scope.OBSERVE,)))
    assert (values.status, values.json["error"]["reason"]) == (403, "missing_scope")
    who = await get(broker.url, "/api/v1/whoami", token("bob"))
    assert who.json["subject"] == "bob"


@pytest.mark.parametrize(
    ("path", "bearer", "more", "status"),
    [
        ("/api/v1/processes", None, {}, 401),
        ("/api/v1/processes", "nonsense", {}, 401),
        ("/api/v1/processes", token(now=1e9), {}, 401),
        ("/api/v1/processes", None, {"Authorization": "Basic YTpi"}, 401),
        ("/api/v1/processes", None, {"Cookie": f"token={token()}"}, 401),
        ("/api/v1/processes", token(), OTHER_ORIGIN, 403),
        ("/api/v1/processes", token(), {"Host": "evil.example"}, 403),
        (f"/api/v1/processes?token={token()}", None, {}, 400),
        ("/api/v1/processes?selektor=x", token(), {}, 400),
        ("/api/v1/nothing", token(), {}, 404),
        ("/api/v1/nothing", None, {}, 401),
        ("/metrics", None, {}, 401),
        ("/metrics", token(scopes=(Scope.INSPECT,)), {}, 403),
        ("/metrics", token(), OTHER_ORIGIN, 403),
        ("/metrics", token(scopes=(Scope.OBSERVE,), processes=()), {}, 200),
    ],
    ids=range(15),
)
async def test_who_gets_in(
    broker: Broker, path: str, bearer: str | None, more: dict[str, str], status: int
) -> None:
    answer = await get(broker.url, path, bearer, **more)
    assert answer.status == status
    assert not [name for name in answer.headers if name.startswith("Access-Control")]
    assert (status == 401) == ("WWW-Authenticate" in answer.headers)
    if path.startswith("/api") and b"{" in answer.body:
        assert set(answer.json["error"]) == {"code", "reason", "message"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
async def test_only_get_is_offered(broker: Broker, method: str) -> None:
    for path in ("/api/v1/processes", "/metrics"):
        answer = await get(broker.url, path, token(), method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_two_authorizations_are_none(broker: Broker) -> None:
    bearer = f"Authorization: Bearer {token()}\r\n"
    host = broker.url.removeprefix("http://")
    answer = await http(broker, f"GET /api/v1/processes HTTP/1.1\r\nHost: {host}\r\n{bearer}{bearer}\r\n")
    assert answer.startswith(b"HTTP/1.1 401")


async def test_who_asks_too_often_is_told_so_and_others_are_not(broker: Broker) -> None:
    asked = await asyncio.gather(
        *(get(broker.url, "/api/v1/whoami", token("ada")) for _ in range(int(BURST) * 2))
    )
    refused = [each for each in asked if each.status == 429]
    assert refused
    assert refused[0].headers["Retry-After"] == "1"
    assert (await get(broker.url, "/api/v1/whoami", token("bob"))).status == 200


async def test_what_is_remembered_can_be_asked_for(tmp_path: Path) -> None:
    async with (
        running(settings(history=HistorySettings(path=tmp_path / "history.db"))) as broker,
        agent(broker.bus, CHECKOUT) as process,
    ):
        await online(broker, CHECKOUT)
        await process.say(batch(started(1), started(2)))
        asked = "/api/v1/events?kind=process_started&since=0&selector=shop/*/*&order=oldest&limit="
        async with asyncio.timeout(15):
            while len((await get(broker.url, f"{asked}9", token())).json["events"]) < 2:  # noqa: ASYNC110 - asked again
                await asyncio.sleep(0.1)
        page = (await get(broker.url, f"{asked}1", token())).json
        rest = (await get(broker.url, f"{asked}1&cursor={page['cursor']}", token())).json
        assert [each["seq"] for each in (*page["events"], *rest["events"])] == [1, 2]
        assert (await get(broker.url, "/api/v1/sessions", token())).json["sessions"] == []
        nothing = await get(broker.url, "/api/v1/sessions/s1", token())
        assert (nothing.status, nothing.json["error"]["reason"]) == (404, "unknown_session")
        figures = (await get(broker.url, "/metrics", token())).body.decode().splitlines()
        assert "sonde_broker_history_up 1.0" in figures
        assert "sonde_broker_history_events_stored_total 2.0" in figures
        assert "sonde_broker_events_received_total 2.0" in figures
        ready = (await get(broker.url, "/readyz")).json
        assert ready["parts"]["history"] == {"state": "up"}


async def test_a_report_is_made_without_a_history_too(broker: Broker) -> None:
    async with agent(broker.bus, CHECKOUT):
        await online(broker, CHECKOUT)
        report = await get(broker.url, "/api/v1/report?selector=shop/*/*", token())
    assert (report.status, report.json["online"]) == (200, 1)
    events = await get(broker.url, "/api/v1/events", token())
    assert events.json["error"]["reason"] == "no_history"


async def test_the_document_of_the_wire_is_public_and_whole(broker: Broker) -> None:
    answer = await get(broker.url, "/asyncapi.json")
    assert answer.status == 200
    assert answer.body.decode() == asyncapi.text()


async def test_the_figures_are_those_of_this_broker(broker: Broker) -> None:
    async with viewer(broker.url, token()):
        await get(broker.url, "/api/v1/probes/abcdefghij", token())
        answer = await get(broker.url, "/metrics", token(scopes=(Scope.OBSERVE,)))
    lines = answer.body.decode().splitlines()
    assert "sonde_broker_bus_up 1.0" in lines
    assert "sonde_broker_viewers 1.0" in lines
    assert "sonde_broker_viewers_joined_total 1.0" in lines
    assert 'sonde_broker_http_requests_total{route="api/probes/{probe}",status="404"} 1.0' in lines


async def test_monitors_have_a_port_without_tokens_where_nothing_else_is() -> None:
    async with running(settings(metrics_listen=HostPort("127.0.0.1", 0))) as broker:
        assert broker.monitors is not None
        await broker.agents.connected.wait()
        assert b"sonde_broker_bus_up" in (await get(broker.monitors, "/metrics")).body
        assert (await get(broker.monitors, "/healthz")).json == {"status": "ok"}
        ready = await get(broker.monitors, "/readyz")
        assert (ready.status, ready.json["parts"]["bus"]) == (200, {"state": "up"})
        for path in ("/", "/api/v1/processes", "/ws", "/asyncapi.json"):
            assert (await get(broker.monitors, path, token())).status == 404
        upgrade = await get(broker.monitors, "/ws", token(), Upgrade="websocket", Connection="Upgrade")
        assert upgrade.status == 404
        assert (await get(broker.url, "/metrics")).status == 401


async def test_a_port_of_monitors_that_is_taken_is_told_with_its_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = HostPort("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(CannotListen, match="--metrics-listen"):
            async with running(settings(metrics_listen=where)):
                raise AssertionError("started")


async def test_a_broker_that_stops_says_that_it_is_not_ready() -> None:
    started: asyncio.Future[Broker] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def run() -> None:
        async with running(settings(metrics_listen=HostPort("127.0.0.1", 0))) as broker:
            started.set_result(broker)
            await stop.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(run(), name="broker")
        broker = await started
        where = urlsplit(broker.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        handshake = (
            f"GET /ws HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: sonde.v1\r\nAuthorization: Bearer {token()}\r\n\r\n"
        )
        writer.write(
            handshake.encode()
        )  # it will not answer the broker's goodbye, so that this takes a while
        await reader.readuntil(b"\r\n\r\n")
        assert broker.monitors is not None
        stop.set()
        ready = await get(broker.monitors, "/readyz")
        assert (ready.status, ready.json["parts"]["viewers"]["state"]) == (503, "draining")
        writer.close()


class Told(list[Happening]):
    """What the core would have been told; it answers when the test says so."""

    @property
    def caller(self) -> str:
        [joined] = [each for each in self if isinstance(each, ViewerJoined)]
        return joined.viewer


ASKED = http_view.read("/api/v1/whoami", "", 0.0)


async def until(told: Told, kind: type[Happening]) -> None:
    async with asyncio.timeout(10):
        while not any(isinstance(each, kind) for each in told):  # noqa: ASYNC110 - a plain list
            await asyncio.sleep(0)


async def test_a_passing_viewer_joins_calls_and_leaves() -> None:
    told = Told()
    callers = PassingViewers(told.append)
    asking = asyncio.create_task(callers.ask(claims(), ASKED), name="asking")
    await until(told, ViewerCalled)
    bus_news = Send(told.caller, b'{"method":"bus","params":{"bus":"up"},"jsonrpc":"2.0"}')
    assert callers.takes(bus_news)
    assert callers.takes(Send(told.caller, b'{"id":1,"result":{"a":1},"jsonrpc":"2.0"}'))
    assert await asking == (HTTPStatus.OK, b'{"a":1}')
    assert [type(each) for each in told] == [ViewerJoined, ViewerCalled, ViewerLeft]
    assert callers.takes(Send(told.caller, b"{}"))  # too late, and nobody else's


async def test_what_is_for_others_is_theirs() -> None:
    callers = PassingViewers(Told().append)
    assert not callers.takes(Send("0123456789abcdef", b"{}"))
    assert not callers.takes(CloseViewer("0123456789abcdef", 4401, "gone"))
    assert not callers.takes(Deliver(("0123456789abcdef",), ()))


async def test_a_passing_viewer_whose_token_ends_is_told_so() -> None:
    told = Told()
    callers = PassingViewers(told.append)
    asking = asyncio.create_task(callers.ask(claims(), ASKED), name="asking")
    await until(told, ViewerCalled)
    assert callers.takes(CloseViewer(told.caller, rpc.CLOSE_UNAUTHENTICATED, "gone"))
    status, body = await asking
    assert (status, json.loads(body)["error"]["code"]) == (HTTPStatus.UNAUTHORIZED, "unauthenticated")


async def test_an_answer_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "PATIENCE", 0.01)
    told = Told()
    status, body = await PassingViewers(told.append).ask(claims(), ASKED)
    assert (status, json.loads(body)["error"]["reason"]) == (HTTPStatus.GATEWAY_TIMEOUT, "no_answer")
    assert isinstance(told[-1], ViewerLeft)


async def test_so_many_wait_and_no_more() -> None:
    told = Told()
    callers = PassingViewers(told.append)
    async with asyncio.TaskGroup() as group:
        waiting = [
            group.create_task(callers.ask(claims(f"p{number}"), ASKED), name=f"asking {number}")
            for number in range(MOST_WAITING)
        ]
        async with asyncio.timeout(10):
            while len(told) < 2 * MOST_WAITING:  # noqa: ASYNC110 - a plain list
                await asyncio.sleep(0)
        status, _ = await callers.ask(claims("late"), ASKED)
        assert status == HTTPStatus.SERVICE_UNAVAILABLE
        for each in waiting:
            each.cancel()
