"""One process through the sidecar: real tap, real debugpy, real MQTT server; the test plays the broker."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sonde_agent.sidecar import Sidecar
from sonde_wire import Code, Reason, bus, codec, looking, topics
from tests.agent.sidecar.conftest import Broker, broker_on, tapped
from tests.support.debuggee import Program, Running

WORKER = """
import threading, time
import sonde_agent

sonde_agent.start(service="shop")

def price(count):
    total = count * 3
    total += 1  # stop here
    return total  # next line

def work():
    for count in range(1_000_000):
        print("sold", price(count))
        time.sleep(0.02)

threading.Thread(target=work, name="worker", daemon=True).start()
while True:
    print("alive")
    time.sleep(0.05)
"""


@pytest.fixture
async def worker(sidecar: Sidecar, tmp_path: Path) -> AsyncIterator[tuple[Program, Running]]:
    async with tapped(sidecar, tmp_path, WORKER) as started:
        yield started


async def online(broker: Broker) -> bus.Presence:
    return await broker.presence(lambda each: each.state == "online")


async def opened(broker: Broker, session: str = "s1") -> bus.Presence:
    """The process, with a session of ada's on it."""
    process = await online(broker)
    await broker.open(process, session)
    return process


async def stop(broker: Broker, process: bus.Presence, program: Program, session: str = "s1") -> int:
    """Sets the breakpoint, and the thread that stands there."""
    source = {"path": str(program.path)}
    body = await broker.dap(
        process,
        session,
        "setBreakpoints",
        source=source,
        breakpoints=[{"line": program.line("stop here")}],
    )
    (breakpoint_,) = body["breakpoints"]
    assert breakpoint_["verified"] and breakpoint_["line"] == program.line("stop here")
    stopped = await broker.dap_event("stopped", reason="breakpoint")
    assert stopped["hitBreakpointIds"] == [breakpoint_["id"]]
    return int(stopped["threadId"])


async def test_a_viewer_stops_looks_steps_and_goes_on(
    broker: Broker, worker: tuple[Program, Running]
) -> None:
    program, running = worker
    process = await online(broker)
    assert process.process.startswith("default/shop/")
    assert process.debugger == "detached"

    state = await broker.open(process, "s1")
    assert codec.decode_any(state.capabilities)["supportsLogPoints"] is True
    assert [each.session for each in state.sessions] == ["s1"]
    await broker.event(bus.DebuggerAttached)

    thread = await stop(broker, process, program)
    stopped = await broker.presence(lambda each: each.stopped_threads == 1)
    assert stopped.debugger == "attached"

    frames = (await broker.dap(process, "s1", "stackTrace", threadId=thread))["stackFrames"]
    assert (frames[0]["name"], frames[0]["line"]) == ("price", program.line("stop here"))
    scopes = (await broker.dap(process, "s1", "scopes", frameId=frames[0]["id"]))["scopes"]
    variables = await broker.dap(
        process, "s1", "variables", variablesReference=scopes[0]["variablesReference"]
    )
    shown = {
        each["name"]: int(each["value"]) for each in variables["variables"] if each["name"] in "count total"
    }
    assert shown["total"] == shown["count"] * 3
    evaluated = await broker.dap(
        process, "s1", "evaluate", expression="total * 2", frameId=frames[0]["id"], context="watch"
    )
    assert int(evaluated["result"]) == shown["total"] * 2

    await broker.dap(process, "s1", "next", threadId=thread)
    await broker.dap_event("continued")
    await broker.dap_event("stopped", reason="step")
    frames = (await broker.dap(process, "s1", "stackTrace", threadId=thread))["stackFrames"]
    assert frames[0]["line"] == program.line("next line")

    await broker.dap(process, "s1", "setBreakpoints", source={"path": str(program.path)}, breakpoints=[])
    assert await broker.dap(process, "s1", "continue", threadId=thread) == {"allThreadsContinued": True}
    assert await broker.dap(process, "s1", "continue", threadId=thread) == {"allThreadsContinued": True}
    await running.says("sold")
    await broker.presence(lambda each: each.stopped_threads == 0)

    reply = await broker.ask(process, bus.CloseSession(session="s1"))
    assert reply.failure is None
    assert (await broker.event(bus.SessionClosed)).reason == "viewer_left"
    await broker.presence(lambda each: each.debugger == "detached" and not each.sessions)


async def test_only_the_thread_that_hit_the_breakpoint_stands(
    broker: Broker, worker: tuple[Program, Running]
) -> None:
    program, running = worker
    process = await opened(broker)
    await stop(broker, process, program)
    for _ in range(3):
        await running.says("alive")


