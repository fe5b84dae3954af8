"""Who gets in, over real sockets: tokens, origins, hosts, and messages that nobody should send."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from sonde_broker.serve import Broker, running
from sonde_wire import Scope, rpc
from tests.broker.conftest import settings
from tests.broker.tokens import token
from tests.broker.viewer import browser, connected, viewer


def past() -> str:
    return token(now=1_000_000.0)


@pytest.mark.parametrize(
    "bad", [past(), token(audience="other"), token(secret=b"y" * 32), "a.b.c", "", "x" * 7000], ids=range(6)
)
async def test_a_program_with_a_bad_token_gets_401(broker: Broker, bad: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with viewer(broker.url, bad):
            raise AssertionError("let in")
    assert caught.value.response.status_code == 401
    assert caught.value.response.headers["WWW-Authenticate"].startswith("Bearer")
    assert not bad or bad.encode() not in (caught.value.response.body or b"")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (past(), "the token has expired: sign in again"),
        (token(audience="other"), "the token is not valid here"),
        ("abc", "the token is not valid here"),
        (None, "no token: sign in"),
    ],
    ids=range(4),
)
async def test_a_page_with_a_bad_token_is_told_why(broker: Broker, bad: str | None, reason: str) -> None:
    async with browser(broker.url, bad) as page:
        assert await page.closed() == (rpc.CLOSE_UNAUTHENTICATED, reason)
        assert page.told == []


async def test_only_the_public_subprotocol_is_echoed(broker: Broker) -> None:
    async with browser(broker.url, token()) as page:
        assert page.connection.subprotocol == rpc.SUBPROTOCOL
        assert (await page.result("whoami"))["subject"] == "ada"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "{url}.evil.example",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "https://{host}",
        "{url}/",
        "file://",
    ],
)
async def test_pages_of_other_origins_get_403_whatever_they_carry(broker: Broker, origin: str) -> None:
    origin = origin.format(url=broker.url, host=broker.url.removeprefix("http://"))
    for headers in ({}, {"Authorization": f"Bearer {token()}"}, {"Cookie": f"token={token()}"}):
        offered = [rpc.SUBPROTOCOL, f"{rpc.BEARER_SUBPROTOCOL_PREFIX}{token()}"]
        status = await refused(broker, offered, origin=origin, additional_headers=headers)
        assert status == 403


async def test_configured_origins_and_hosts_are_let_in() -> None:
    async with running(settings(origins=("https://sonde.example",), hosts=("sonde.example",))) as broker:
        async with browser(broker.url, token(), origin="https://sonde.example") as page:
            await page.result("whoami")
        assert b" 200 " in await http(broker, "GET / HTTP/1.1\r\nHost: sonde.example\r\n\r\n")


async def test_what_is_no_proper_handshake_is_refused(broker: Broker) -> None:
    good, bearer = token(), {"Authorization": f"Bearer {token()}"}
    carried = f"{rpc.BEARER_SUBPROTOCOL_PREFIX}{good}"
    origin = broker.url
    assert await refused(broker) == 401
    assert await refused(broker, [rpc.SUBPROTOCOL, carried]) == 401  # a page without an origin is none
    assert await refused(broker, [carried], origin=origin) == 400
    assert await refused(broker, ["other"], additional_headers=bearer) == 400
    assert await refused(broker, [rpc.SUBPROTOCOL, carried], origin=origin, additional_headers=bearer) == 400
    assert await refused(broker, path=f"/ws?token={good}", additional_headers=bearer) == 400
    assert await refused(broker, additional_headers={"Authorization": f"Basic {good}"}) == 401
    assert await refused(broker, additional_headers={"Cookie": f"token={good}"}) == 401
    assert await refused(broker, path="/elsewhere", additional_headers=bearer) == 404


async def refused(broker: Broker, offered: list[str] | None = None, path: str = "/ws", **options: Any) -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with connected(broker.url, offered, path, **options):
            raise AssertionError("let in")
    return caught.value.response.status_code


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: LocalHost:99\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: localhost6\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: evil@127.0.0.1\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n", 403),
        ("GET /healthz HTTP/1.1\r\nHost: 10.1.2.3:8080\r\n\r\n", 200),
        ("GET /readyz HTTP/1.1\r\nHost: 10.1.2.3:8080\r\n\r\n", 200),
        ("HEAD / HTTP/1.1\r\nHost: {host}\r\n\r\n", 200),
        ("POST / HTTP/1.1\r\nHost: {host}\r\n\r\n", 405),
        ("OPTIONS /ws HTTP/1.1\r\nHost: {host}\r\n\r\n", 405),
        ("GET /ws HTTP/1.1\r\nHost: {host}\r\n\r\n", 426),
        ("GET /?token=abc HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n", 404),
        ("GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n", 404),
    ],
)
async def test_plain_http(broker: Broker, request_: str, status: int) -> None:
    answer = await http(broker, request_.format(host=broker.url.removeprefix("http://")))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Traceback" not in answer
    if status in {200, 404, 405}:
        assert b"require-trusted-types-for 'script'" in answer


async def http(broker: Broker, request: str) -> bytes:
    host, port = broker.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request.encode())
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nonsense",
        "[]",
        '[{"jsonrpc":"2.0","id":1,"method":"whoami"}]',
        '{"jsonrpc":"2.0","id":1,"id":2,"method":"whoami"}',
        '{"jsonrpc":"2.0","id":1,"method":"whoami","method":"process.list"}',
        '{"jsonrpc":"2.0","method":"whoami"}',
        '{"jsonrpc":"1.0","id":1,"method":"whoami"}',
        '{"jsonrpc":"2.0","id":-1,"method":"whoami"}',
        '{"jsonrpc":"2.0","id":null,"method":"whoami"}',
        b"binary",
    ],
)
async def test_what_is_no_call_is_answered_and_the_connection_goes_on(
    broker: Broker, text: str | bytes
) -> None:
    async with viewer(broker.url, token()) as ada:
        await ada.connection.send(text)
        error = (await ada.answer_to(None))["error"]
        assert (error["code"], error["data"]["reason"]) == (-32700, "malformed_message")
        assert (await ada.result("whoami"))["subject"] == "ada"


async def test_ten_malformed_messages_are_too_many(broker: Broker) -> None:
    async with viewer(broker.url, token()) as ada:
        for _ in range(10):
            await ada.connection.send("{")
        code, _ = await ada.closed()
        assert code == rpc.CLOSE_BAD_MESSAGE


async def test_unknown_methods_and_wrong_params_are_explained(broker: Broker) -> None:
    async with viewer(broker.url, token()) as ada:
        unknown = (await ada.call("process.kill"))["error"]
        assert (unknown["code"], unknown["data"]["reason"]) == (-32601, "unknown_method")
        assert "process.stacks" in unknown["message"]
        wrong = (await ada.call("process.stacks", proces="x"))["error"]
        assert (wrong["code"], wrong["data"]["reason"]) == (-32602, "invalid_params")
        assert "process" in wrong["message"]
        for selector in ("#", "+/+/+", "$SYS", "a/../b", "a/b/c/d", ""):
            assert await ada.reason("subscribe", topics=["events"], selector=selector) == "invalid_params"
        assert await ada.reason("subscribe", topics=["everything"]) == "invalid_params"


async def test_a_token_without_the_scope_or_for_other_processes_sees_nothing(broker: Broker) -> None:
    async with viewer(broker.url, token(scopes=(Scope.INSPECT,))) as blind:
        assert await blind.reason("process.list") == "missing_scope"
    async with viewer(broker.url, token(processes=())) as ada:
        assert await ada.result("process.list") == {"processes": []}
        assert await ada.reason("session.open", process="shop/checkout/pod-1") == "unknown_process"


async def test_a_message_of_the_limit_passes_and_one_byte_more_closes(broker: Broker) -> None:
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "whoami"})
    async with viewer(broker.url, token()) as ada:
        await ada.connection.send(call + " " * (65536 - len(call)))
        assert "result" in await ada.answer_to(1)
        await ada.connection.send(call + " " * (65537 - len(call)))
        assert (await ada.closed())[0] == 1009


async def test_more_calls_than_the_rate_allows_are_refused_one_by_one(broker: Broker) -> None:
    async with viewer(broker.url, token()) as ada:
        asked = [await ada.send("whoami") for _ in range(300)]
        answers = [await ada.answer_to(each) for each in asked]
        refused = [each["error"]["data"]["reason"] for each in answers if "error" in each]
        assert set(refused) == {"too_many"}
        assert all("error" not in each for each in answers[:200])


async def test_a_token_that_ends_closes_and_one_that_is_renewed_does_not(broker: Broker) -> None:
    short = token(life=2)
    async with viewer(broker.url, short) as ada, viewer(broker.url, short) as bob:
        assert (await bob.result("token.renew", token=token(life=600)))["subject"] == "ada"
        assert (await ada.closed())[0] == rpc.CLOSE_UNAUTHENTICATED
        assert (await bob.result("whoami"))["subject"] == "ada"


async def test_no_token_is_ever_logged(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    good, bad = token(), token(audience="other")
    async with viewer(broker.url, good) as ada:
        await ada.call("token.renew", token=bad)
        await ada.call("token.renew", token=token("bob"))
        await ada.connection.send(f'{{"token":"{bad}"')
        await ada.answer_to(None)
    async with browser(broker.url, bad) as page:
        await page.closed()
    broker_said = "\n".join(each.getMessage() for each in caplog.records if "sonde_broker" in each.name)
    assert "ada" in broker_said
    for secret in (good, bad):
        assert secret not in broker_said
        assert secret.rpartition(".")[2] not in broker_said


async def test_there_is_room_for_so_many_viewers_and_no_more(broker: Broker, monkeypatch: Any) -> None:
    async with running(settings(most_viewers=1)) as small, viewer(small.url, token()):
        bearer = {"Authorization": f"Bearer {token()}"}
        assert await refused(small, additional_headers=bearer) == 503
