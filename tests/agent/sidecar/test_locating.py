"""Where a thread stands: asked of pydevd when it stops, told to everybody, and in nobody's way. By hand, and with the real one."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sonde_agent.sidecar import Sidecar
from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.locating import MOST_NAME, WITHIN
from sonde_wire import bus, codec
from tests.agent.sidecar.by_hand import Bench, answer, said, stopped
from tests.agent.sidecar.conftest import Broker, tapped
from tests.support.debuggee import Program

ASKED = {"threadId": 1, "startFrame": 0, "levels": 1}


@pytest.fixture
def bench() -> Bench:
    """One session, attached."""
    bench = Bench(locating=True)
    bench.open("s1")
    bench.connect()
    return bench


def frame(line: int = 42, **changes: Any) -> dict[str, Any]:
    return {"id": 7, "name": "total", "line": line, "source": {"path": "/app/cart.py"}} | changes


def places(bench: Bench) -> list[tuple[str | None, int, str | None, int, str, str]]:
    told = [each for each in bench.told if each.kind is bus.StopLocated]
    shown = zip(told, bench.events(bus.StopLocated), strict=True)
    return [
        (each.session, what.thread, what.path, what.line, what.function, what.reason) for each, what in shown
    ]


def test_a_stop_is_told_first_then_its_place_is_asked_for_then_told_to_everybody(bench: Bench) -> None:
    effects = bench.do(said_stopped())
    told = [type(each) for each in effects if isinstance(each, e.Tell | e.Send)]
    assert told == [e.Tell, e.Send, e.Tell]  # the third is the lease
    assert bench.requests("stackTrace") == [ASKED]
    bench.respond(stackFrames=[frame()])
    assert places(bench) == [(None, 1, "/app/cart.py", 42, "total", "step")]
    bench.wait(30)
    assert bench.requests("stackTrace") == [ASKED]


def said_stopped(reason: str = "step") -> e.DebuggerSaid:
    return e.DebuggerSaid(said("stopped", reason=reason, threadId=1))


def test_a_place_without_source_is_a_line_and_a_function(bench: Bench) -> None:
    stopped(bench)
    bench.respond(stackFrames=[frame(source={}, name="f" * 9999)])
    assert places(bench) == [(None, 1, None, 42, "f" * MOST_NAME, "breakpoint")]


@pytest.mark.parametrize(
    "body",
    [{}, {"stackFrames": []}, {"stackFrames": [7]}, {"stackFrames": [frame(line="x")]}],  # type: ignore[arg-type]
)
def test_what_is_no_frame_tells_nothing(bench: Bench, body: dict[str, Any]) -> None:
    stopped(bench)
    bench.respond(**body)
    assert places(bench) == []


def test_a_refusal_or_no_answer_tells_nothing_and_doubts_nobody(bench: Bench) -> None:
    stopped(bench, 1)
    bench.respond(success=False)
    stopped(bench, 2)
    bench.wait(WITHIN + 30)
    assert places(bench) == []
    assert bench.requests("threads") == [], "pydevd is not suspected for that"
    assert e.Disconnect() not in bench.others


def test_what_ran_on_meanwhile_is_told_nowhere_and_its_next_stop_is_asked_for_when_that_is_over(
    bench: Bench,
) -> None:
    stopped(bench)
    first = bench.sent[-1]["seq"]
    bench.say("continued", threadId=1, allThreadsContinued=False)
    bench.do(said_stopped())
    assert bench.requests("stackTrace") == [ASKED], "one at a time"
    bench.do(e.DebuggerSaid(answer(first, stackFrames=[frame(7)])))
    assert places(bench) == []
    bench.respond(stackFrames=[frame(8)])
    assert [(place[3], place[5]) for place in places(bench)] == [(8, "step")]


def test_threads_are_asked_for_beside_each_other(bench: Bench) -> None:
    stopped(bench, 1)
    stopped(bench, 2)
    bench.respond(-2, stackFrames=[frame(1)])
    bench.respond(-1, stackFrames=[frame(2)])
    assert [(place[1], place[3]) for place in places(bench)] == [(1, 1), (2, 2)]


def test_a_session_that_looks_and_goes_on_waits_for_nothing(bench: Bench) -> None:
    stopped(bench)
    locating = bench.sent[-1]["seq"]
    asked = bench.ask("s1", "stackTrace", threadId=1)
    bench.respond(stackFrames=[frame(5)])
    assert bench.response(asked)["body"]["stackFrames"][0]["line"] == 5
    going = bench.ask("s1", "continue", threadId=1)
    bench.respond(allThreadsContinued=True)
    assert bench.response(going)["success"]
    bench.do(e.DebuggerSaid(answer(locating, stackFrames=[frame()])))
    assert len(places(bench)) == 1, "pydevd answers in order: it stood there"


def test_a_thread_that_was_told_to_run_is_not_asked_for(bench: Bench) -> None:
    stopped(bench)
    bench.say("continued", threadId=1, allThreadsContinued=False)
    stopped(bench)
    bench.ask("s1", "next", threadId=1)
    bench.respond(0, success=False)
    assert bench.requests("stackTrace") == [ASKED]


def test_who_joins_while_a_thread_stands_is_told_the_place_alone(bench: Bench) -> None:
    stopped(bench)
    bench.respond(stackFrames=[frame()])
    bench.slow = True
    bench.open("s2")
    assert len(places(bench)) == 1
    bench.respond(threads=[])
    assert bench.kinds()[-2:] == ["SessionOpened", "StopLocated"]
    assert places(bench)[1:] == [("s2", 1, "/app/cart.py", 42, "total", "breakpoint")]
    assert bench.requests("stackTrace") == [ASKED]


def test_nobody_is_asked_while_no_session_is_open_but_when_one_is() -> None:
    bench = Bench(slow=True, locating=True)
    bench.open("s1")
    bench.connect(said("stopped", reason="pause", threadId=1))
    assert bench.requests("stackTrace") == []
    bench.respond(threads=[])
    assert bench.requests("stackTrace") == [ASKED]
    bench.respond(stackFrames=[frame()])
    assert bench.kinds()[-1] == "StopLocated"


def test_nothing_is_asked_or_told_while_the_lease_has_lapsed_and_a_stop_that_is_shown_then_is() -> None:
    bench = Bench(locating=True, lease=10.0)
    bench.open("s1")
    bench.connect()
    stopped(bench)
    locating = bench.sent[-1]["seq"]
    bench.wait(1)
    bench.now += 9
    bench.do(e.TimePassed())
    bench.do(e.DebuggerSaid(answer(locating, stackFrames=[frame()])))
    bench.say("continued", threadId=1, allThreadsContinued=False)
    stopped(bench, 2)
    assert len(bench.requests("stackTrace")) == 1 and places(bench) == []
    bench.open("s2")
    assert len(bench.requests("stackTrace")) == 1 and places(bench) == []


def test_a_line_that_is_made_again_knows_of_no_place_of_the_one_before(bench: Bench) -> None:
    stopped(bench)
    bench.respond(stackFrames=[frame()])
    bench.do(e.LineLost())
    bench.do(e.DebuggerGone())
    bench.connect()
    bench.open("s2")
    assert len(places(bench)) == 1


# With debugpy

SHOP = """
import threading, time
import sonde_agent

