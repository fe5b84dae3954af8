"""What a log says of people, in fields that programs read."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from sonde_broker.serve import Broker
from sonde_wire import Scope
from tests.broker.test_web import get
from tests.broker.tokens import token
from tests.broker.viewer import browser, connected, viewer


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[dict[str, Any]]:
    """The facts of each line that contains a text."""
    said = (each for each in caplog.records if each.name.startswith("sonde_") and text in each.getMessage())
    return [vars(each).get("sonde_facts", {}) for each in said]


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a log tells nobody of its lines
            await asyncio.sleep(0.001)


async def test_who_came_and_left_is_known_by_the_same_names(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with viewer(broker.url, token()) as ada:
        await ada.result("whoami")
    await until(lambda: lines(caplog, "ada left"))
    [joined], [left] = lines(caplog, "ada joined"), lines(caplog, "ada left")
    assert joined == left
    assert set(joined) == {"viewer", "subject", "token_id"}
    assert joined["subject"] == "ada"


async def test_a_refusal_says_who_asked_what_of_whom_and_why_not(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with viewer(broker.url, token(scopes=(Scope.OBSERVE,))) as ada:
        await ada.reason("process.stacks", process="shop/cart/pod-1")
    [refused] = lines(caplog, "refused ada")
    assert refused.pop("viewer")
    assert refused.pop("token_id")
    assert refused == {
        "subject": "ada",
        "method": "process.stacks",
        "process": "shop/cart/pod-1",
        "code": "permission_denied",
        "reason": "missing_scope",
    }


async def test_who_is_not_let_in_is_known_by_the_address(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Exception, match="401"):
        async with connected(broker.url, additional_headers={"Authorization": "Bearer nonsense"}):
            raise AssertionError("let in")
    [rejected] = lines(caplog, "rejected")
    assert rejected == {"peer": "127.0.0.1", "status": 401}
    async with browser(broker.url, None) as page:
        await page.closed()
    [turned_away] = lines(caplog, "turned away")
    assert turned_away == {"peer": "127.0.0.1", "code": "unauthenticated", "problem": "no token"}


async def test_what_cannot_be_read_is_said_with_its_reason(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with viewer(broker.url, token()) as ada:
        await ada.connection.send("{")
        await ada.answer_to(None)
    [unreadable] = lines(caplog, "unreadable call")
    assert unreadable.pop("viewer")
    assert unreadable == {"code": "invalid_argument", "reason": "malformed_message"}


async def test_a_request_over_http_is_logged_like_any_call(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    asked = await get(
        broker.url, "/api/v1/probes/abcdefghij", token(), traceparent=f"00-{trace}-00f067aa0ba902b7-01"
    )
    assert asked.status == 404
    [refused] = lines(caplog, "refused ada")
    assert (refused["method"], refused["reason"], refused["trace_id"]) == (
        "probe.show",
        "unknown_probe",
        trace,
    )
    assert refused["viewer"].startswith("http-")
    await get(broker.url, "/api/v1/probes")
    [rejected] = lines(caplog, "rejected a request")
    assert rejected == {
        "peer": "127.0.0.1",
        "code": "unauthenticated",
        "reason": "bad_token",
        "status": 401,
    }
    assert not lines(caplog, "ada joined")  # a dashboard asks every few seconds
