"""The line to the taps: who is let in, who is not, and what happens when it breaks. The tap is played by hand."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sonde_agent import link
from sonde_agent.records import changed
from sonde_agent.sidecar import Sidecar, SidecarSettings, serve
from sonde_agent.sidecar import process as process_module
from sonde_agent.sidecar.journal import BLOCK
from sonde_wire import Reason, bus, codec, looking
from tests.agent.sidecar.conftest import Broker

HELLO = link.Hello(
    version=link.VERSION,
    token="",
    boot="a" * 32,
    namespace="prod",
    service="shop",
    instance="shop-1",
    pid=2**22 - 1,  # nobody's: the sidecar has only this line to watch
    parent_pid=1,
    started=0.0,
    host="h",
    python="3.11.7",
    implementation="cpython",
    executable="/usr/bin/python",
    argv=[],
    main=None,
    directory="/",
)


class Tap:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, message: link.Message) -> None:
        self.writer.write(link.encode(message))

    async def hear(self) -> link.Message | None:
        """None when the sidecar has hung up."""
        async with asyncio.timeout(10):
            line = await self.reader.readline()
        return link.decode(line) if line else None


@asynccontextmanager
async def tap(sidecar: Sidecar) -> AsyncIterator[Tap]:
    assert sidecar.address.host is not None
    reader, writer = await asyncio.open_connection(sidecar.address.host, sidecar.address.port)
    try:
        yield Tap(reader, writer)
    finally:
        writer.close()


@pytest.fixture
async def sidecar(mqtt_url: str) -> AsyncIterator[Sidecar]:
    async with serve(SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0")) as sidecar:
        yield sidecar


def welcome(process: str, numbered: int = BLOCK) -> link.Welcome:
    return link.Welcome(version=link.VERSION, process=process, numbered=numbered, redaction="standard")


def hello(sidecar: Sidecar, **changes: Any) -> link.Hello:
    return changed(HELLO, **{"token": sidecar.token_file.read_text(), **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": "not the token"}, "bad_token"),
        ({"token": ""}, "bad_token"),
        ({"version": 99}, "bad_version"),
        ({"service": "not a name"}, "bad_name"),
    ],
)
async def test_who_is_not_wanted_is_told_why_and_hung_up_on(
    sidecar: Sidecar, changes: dict[str, Any], reason: str
) -> None:
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar, **changes))
        refusal = await ours.hear()
        assert isinstance(refusal, link.Refusal) and refusal.reason == reason
        assert await ours.hear() is None


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n", b'{"type":"result","id":1}\n', b"\xff\n"])
async def test_who_is_no_tap_is_hung_up_on(sidecar: Sidecar, said: bytes) -> None:
    async with tap(sidecar) as ours:
        ours.writer.write(said)
        assert await ours.hear() is None


async def test_a_tap_that_comes_back_keeps_name_and_numbers(sidecar: Sidecar, broker: Broker) -> None:
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar, instance=""))
        assert await ours.hear() == welcome(f"prod/shop/h-{HELLO.pid}")
        process = await broker.presence(lambda each: each.state == "online")
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar, instance=""))
        assert await ours.hear() == welcome(process.process)
        command = await broker.send(process, bus.ReadStacks())
        call = await ours.hear()
        assert isinstance(call, link.Call) and call.operation == "stacks"
        ours.say(link.Result(id=call.id, value={"threads": [], "time": 1.5}))
        reply = await broker.until(lambda: broker.replies.get(command))
        assert codec.decode(reply.result, looking.Stacks).time == 1.5  # type: ignore[arg-type] # it has one
        assert [type(each) for each in broker.events] == [bus.ProcessStarted]


async def test_who_names_no_namespace_gets_the_sidecars(mqtt_url: str) -> None:
    settings = SidecarSettings(bus=mqtt_url, listen="tcp:127.0.0.1:0", namespace="staging")
    async with serve(settings) as sidecar, tap(sidecar) as ours:
        ours.say(hello(sidecar, namespace=""))
        assert await ours.hear() == welcome("staging/shop/shop-1")


async def test_an_ending_is_believed_where_nobody_knows_better(sidecar: Sidecar, broker: Broker) -> None:
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar))
        await ours.hear()
        await broker.presence(lambda each: each.state == "online")
        ours.say(link.Ending(code=5))
    ended = await broker.presence(lambda each: each.state == "ended")
    assert ended.exit is not None and ended.exit.code == 5


async def test_workers_of_one_name_get_names_of_their_own(sidecar: Sidecar) -> None:
    async with tap(sidecar) as first, tap(sidecar) as second:
        first.say(hello(sidecar))
        assert await first.hear() == welcome("prod/shop/shop-1")
        second.say(hello(sidecar, boot="b" * 32, pid=77))
        assert await second.hear() == welcome("prod/shop/shop-1-77")


async def test_a_fault_and_a_malformed_result_become_failures(sidecar: Sidecar, broker: Broker) -> None:
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar))
        await ours.hear()
        process = await broker.presence(lambda each: each.state == "online")
        fault = {"code": "not_found", "reason": "no_such_file", "message": "no"}
        for answer, reason in (
            (lambda number: link.Fault(id=number, **fault), Reason.NO_SUCH_FILE),
            (lambda number: link.Result(id=number, value=[1]), Reason.BUG),
        ):
            command = await broker.send(process, bus.ReadSource(path="/x"))
            call = await ours.hear()
            assert isinstance(call, link.Call) and call.arguments == {"path": "/x"}
            ours.say(answer(call.id))
            reply = await broker.until(lambda: broker.replies.get(command))  # noqa: B023 - awaited here
            assert reply.failure is not None and reply.failure.reason is reason
        command = await broker.send(process, bus.OpenSession(session="s1"))
        call = await ours.hear()
        assert isinstance(call, link.Call) and call.operation == "debugger.connect"
        assert len(call.arguments["server_token"]) > 30
        ours.say(link.Fault(id=call.id, **(fault | {"reason": "debugger_unavailable"})))
        call = await ours.hear()
        assert isinstance(call, link.Call) and call.operation == "debugger.disconnect"
        ours.say(link.Result(id=call.id))
        reply = await broker.until(lambda: broker.replies.get(command))
        assert reply.failure is not None and reply.failure.reason is Reason.DEBUGGER_UNAVAILABLE


async def test_who_connects_in_the_debuggers_place_is_not_taken_for_it(
    sidecar: Sidecar, broker: Broker
) -> None:
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar))
        await ours.hear()
        process = await broker.presence(lambda each: each.state == "online")
        command = await broker.send(process, bus.OpenSession(session="s1"))
        call = await ours.hear()
        assert isinstance(call, link.Call)
        reader, writer = await asyncio.open_connection(call.arguments["host"], call.arguments["port"])
        asked = await reader.readuntil(b"}}")
        assert call.arguments["server_token"].encode() in asked
        assert call.arguments["client_token"].encode() not in asked
        body = b'{"type":"response","request_seq":1,"success":true,"body":{"clientAccessToken":"guess"}}'
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        assert await reader.read() == b""
        writer.close()
        call = await ours.hear()
        assert isinstance(call, link.Call) and call.operation == "debugger.disconnect"
        ours.say(link.Result(id=call.id))
        reply = await broker.until(lambda: broker.replies.get(command))
        assert reply.failure is not None and "somebody else" in reply.failure.message


async def test_a_tap_that_is_back_before_its_old_line_ended_stays(
    sidecar: Sidecar, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "COMES_BACK_WITHIN", 0.05)
    async with tap(sidecar) as old, tap(sidecar) as new:
        old.say(hello(sidecar))
        await old.hear()
        process = await broker.presence(lambda each: each.state == "online")
        new.say(hello(sidecar))
        await new.hear()
        assert await old.hear() is None
        assert not await sidecar.drained(0.3)  # longer than a lost one is waited for
        command = await broker.send(process, bus.ReadStacks())
        call = await new.hear()
        assert isinstance(call, link.Call)
        new.say(link.Result(id=call.id, value={"threads": [], "time": 1.5}))
        reply = await broker.until(lambda: broker.replies.get(command))
        assert reply.failure is None
        assert broker.presences[-1].state == "online"


async def test_a_process_that_cannot_be_watched_is_not_measured_under_a_number_of_somebody_else(
    sidecar: Sidecar, broker: Broker
) -> None:
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar, pid=os.getpid()))  # its own namespace's number, and another start
        await ours.hear()
        process = await broker.presence(lambda each: each.state == "online")
        command = await broker.send(process, bus.ReadStacks())
        call = await ours.hear()
        assert isinstance(call, link.Call)
        ours.say(link.Result(id=call.id, value={"threads": [], "time": 1.5}))
        await broker.until(lambda: broker.replies.get(command))
        sample = await broker.until(lambda: broker.metrics[-1] if broker.metrics else None)
        assert (sample.cpu_percent, sample.memory_rss, sample.threads) == (None, None, None)
        assert "cannot see the process" in sample.unavailable["memory_rss"]


async def test_of_tap_and_sidecar_the_one_that_hides_more_holds(mqtt_url: str, broker: Broker) -> None:
    settings = SidecarSettings(
        bus=mqtt_url, listen="tcp:127.0.0.1:0", redact_names=("colour",), show_names=("pin", "token")
    )
    async with serve(settings) as sidecar, tap(sidecar) as ours:
        words = ["python", "app.py", "--colour", "hunter2", "--token=a", "--pin=b"]
        ours.say(hello(sidecar, redaction="off", argv=words, show_names=["pin"]))
        told = await ours.hear()
        assert isinstance(told, link.Welcome)
        assert (told.redaction, told.redact_names, told.show_names) == (
            "standard",
            ["colour"],
            ["pin", "token"],
        )
        process = await broker.presence(lambda each: each.state == "online")
        assert process.argv == ("python", "app.py", "--colour", "***", "--token=***", "--pin=b")


async def test_a_third_of_the_same_name_and_number_gets_a_name_of_its_own(sidecar: Sidecar) -> None:
    async with tap(sidecar) as first, tap(sidecar) as second, tap(sidecar) as third:
        named = []
        for each, boot in ((first, "a"), (second, "b"), (third, "c")):
            each.say(hello(sidecar, boot=boot * 32, pid=1))
            named.append(await each.hear())
        assert [each.process for each in named if isinstance(each, link.Welcome)] == [
            "prod/shop/shop-1",
            "prod/shop/shop-1-1",
            "prod/shop/shop-1-1-2",
        ]


@pytest.mark.parametrize("changes", [{"boot": "x"}, {"numbered": -1}, {"numbered": 2**60}])
async def test_who_has_numbers_that_no_tap_has_is_hung_up_on(
    sidecar: Sidecar, changes: dict[str, Any]
) -> None:
    async with tap(sidecar) as ours:
        ours.say(hello(sidecar, **changes))
        assert await ours.hear() is None


async def test_a_hello_of_wrong_types_harms_nobody_else(sidecar: Sidecar) -> None:
    async with tap(sidecar) as bad, tap(sidecar) as good:
        good.say(hello(sidecar))
        assert isinstance(await good.hear(), link.Welcome)
        bad.say(hello(sidecar, boot=[], pid="x"))
        assert await bad.hear() is None
        good.say(link.Result(id=99, value="caf\udce9"))  # to nobody
        assert not good.reader.at_eof()
