"""Seat and lease of a real session, against the fake broker."""

import asyncio
import time
from typing import Any

import pytest

from sonde_viewer import DebugSession, NoAnswer, Refused, SessionClosed, Viewer, connect
from sonde_viewer.errors import NotDriver
from sonde_wire import Code, Failure, Reason, bus, codec, rpc
from tests.viewer.fake_broker import LEASE, SHOP, TOKEN, FakeBroker

BRIEF = bus.Lease(left=0.0, length=0.03)
"""Renewed at once, and each 10 ms."""
RENEW = rpc.OfSession(session="s1")
OTHERS = Failure(
    code=Code.FAILED_PRECONDITION,
    reason=Reason.NOT_DRIVER,
    message="next is for the driver, and bob drives this process",
)


def keepers() -> list[asyncio.Task[Any]]:
    """Those that still run, not those that were cancelled just now."""
    return [
        task
        for task in asyncio.all_tasks()
        if "keeps what stands" in task.get_name() and not task.cancelling()
    ]


async def moved(session: DebugSession) -> None:
    """What was told before is handled: the answer comes after it."""
    await session.request("threads")


async def test_the_lease_of_what_stands_is_renewed_again_and_again(
    broker: FakeBroker, viewer: Viewer
) -> None:
    broker.answers["session.renew"] = lambda _: bus.LeaseState(lease=BRIEF, renewed=True)
    async with viewer.debug(SHOP):
        await broker.tell(bus.LeaseChanged, state="begun", lease=BRIEF)
        await broker.was_asked("session.renew", times=3)
        assert len(keepers()) == 1
    assert keepers() == []
    assert set(broker.asked("session.renew")) == {RENEW}


