import asyncio

import pytest

from sonde_viewer import Refused, Viewer
from sonde_wire import Reason, bus, rpc
from sonde_wire.history import SessionPage
from tests.viewer.fake_broker import SHOP, FakeBroker
from tests.viewer.recorded import DETAIL, EVENTS, RECORD, REPORT, SESSION, Archive, without_history


async def test_all_pages_are_read(broker: FakeBroker, viewer: Viewer) -> None:
    archive = Archive(broker, *EVENTS)
    remembered = viewer.history("shop", since=5.0, text="x", order="oldest")
    assert [event async for event in remembered] == list(EVENTS)
    assert not (remembered.more or remembered.withheld or remembered.unreadable)
    first, *further = archive.asked
    assert first == rpc.HistoryEvents(selector="*/shop/*", since=5.0, text="x", order="oldest", limit=1000)
    assert [each.cursor for each in further] == ["2", "4", "6", "8"]


async def test_no_more_are_read_than_were_asked_for(broker: FakeBroker, viewer: Viewer) -> None:
    archive = Archive(broker, *EVENTS)
    archive.withheld = True
    remembered = viewer.history(limit=3)
    assert [event.seq async for event in remembered] == [11, 9, 8]
    assert (remembered.more, remembered.withheld) == (True, True)
    assert [each.limit for each in archive.asked] == [3, 1]
    assert not [event async for event in viewer.history(limit=0)]


async def test_sessions_are_listed_over_pages(broker: FakeBroker, viewer: Viewer) -> None:
    pages = iter([SessionPage(sessions=(RECORD,), cursor="more"), SessionPage(sessions=(RECORD,))])
    broker.answers["history.sessions"] = lambda _: next(pages)
    assert await viewer.sessions("shop", viewer="ada", limit=50) == [RECORD, RECORD]
    asked = rpc.HistorySessions(selector="*/shop/*", viewer="ada", limit=50)
    further = rpc.HistorySessions(selector="*/shop/*", viewer="ada", limit=49, cursor="more")
    assert broker.asked("history.sessions") == [asked, further]


async def test_a_session_is_replayed_from_what_is_remembered(broker: FakeBroker, viewer: Viewer) -> None:
    archive = Archive(broker, *EVENTS)
    replay = await viewer.replay(SESSION)
    assert (replay.detail, replay.events) == (DETAIL, EVENTS)
    assert {(each.session, each.order) for each in archive.asked} == {(SESSION, "oldest")}


async def test_a_report_is_asked_for(broker: FakeBroker, viewer: Viewer) -> None:
    Archive(broker)
    assert await viewer.report("shop", since=3.0) == REPORT
    assert broker.asked("fleet.report") == [rpc.MakeReport(selector="*/shop/*", since=3.0)]


async def test_without_a_history_that_is_told(broker: FakeBroker, viewer: Viewer) -> None:
    without_history(broker)
    with pytest.raises(Refused, match="--history") as caught:
        await viewer.session(SESSION)
    assert caught.value.reason is Reason.NO_HISTORY


async def test_the_state_of_the_history_is_followed(broker: FakeBroker, viewer: Viewer) -> None:
    states = [viewer.store]
    Archive(broker)
    await viewer.whoami()
    states.append(viewer.store)
    assert states == ["none", "up"]
    await broker.notify("store", rpc.StoreStatus(store="degraded", problem="the disk is full"))
    await viewer.processes()
    assert (viewer.store, viewer.store_problem) == ("degraded", "the disk is full")


async def test_a_session_has_a_name_and_metadata(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.debug(SHOP, name="cart bug", metadata={"ticket": "X-1"}):
        pass
    assert broker.asked("session.open") == [
        rpc.BeginSession(process=SHOP.process, name="cart bug", metadata={"ticket": "X-1"})
    ]


async def test_two_watches_on_one_process_do_not_count_what_is_not_missing(
    broker: FakeBroker, viewer: Viewer
) -> None:
    async with viewer.events() as events:
        await broker.tell(bus.ProcessStarted, pid=1)
        await broker.notify("gap", rpc.Gap(process=SHOP.process, boot=SHOP.boot, first=1, last=1))
        await broker.tell(bus.ProcessStarted, pid=2)
        async with asyncio.timeout(10):
            assert [(await anext(events)).seq for _ in range(2)] == [1, 2]
        assert events.lost == 0