sonde_agent.start(service="shop")

def total(cart):
    count = len(cart)  # stop here
    return count  # next line

def sell():
    while True:
        total([1])
        try:
            raise LookupError("no such cart")  # raise here
        except LookupError:
            time.sleep(0.01)

def wait():
    while True:
        time.sleep(0.01)  # pause here
        time.monotonic()

threading.Thread(target=sell, name="seller", daemon=True).start()
wait()
"""


@pytest.fixture
async def shop(sidecar: Sidecar, tmp_path: Path) -> AsyncIterator[Program]:
    async with tapped(sidecar, tmp_path, SHOP) as (program, _):
        yield program


async def test_a_breakpoint_a_step_an_exception_and_a_pause_are_located(
    broker: Broker, shop: Program
) -> None:
    process = await broker.presence(lambda each: each.state == "online")
    await broker.open(process, "s1")
    source = {"path": str(shop.path)}

    async def located(reason: str) -> bus.StopLocated:
        found = await broker.event(bus.StopLocated, lambda each: each.reason == reason)
        assert (found.path, found.session) == (str(shop.path), None)
        return found

    line = shop.line("stop here")
    await broker.dap(process, "s1", "setBreakpoints", source=source, breakpoints=[{"line": line}])
    hit = await located("breakpoint")
    assert (hit.line, hit.function) == (line, "total")
    told = [type(each).__name__ for each in broker.events]
    assert told.index("StopLocated") > max(n for n, each in enumerate(broker.events) if _is_stop(each))

    state = await broker.open(process, "s2")
    assert len(state.stops) == 1
    again = await broker.event(bus.StopLocated, lambda each: each.session == "s2")
    assert (again.thread, again.line) == (hit.thread, hit.line)

    await broker.dap(process, "s1", "next", threadId=hit.thread)
    assert (await located("step")).line == shop.line("next line")
    await broker.dap(process, "s1", "setBreakpoints", source=source, breakpoints=[])
    await broker.dap(process, "s1", "setExceptionBreakpoints", filters=["raised"])
    await broker.dap(process, "s1", "continue", threadId=hit.thread)
    raised = await located("exception")
    assert (raised.line, raised.function) == (shop.line("raise here"), "sell")
    threads = (await broker.dap(process, "s1", "threads"))["threads"]
    (main,) = (each["id"] for each in threads if each["name"] == "MainThread")
    await broker.dap(process, "s1", "pause", threadId=main)
    paused = await located("pause")
    assert (paused.thread, paused.function) == (main, "wait")
    (top,) = (await broker.dap(process, "s1", "stackTrace", threadId=main, levels=1))["stackFrames"]
    assert paused.line == top["line"] and abs(paused.line - shop.line("pause here")) <= 1


def _is_stop(event: bus.AnyEvent) -> bool:
    return isinstance(event, bus.DapEvent) and codec.decode_any(event.message)["event"] == "stopped"