async def test_a_session_that_leaves_takes_only_its_own_breakpoints(
    broker: Broker, worker: tuple[Program, Running]
) -> None:
    program, _ = worker
    process = await opened(broker)
    thread = await stop(broker, process, program)
    state = await broker.open(process, "s2")
    (body,) = (codec.decode_any(each) for each in state.stops)
    assert body["threadId"] == thread
    source = {"path": str(program.path)}
    for line in (program.line("stop here"), program.line("next line")):
        await broker.dap(process, "s2", "setBreakpoints", source=source, breakpoints=[{"line": line}])

    assert (await broker.ask(process, bus.CloseSession(session="s1"))).failure is None
    await broker.dap(process, "s2", "continue", threadId=thread)
    await broker.dap_event("stopped", reason="breakpoint")
    frames = (await broker.dap(process, "s2", "stackTrace", threadId=thread))["stackFrames"]
    assert frames[0]["line"] == program.line("next line")
    await broker.dap(process, "s2", "continue", threadId=thread)
    await broker.dap_event("stopped", reason="breakpoint")
    frames = (await broker.dap(process, "s2", "stackTrace", threadId=thread))["stackFrames"]
    assert frames[0]["line"] == program.line("next line")


async def test_a_lost_broker_lets_the_process_run_on(
    mqtt_url: str, broker: Broker, worker: tuple[Program, Running]
) -> None:
    program, running = worker
    process = await online(broker)
    async with broker_on(mqtt_url, "b2") as other:
        await other.open(process, "s1")
        await stop(other, process, program)
    await broker.presence(lambda each: each.stopped_threads == 1)
    lost = bus.BrokerPresence(broker="b2", state="lost", time=0.0)
    await broker.line.publish(topics.presence_of_broker("b2"), codec.encode(lost))
    assert (await broker.event(bus.SessionClosed)).reason == "broker_lost"
    await broker.presence(lambda each: each.debugger == "detached" and each.stopped_threads == 0)
    await running.says("sold")


async def test_a_process_is_debugged_again_after_everybody_had_left(
    broker: Broker, worker: tuple[Program, Running]
) -> None:
    program, running = worker
    process = await online(broker)
    for session in ("s1", "s2", "s3"):
        await broker.open(process, session)
        await stop(broker, process, program, session)
        assert (await broker.ask(process, bus.CloseSession(session=session))).failure is None
        await broker.presence(lambda each: each.debugger == "detached")
        await running.says("sold")


async def test_a_killed_process_is_seen_to_be_killed(broker: Broker, worker: tuple[Program, Running]) -> None:
    program, running = worker
    process = await opened(broker)
    await stop(broker, process, program)
    running.process.send_signal(signal.SIGKILL)
    ended = await broker.presence(lambda each: each.state == "ended")
    assert ended.exit is not None
    assert (ended.exit.reason, ended.exit.signal) == ("signalled", "SIGKILL")
    assert (await broker.event(bus.SessionClosed)).reason == "process_ended"
    assert (await broker.event(bus.ProcessEnded)).exit == ended.exit
    assert [event.seq for event in broker.events] == sorted(event.seq for event in broker.events)


async def test_stacks_and_source_are_read_without_a_session(
    broker: Broker, worker: tuple[Program, Running]
) -> None:
    program, _ = worker
    process = await online(broker)
    reply = await broker.ask(process, bus.ReadStacks())
    assert not isinstance(reply.result, (type(None), type(...))), reply.failure
    stacks = codec.decode(reply.result, looking.Stacks)  # type: ignore[arg-type] # checked above
    assert "worker" in {each.name for each in stacks.threads}
    reply = await broker.ask(process, bus.ReadSource(path=str(program.path)))
    assert codec.decode(reply.result, looking.Source).text == program.path.read_text()  # type: ignore[arg-type] # as above


async def test_metrics_arrive(broker: Broker, worker: tuple[Program, Running]) -> None:
    await online(broker)
    sample = await broker.until(lambda: broker.metrics[1] if len(broker.metrics) > 1 else None)
    assert sample.cpu_percent is not None and sample.memory_rss and sample.threads
    assert not sample.unavailable


async def test_what_is_not_admitted_is_refused_with_its_reason(
    broker: Broker, worker: tuple[Program, Running]
) -> None:
    process = await opened(broker)
    stale = await broker.ask(process, bus.ReadStacks(), boot="0" * 32)
    assert stale.failure is not None and stale.failure.reason is Reason.STALE_BOOT
    poor = bus.ViewerIdentity(subject="eve", connection="c2", scopes=("observe",))
    refused = await broker.ask(process, bus.ReadStacks(), viewer=poor)
    assert refused.failure is not None and refused.failure.reason is Reason.MISSING_SCOPE
    rich = bus.ViewerIdentity(subject="eve", connection="c2", scopes=("control",))
    foreign = await broker.ask(process, bus.CloseSession(session="s1"), viewer=rich)
    assert foreign.failure is not None and foreign.failure.code is Code.NOT_FOUND
    request = {"seq": 1, "type": "request", "command": "next", "arguments": {"threadId": 1}}
    running = await broker.ask(process, bus.Dap(session="s1", request=codec.raw(request)))
    assert running.failure is not None and running.failure.reason is Reason.NOT_STOPPED


async def test_a_command_runs_once_and_its_repeat_gets_the_same_reply(
    broker: Broker, worker: tuple[Program, Running]
) -> None:
    process = await online(broker)
    first = await broker.ask(process, bus.OpenSession(session="s1"), id="once")
    broker.replies.clear()
    again = await broker.ask(process, bus.OpenSession(session="s1"), id="once")
    assert again == first and again.failure is None
