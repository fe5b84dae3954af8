"""Who drives and how long, with the real tap and the real debugpy; and what happens when either fails."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sonde_agent.sidecar import Sidecar, SidecarSettings, serve
from sonde_agent.sidecar.attachment import Attachment
from sonde_wire import Failure, Reason, bus, codec, dap
from tests.agent.sidecar.conftest import Broker, broker_on, tapped, who
from tests.agent.sidecar.test_debugging import WORKER, opened, stop
from tests.agent.sidecar.test_service import pods_sidecar, program
from tests.support.debuggee import Program, Running

LEASE = 2.0
SHORTEST_LEASE = 5


@pytest.fixture
async def worker(mqtt_url: str, tmp_path: Path) -> AsyncIterator[tuple[Program, Running]]:
    """Under a sidecar that gives each evaluation a second."""
    settings = SidecarSettings(bus=mqtt_url, evaluation_limit=1.0)
    async with serve(settings) as sidecar, tapped(sidecar, tmp_path, WORKER) as started:
        yield started


@pytest.fixture
async def short_lived(mqtt_url: str, tmp_path: Path) -> AsyncIterator[tuple[Program, Running]]:
    """Under a sidecar whose leases are shorter than the settings allow."""
    settings = SidecarSettings(bus=mqtt_url)
    msgspec.structs.force_setattr(settings, "lease", LEASE)
    async with serve(settings) as sidecar, tapped(sidecar, tmp_path, WORKER) as started:
        yield started


async def refusal(
    broker: Broker, process: bus.Presence, session: str, command: str, viewer: str, **arguments: Any
) -> Failure:
    request = {"seq": 1, "type": "request", "command": command, "arguments": arguments}
    asked = bus.Dap(session=session, request=codec.raw(request))
    reply = await broker.ask(process, asked, viewer=who(viewer))
    assert reply.failure is not None, reply.result
    return reply.failure


async def counted(broker: Broker, process: bus.Presence, thread: int) -> int:
    """How far the worker is; it says `sold` and three times that and one."""
    frames = (await broker.dap(process, "s1", "stackTrace", threadId=thread))["stackFrames"]
    where = {"frameId": frames[0]["id"], "context": "watch"}
    return int((await broker.dap(process, "s1", "evaluate", expression="count", **where))["result"])


async def test_a_stop_that_nobody_renews_ends_and_its_breakpoint_sleeps_until_somebody_asks(
    broker: Broker, short_lived: tuple[Program, Running]
) -> None:
    program, running = short_lived
    process = await opened(broker)
    thread = await stop(broker, process, program)
    begun = await broker.event(bus.LeaseChanged)
    assert begun.lease == bus.Lease(left=LEASE, length=LEASE)
    count = await counted(broker, process, thread)
    await broker.dap(process, "s1", "pause", threadId=thread)  # takes the seat
    await broker.presence(lambda each: each.driver == "s1")

    await broker.event(bus.LeaseChanged, lambda each: each.state == "lapsed")
    # again and again through the line that had the breakpoint
    await running.says(f"sold {(count + 5) * 3 + 1}")
    asleep = await broker.presence(lambda each: each.stopped_threads == 0 and each.driver is None)
    assert [each.session for each in asleep.sessions] == ["s1"] and asleep.debugger == "attached"
    assert (await broker.open(process, "s2")).asleep
    reply = await broker.ask(process, bus.RenewLease(session="s1"))
    assert codec.decode(reply.result, bus.LeaseState) == bus.LeaseState()  # type: ignore[arg-type] # it is a result
    await running.says("sold")

    broker.events.clear()
    await broker.dap(process, "s1", "threads")
    await broker.dap_event("stopped", reason="breakpoint")
    await broker.event(bus.LeaseChanged, lambda each: each.state == "begun")


async def test_a_driver_that_renews_keeps_the_stop_and_a_watcher_does_not(
    broker: Broker, short_lived: tuple[Program, Running]
) -> None:
    program, _ = short_lived
    process = await opened(broker)
    await broker.open(process, "s2", viewer="eve")
    await stop(broker, process, program)
    await broker.ask(process, bus.TakeSeat(session="s1", action="take"))
    begun = await broker.event(bus.LeaseChanged)
    reply = await broker.ask(process, bus.RenewLease(session="s2"), viewer=who("eve"))
    assert not codec.decode(reply.result, bus.LeaseState).renewed  # type: ignore[arg-type] # it is a result
    reply = await broker.ask(process, bus.RenewLease(session="s1"))
    assert codec.decode(reply.result, bus.LeaseState).renewed  # type: ignore[arg-type] # it is a result
    renewed = await broker.event(bus.LeaseChanged, lambda each: each.state == "renewed")
    lapsed = await broker.event(bus.LeaseChanged, lambda each: each.state == "lapsed")
    assert lapsed.time - begun.time > LEASE
    assert lapsed.time - renewed.time < LEASE + 1


async def test_two_sessions_hand_the_seat_over(broker: Broker, worker: tuple[Program, Running]) -> None:
    program, _ = worker
    process = await opened(broker)
    await broker.open(process, "s2", viewer="eve")
    thread = await stop(broker, process, program)
    await broker.dap(process, "s1", "next", threadId=thread)
    await broker.dap_event("stopped", reason="step")

    refused = await refusal(broker, process, "s2", "next", "eve", threadId=thread)
    assert refused.reason is Reason.NOT_DRIVER and "ada drives" in refused.message
    asked = await broker.ask(process, bus.TakeSeat(session="s2", action="ask"), viewer=who("eve"))
    state = codec.decode(asked.result, bus.SeatState)  # type: ignore[arg-type] # it is a result
    assert (state.driver, state.asking) == ("s1", ("s2",))
    await broker.ask(process, bus.TakeSeat(session="s1", action="grant"))
    granted = await broker.event(bus.SeatChanged, lambda each: each.reason == "granted")
    assert (granted.driver, granted.viewer) == ("s2", "eve")

    await broker.dap(process, "s2", "stepOut", viewer="eve", threadId=thread)
    await broker.dap_event("stopped", reason="step")
    refused = await refusal(broker, process, "s1", "continue", "ada", threadId=thread)
    assert "eve drives" in refused.message


async def test_an_endless_evaluation_is_interrupted_and_the_session_lives(
    broker: Broker, worker: tuple[Program, Running]
) -> None:
    program, running = worker
    process = await opened(broker)
    thread = await stop(broker, process, program)
    frames = (await broker.dap(process, "s1", "stackTrace", threadId=thread))["stackFrames"]
    where = {"frameId": frames[0]["id"], "context": "watch"}
    endless = {"expression": "[x for x in iter(int, 1) if x]", **where}
    failure = await refusal(broker, process, "s1", "evaluate", "ada", **endless)
    assert failure.reason is Reason.INTERRUPTED and "the thread still stands" in failure.message
    evaluated = await broker.dap(process, "s1", "evaluate", expression="count - count + 7", **where)
    assert evaluated["result"] == "7"
    await broker.dap(process, "s1", "setBreakpoints", source={"path": str(program.path)}, breakpoints=[])
    await broker.dap(process, "s1", "continue", threadId=thread)
    await running.says("sold")


async def test_an_evaluation_ends_when_its_asker_waits_no_longer_and_not_only_at_the_taps_limit(
    broker: Broker, sidecar: Sidecar, tmp_path: Path
) -> None:
    """The tap would let it run for ten times as long; that it ends, and as interrupted, is the sidecar's doing."""
    async with tapped(sidecar, tmp_path, WORKER) as (program, _):
        process = await opened(broker)
        thread = await stop(broker, process, program)
        frames = (await broker.dap(process, "s1", "stackTrace", threadId=thread))["stackFrames"]
        endless = {"expression": "[x for x in iter(int, 1) if x]", "frameId": frames[0]["id"]}
        request = {"seq": 1, "type": "request", "command": "evaluate", "arguments": endless}
        asked = bus.Dap(session="s1", request=codec.raw(request))
        reply = await broker.ask(process, asked, timeout=2.0)
        assert reply.failure is not None and reply.failure.reason is Reason.INTERRUPTED
        assert await counted(broker, process, thread) >= 0  # the thread is free for the next