async def test_nothing_is_renewed_while_nothing_stands(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        assert keepers() == []
        await broker.tell(bus.LeaseChanged, state="begun", lease=LEASE)
        await moved(session)
        assert len(keepers()) == 1
        await broker.tell(bus.LeaseChanged, state="ended")
        await moved(session)
        assert keepers() == []


async def test_a_lease_that_another_driver_renews_is_not_ours(broker: FakeBroker, viewer: Viewer) -> None:
    broker.opens(driver="s2", lease=LEASE)
    async with viewer.debug(SHOP) as session:
        assert (session.renews, keepers()) == (False, [])
        await broker.tell(bus.SeatChanged, reason="released")
        await moved(session)
        assert (session.renews, len(keepers())) == (True, 1)
        await broker.tell(bus.SeatChanged, reason="taken", driver="s2", viewer="bob")
        await moved(session)
        assert keepers() == []


async def test_a_session_that_keeps_nothing_renews_when_told_only(broker: FakeBroker, viewer: Viewer) -> None:
    broker.opens(lease=BRIEF)
    async with viewer.debug(SHOP, keep_stopped=False) as session:
        assert (session.renews, keepers()) == (False, [])
        assert await session.renew()
        assert session.lease is not None
        assert 0 < session.lease.left(time.monotonic()) <= 60
        assert keepers() == []


async def test_a_renewal_that_fails_is_tried_again(
    broker: FakeBroker, viewer: Viewer, caplog: pytest.LogCaptureFixture
) -> None:
    broker.opens(lease=BRIEF)
    broker.answers["session.renew"] = lambda _: OTHERS
    async with viewer.debug(SHOP):
        await broker.was_asked("session.renew", times=2)
    assert "was not renewed" in caplog.text


async def test_lost_events_are_made_good_by_asking(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        await broker.notify("gap", rpc.Gap(process=SHOP.process, boot=session.boot, first=1, last=2))
        await broker.was_asked("session.renew")
        await moved(session)
        assert session.lease is not None


async def test_a_broken_line_ends_what_was_kept(broker: FakeBroker) -> None:
    broker.opens(lease=LEASE)
    async with connect(broker.url, TOKEN) as viewer:
        session = await viewer.debug(SHOP).__aenter__()  # never left: the connection's end is enough
        assert session.renews
    assert keepers() == []


async def test_the_seat_is_taken_released_asked_for_and_granted(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        await session.take_seat()
        assert (session.driver, session.drives) == ("s1", True)
        await session.release_seat()
        assert (session.driver, session.driver_name, session.drives) == (None, None, False)
        await session.ask_for_seat()
        await session.grant_seat(to="s2")
        assert session.driver == "s2"
    asked = [params for params in broker.asked("session.seat") if isinstance(params, rpc.SeatCall)]
    assert [(each.action, each.to) for each in asked] == [
        ("take", None),
        ("release", None),
        ("ask", None),
        ("grant", "s2"),
    ]


async def test_who_asked_can_wait_until_the_seat_is_theirs(broker: FakeBroker, viewer: Viewer) -> None:
    broker.answers["session.seat"] = lambda _: bus.SeatState(driver="s2", viewer="bob", asking=("s1",))
    async with viewer.debug(SHOP) as session:
        with pytest.raises(NoAnswer, match="no seat within"):
            await session.ask_for_seat(within=0.01)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.ask_for_seat(within=10))
            await broker.was_asked("session.seat", times=2)
            await broker.tell(bus.SeatChanged, reason="granted", driver="s1", viewer="ada")
        assert session.drives


async def test_what_only_the_driver_may_do_names_the_driver_and_says_what_to_do(
    broker: FakeBroker, viewer: Viewer
) -> None:
    broker.opens(sessions=(bus.SessionInfo(session="s2", viewer="bob", opened=1.0),), driver="s2")
    broker.answers["dap"] = broker.answers["session.seat"] = lambda _: OTHERS
    async with viewer.debug(SHOP) as session:
        for refused in (session.next(1), session.take_seat()):
            with pytest.raises(NotDriver, match="bob drives: `ask_for_seat`") as caught:
                await refused
            assert (caught.value.driver, caught.value.reason) == ("bob", Reason.NOT_DRIVER)
        await broker.tell(bus.SeatChanged, reason="released")
        await broker.event("output", output="a sign that it was handled")
        with pytest.raises(Refused, match="is for the driver, and bob drives"):
            await session.next(1)  # who drives is not known here: the process's own words


async def test_a_session_outlives_its_debugger_and_what_stood_runs(
    broker: FakeBroker, viewer: Viewer
) -> None:
    broker.opens(stops=(codec.raw({"threadId": 3, "reason": "breakpoint"}),), lease=LEASE)
    async with viewer.debug(SHOP) as session:
        events, changes = session.events(), session.changes()
        await broker.tell(bus.DebuggerDetached, reason="not_answering")
        assert (await anext(events))["event"] == "continued"
        await broker.tell(bus.DebuggerAttached, debugpy="1.8.22", again=True)
        assert [type(await anext(changes)) for _ in range(2)] == [bus.DebuggerDetached, bus.DebuggerAttached]
        assert (session.standing, session.lease, keepers()) == ((), None, [])
        await broker.event("stopped", threadId=3, reason="breakpoint")
        assert (await session.stopped()).thread == 3


async def test_changes_end_with_the_session(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP) as session:
        changes = session.changes()
        await broker.event("output", output="not a change")
        await broker.tell(bus.LeaseChanged, state="lapsed")
        await broker.tell(bus.SessionClosed, session="s1", viewer="ada", reason="bus_lost")
        assert [type(each) async for each in changes] == [bus.LeaseChanged]
        with pytest.raises(SessionClosed):
            await session.take_seat()
        assert [each async for each in session.changes()] == []


async def test_who_waits_for_a_stop_arms_breakpoints_that_sleep(broker: FakeBroker, viewer: Viewer) -> None:
    broker.opens(asleep=True)
    async with viewer.debug(SHOP) as session, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(session.stopped(arm=False))
        waiting = tasks.create_task(session.stopped())
        await broker.was_asked("dap")
        await broker.event("stopped", threadId=1, reason="breakpoint")
        assert await waiting is await watching
    assert [request["command"] for request in broker.dap_requests] == ["threads"]


async def test_watching_for_a_stop_leaves_breakpoints_asleep(broker: FakeBroker, viewer: Viewer) -> None:
    broker.opens(asleep=True)
    async with viewer.debug(SHOP) as session:
        with pytest.raises(NoAnswer):
            await session.stopped(within=0.01, arm=False)
        assert (session.asleep, broker.dap_requests) == (True, [])
        await session.arm()
        await session.arm()
        assert (session.asleep, len(broker.dap_requests)) == (False, 1)
