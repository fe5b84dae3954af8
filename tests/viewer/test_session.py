import asyncio
import gc
import weakref
from typing import Any

import msgspec
import pytest

from sonde_viewer import ConnectionLost, DapError, NoAnswer, Refused, SessionClosed, Viewer
from sonde_viewer.prompt.debugger import Debugger
from sonde_wire import Code, Reason, bus, codec, rpc
from tests.viewer.fake_broker import CAPABILITIES, SHOP, FakeBroker, refusal


async def test_a_session_is_opened_after_its_events_are_subscribed_and_closed_at_the_end(
    broker: FakeBroker, viewer: Viewer
) -> None:
    async with viewer.debug(SHOP) as session:
        assert session.capabilities == CAPABILITIES
    assert [method for method, _ in broker.requests] == [
        "subscribe",
        "session.open",
        "session.close",
        "unsubscribe",
    ]
    assert broker.asked("subscribe") == [rpc.Subscribe(topics=("events", "output"), selector=SHOP.process)]


async def test_a_session_ends_with_the_bus(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        await broker.notify("bus", rpc.BusStatus(bus="down"))
        with pytest.raises(SessionClosed, match="bus"):
            await session.stopped(within=5)
        with pytest.raises(SessionClosed):
            await session.threads()


async def test_a_breakpoint_that_the_debugger_refuses_is_none(broker: FakeBroker, viewer: Viewer) -> None:
    broker.dap["setBreakpoints"] = lambda _: {"success": False, "message": "no"}
    async with viewer.debug(SHOP) as session:
        debugger = Debugger(viewer, session, patience=1)
        with pytest.raises(DapError):
            await debugger.execute("break /app/shop.py:2")
        assert (await debugger.execute("breaks")).data["breakpoints"] == []


async def test_events_that_nobody_reads_any_more_are_not_kept(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        reader = weakref.ref(session.events())
        kept = session.events()
        await broker.event("output", output="x")
        assert (await anext(kept))["event"] == "output"
        gc.collect()
        assert reader() is None


async def test_a_close_that_is_not_answered_does_not_hide_the_callers_error(
    broker: FakeBroker, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sonde_viewer.line.DEADLINE", 0.05)
    with pytest.raises(ZeroDivisionError):
        async with viewer.debug(SHOP):
            broker.answers["session.close"] = broker.answers["unsubscribe"] = lambda _: None
            raise ZeroDivisionError


async def test_a_refused_session_leaves_no_subscription_behind(broker: FakeBroker, viewer: Viewer) -> None:
    broker.answers["session.open"] = lambda _: refusal(Reason.MISSING_SCOPE)
    with pytest.raises(Refused):
        async with viewer.debug(SHOP):
            pytest.fail("it was refused")
    assert len(broker.asked("unsubscribe")) == 1


async def test_the_callers_error_comes_out_and_the_session_is_closed(
    broker: FakeBroker, viewer: Viewer
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with viewer.debug(SHOP):
            raise ZeroDivisionError
    assert len(broker.asked("session.close")) == 1


async def test_a_request_is_a_whole_dap_request_and_gives_the_body(
    broker: FakeBroker, viewer: Viewer
) -> None:
    broker.dap["evaluate"] = lambda _: {"body": {"result": "3"}}
    async with viewer.debug(SHOP) as session:
        assert await session.request("evaluate", expression="1+2", frameId=5) == {"result": "3"}
    request = broker.dap_requests[0]
    assert (request["type"], request["command"]) == ("request", "evaluate")
    assert request["arguments"] == {"expression": "1+2", "frameId": 5}


async def test_success_false_is_an_error_with_daps_message(broker: FakeBroker, viewer: Viewer) -> None:
    broker.dap["evaluate"] = lambda _: {"success": False, "message": "NameError: x"}
    async with viewer.debug(SHOP) as session:
        with pytest.raises(DapError, match="evaluate: NameError: x"):
            await session.request("evaluate", expression="x")


async def test_conditions_are_sent_only_where_there_are_some(broker: FakeBroker, viewer: Viewer) -> None:
    broker.dap["setBreakpoints"] = lambda _: {"body": {"breakpoints": [{"verified": True}]}}
    async with viewer.debug(SHOP) as session:
        assert await session.set_breakpoints("/app/shop.py", [3]) == [{"verified": True}]
        await session.set_breakpoints("/app/shop.py", {3: None, 4: "x > 1"})
    sent = [request["arguments"]["breakpoints"] for request in broker.dap_requests]
    assert sent == [[{"line": 3}], [{"line": 3}, {"line": 4, "condition": "x > 1"}]]


async def test_stopped_waits_for_a_stop(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(session.stopped())
        await broker.event("stopped", threadId=4, reason="breakpoint", hitBreakpointIds=[1])
        stop = await waiting
        assert (stop.thread, stop.reason, stop.breakpoints) == (4, "breakpoint", (1,))
        assert await session.stopped() is stop


async def test_a_late_joiner_knows_what_stands(broker: FakeBroker, viewer: Viewer) -> None:
    stops = (codec.raw({"threadId": 9, "reason": "pause"}),)
    broker.session = msgspec.structs.replace(broker.session, stops=stops)
    async with viewer.debug(SHOP) as session:
        assert (await session.stopped(within=0)).thread == 9
        assert session.joined == broker.session


async def test_no_stop_in_time_is_told(viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        with pytest.raises(NoAnswer, match=r"no stop within 0\.01 s"):
            await session.stopped(within=0.01)


async def test_events_of_other_sessions_are_not_ours(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        await broker.event("stopped", session="somebody else's", threadId=1)
        await broker.event("stopped", session="s1", threadId=2)
        assert (await session.stopped()).thread == 2


async def test_continue_lets_every_thread_run_and_a_new_stop_counts(
    broker: FakeBroker, viewer: Viewer
) -> None:
    def resume(request: dict[str, Any]) -> dict[str, Any]:
        return {"body": {"allThreadsContinued": False}}

    broker.dap["continue"] = resume
    async with viewer.debug(SHOP) as session:
        await broker.event("stopped", threadId=1, reason="breakpoint")
        await broker.event("stopped", threadId=2, reason="breakpoint")
        await session.stopped(thread=2)
        await session.continue_()
        assert session.standing == ()
        assert [request["arguments"] for request in broker.dap_requests] == [{"threadId": 1}, {"threadId": 2}]
        await broker.event("stopped", threadId=1, reason="step")
        assert (await session.stopped()).reason == "step"


async def test_when_one_continue_lets_all_run_the_others_are_not_asked(
    broker: FakeBroker, viewer: Viewer
) -> None:
    async with viewer.debug(SHOP) as session:
        await broker.event("stopped", threadId=1)
        await broker.event("stopped", threadId=2)
        await session.stopped(thread=2)
        await session.continue_()
        assert session.standing == ()
    assert [request["command"] for request in broker.dap_requests] == ["continue"]


async def test_a_step_that_is_refused_leaves_the_thread_standing(broker: FakeBroker, viewer: Viewer) -> None:
    broker.dap["next"] = lambda _: {"success": False, "message": "no"}
    async with viewer.debug(SHOP) as session:
        await broker.event("stopped", threadId=1)
        stop = await session.stopped()
        with pytest.raises(DapError):
            await session.next()
        assert session.standing == (stop,)


async def test_evaluate_uses_the_innermost_frame_of_what_stands(broker: FakeBroker, viewer: Viewer) -> None:
    broker.dap["stackTrace"] = lambda _: {"body": {"stackFrames": [{"id": 77}]}}
    broker.dap["evaluate"] = lambda _: {"body": {"result": "3"}}
    async with viewer.debug(SHOP) as session:
        await broker.event("stopped", threadId=1)
        await session.stopped()
        assert (await session.evaluate("x"))["result"] == "3"
    assert broker.dap_requests[-1]["arguments"] == {"expression": "x", "context": "watch", "frameId": 77}


async def test_events_are_daps_and_end_with_the_session(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        events = session.events()
        await broker.event("output", output="hello")
        await broker.tell(bus.SessionClosed, session="s1", viewer="ada", reason="debugger_lost")
        told = [event async for event in events]
        assert [(event["event"], event["body"]) for event in told] == [("output", {"output": "hello"})]
        with pytest.raises(SessionClosed, match="the debugger in the process was lost"):
            await session.stopped()
        with pytest.raises(SessionClosed):
            await session.threads()


async def test_the_end_of_the_process_ends_the_session(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        await broker.tell(bus.ProcessEnded, exit=bus.Exit(reason="exited", message="with code 0", code=0))
        with pytest.raises(SessionClosed, match="the process ended"):
            await session.stopped()


async def test_a_session_is_not_used_after_its_block(viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        await session.request("configurationDone")
    with pytest.raises(SessionClosed, match="this viewer left it"):
        await session.request("threads")


async def test_a_session_ends_with_the_connection(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        await broker.close(1012)
        with pytest.raises(ConnectionLost, match="restarting"):
            await session.stopped()


async def test_a_session_that_is_gone_already_needs_no_closing(broker: FakeBroker, viewer: Viewer) -> None:
    broker.answers["session.close"] = lambda _: refusal(Reason.UNKNOWN_SESSION, Code.NOT_FOUND)
    async with viewer.debug(SHOP):
        assert len(broker.asked("session.open")) == 1