async def test_a_debugger_whose_line_breaks_is_attached_again_and_its_breakpoints_are_set_again(
    broker: Broker, sidecar: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attachments: list[Attachment] = []
    attach = Attachment.attach

    def noted(self: Attachment, *args: Any) -> None:
        attachments.append(self)
        attach(self, *args)

    monkeypatch.setattr(Attachment, "attach", noted)
    async with tapped(sidecar, tmp_path, WORKER) as (program, _):
        process = await opened(broker)
        await stop(broker, process, program)
        broker.events.clear()
        debugger = attachments[-1]._debugger
        assert debugger is not None
        debugger._writer.close()

        await broker.event(bus.DebuggerDetached, lambda each: each.reason == "connection_lost")
        await broker.dap_event("continued")
        await broker.event(bus.DebuggerAttached, lambda each: each.again)
        stopped = await broker.dap_event("stopped", reason="breakpoint")
        frames = await broker.dap(process, "s1", "stackTrace", threadId=stopped["threadId"])
        assert frames["stackFrames"][0]["line"] == program.line("stop here")
        assert not any(isinstance(each, bus.SessionClosed) for each in broker.events)


WEDGED = WORKER.replace(
    "while True:",
    """
import signal

def wedge(*_):
    # pydevd's reader takes the next breakpoints and never comes back
    from _pydevd_bundle.pydevd_process_net_command_json import PyDevJsonCommandProcessor as processor
    old = processor.on_setbreakpoints_request
    def hang(*_):
        processor.on_setbreakpoints_request = old
        print("wedged")
        time.sleep(3600)
    processor.on_setbreakpoints_request = hang
    print("ready to wedge")

signal.signal(signal.SIGUSR1, wedge)
while True:""",
)


async def test_a_debugger_that_answers_nothing_any_more_is_dropped_and_attached_again(
    broker: Broker, sidecar: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sonde_agent.sidecar.requests.PROBE_WITHIN", 0.5)
    hasty = msgspec.structs.replace(dap.RULES["setBreakpoints"], deadline=0.5)
    monkeypatch.setattr(dap, "RULES", {**dap.RULES, "setBreakpoints": hasty})
    async with tapped(sidecar, tmp_path, WEDGED) as (program, running):
        process = await opened(broker)
        source = {"path": str(program.path)}
        await broker.dap(process, "s1", "setBreakpoints", source=source, breakpoints=[])
        running.process.send_signal(signal.SIGUSR1)
        await running.says("ready to wedge")
        asking = [{"line": program.line("stop here")}]
        request = {"seq": 9, "type": "request", "command": "setBreakpoints"}
        request["arguments"] = {"source": source, "breakpoints": asking}
        await broker.send(process, bus.Dap(session="s1", request=codec.raw(request)))
        await running.says("wedged")
        await broker.event(bus.DebuggerDetached, lambda each: each.reason == "not_answering")
        await broker.event(bus.DebuggerAttached, lambda each: each.again)
        await broker.dap_event("stopped", reason="breakpoint")


async def test_a_sidecar_that_hangs_freezes_nobody_and_goes_on_when_it_is_awake(
    mqtt_url: str, tmp_path: Path
) -> None:
    async with (
        pods_sidecar(tmp_path, mqtt_url, "--lease", str(SHORTEST_LEASE)) as sidecar,
        broker_on(mqtt_url) as broker,
        program(tmp_path, "print('started')\n" + WORKER) as running,
    ):
        process = await opened(broker)
        thread = await stop(broker, process, Program(tmp_path / "app.py"))
        count = await counted(broker, process, thread)
        os.kill(sidecar.process.pid, signal.SIGSTOP)
        try:
            await running.says(f"sold {(count + 3) * 3 + 1}")
        finally:
            os.kill(sidecar.process.pid, signal.SIGCONT)
        await broker.event(bus.LeaseChanged, lambda each: each.state == "lapsed")
        await broker.event(bus.DebuggerAttached, lambda each: each.again)
        await broker.dap(process, "s1", "threads")  # it is awake, and so are its breakpoints
        await broker.dap_event("stopped", reason="breakpoint")


async def test_a_tap_whose_link_breaks_comes_back_and_its_sessions_go_on(
    broker: Broker, sidecar: Sidecar, tmp_path: Path
) -> None:
    async with tapped(sidecar, tmp_path, WORKER) as (program, _):
        process = await opened(broker)
        await stop(broker, process, program)
        broker.events.clear()
        (served,) = sidecar._processes.values()
        served.line.close()
        await broker.event(bus.DebuggerDetached, lambda each: each.reason == "connection_lost")
        await broker.event(bus.DebuggerAttached, lambda each: each.again)
        await broker.dap_event("stopped", reason="breakpoint")
        assert not any(isinstance(each, bus.SessionClosed) for each in broker.events)


RAISES = """
import time
import sonde_agent

sonde_agent.start(service="shop")

def look(stock, name):
    try:
        return stock[name]  # raised here
    except LookupError:
        return None

while True:
    look({}, "pen")
    look([], 3)
    time.sleep(0.02)
"""


async def test_one_session_names_an_exception_and_another_has_a_filter_and_both_stop(
    broker: Broker, sidecar: Sidecar, tmp_path: Path
) -> None:
    async with tapped(sidecar, tmp_path, RAISES) as (program, _):
        process = await opened(broker)
        await broker.open(process, "s2")
        named = {"path": [{"names": ["Python Exceptions"]}, {"names": ["KeyError"]}], "breakMode": "always"}
        await broker.dap(process, "s1", "setExceptionBreakpoints", filters=[], exceptionOptions=[named])
        await broker.dap(process, "s2", "setExceptionBreakpoints", filters=["uncaught"])
        for _ in range(3):  # never at the IndexError between them
            thread = (await broker.dap_event("stopped", reason="exception"))["threadId"]
            frames = (await broker.dap(process, "s1", "stackTrace", threadId=thread))["stackFrames"]
            assert frames[0]["line"] == program.line("raised here")
            info = await broker.dap(process, "s1", "exceptionInfo", threadId=thread)
            assert "KeyError" in info["exceptionId"]
            await broker.dap(process, "s1", "continue", threadId=thread)
