"""Debug sessions after the fact: who, when, and what happened in them."""

import pytest

from sonde_broker.queries import FindSession, FindSessions, Sight
from sonde_wire import Failure, Reason, bus, codec
from sonde_wire.history import SessionDetail, SessionRecord
from sonde_wire.rpc import HistorySessions
from tests.broker.store.telling import EVERYTHING, NOW, OBSERVER, Desk, Teller, desk, numbers, sight


async def detail(history: Desk, session: str, seen: Sight = EVERYTHING) -> SessionDetail | None:
    found = await history.ask(FindSession(session, seen))
    assert found is None or isinstance(found, SessionDetail), found
    return found


def breakpoints(owner: str, path: str, line: int) -> bus.BreakpointSet:
    return bus.BreakpointSet(owner=owner, path=path, breakpoints=(codec.raw({"id": 1, "line": line}),))


async def test_a_session_is_what_it_was_told_between_its_opening_and_its_close(url: str) -> None:
    web = Teller()
    events = [
        web.dap("stopped", threadId=1),  # 1, before it
        web.tell(
            bus.SessionOpened, session="s1", viewer="ada", name="the 500s", metadata={"ticket": "42"}
        ),  # 2
        web.tell(bus.SessionOpened, session="s2", viewer="bob"),  # 3, another's
        web.tell(bus.BreakpointsChanged, breakpoints=breakpoints("s1", "a.py", 1)),  # 4
        web.tell(bus.BreakpointsChanged, breakpoints=breakpoints("s2", "a.py", 2)),  # 5
        web.dap("stopped", threadId=1, after=2.0),  # 6
        web.dap("continued", threadId=1, after=3.0),  # 7
        web.tell(bus.Output, message=codec.raw({})),  # 8
        web.dap("stopped", threadId=1),  # 9
        web.dap("stopped", threadId=2),  # 10
        web.dap("continued", threadId=1),  # 11
        web.tell(bus.LeaseChanged, state="ended", after=5.0),  # 12
        web.tell(bus.SessionClosed, session="s1", viewer="ada", reason="viewer_left"),  # 13
        web.dap("stopped", threadId=1),  # 14, after it
    ]
    async with desk(url) as history:
        await history.keep(web, events)
        found = await detail(history, "s1")
        assert found is not None
        assert found.session == SessionRecord(
            session="s1",
            process="prod/shop/web-1",
            boot=web.boot,
            viewer="ada",
            opened=NOW + 2,
            first=2,
            name="the 500s",
            metadata={"ticket": "42"},
            closed=NOW + 20,
            last=13,
            reason="viewer_left",
        )
        statistics = found.statistics
        assert statistics.kinds == {
            "breakpoints_changed": 2,
            "dap.continued": 2,
            "dap.stopped": 3,
            "lease_changed": 1,
            "output": 1,
            "session_closed": 1,
            "session_opened": 1,
        }
        assert (statistics.events, statistics.stops, statistics.missing) == (11, 3, 0)
        assert statistics.duration == 18.0
        assert (statistics.stopped, statistics.longest_stop) == (3.0 + 7.0, 7.0)
        assert found.breakpoints == (breakpoints("s1", "a.py", 1),)
        blind = await detail(history, "s1", OBSERVER)
        assert blind is not None
        assert blind.statistics.kinds == {
            kind: count for kind, count in statistics.kinds.items() if kind != "output"
        }
        mine = await history.find(session="s1", order="oldest")
        assert numbers(mine) == [2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
        some = await history.find(session="s1", order="oldest", limit=4)
        more = await history.find(session="s1", order="oldest", limit=9, cursor=some.cursor)
        assert numbers(some) + numbers(more) == numbers(mine)
        assert numbers(await history.find(session="s1", kinds=("dap.stopped",))) == [10, 9, 6]


async def test_a_session_that_nobody_saw_close_lasts_to_its_last_event(url: str) -> None:
    web = Teller()
    events = [web.tell(bus.SessionOpened, session="s1", viewer="ada"), *web.some(5)]
    async with desk(url) as history:
        await history.keep(web, events[:2])
        await history.keep(web, events[4:])
        found = await detail(history, "s1")
        assert found is not None
        assert (found.session.closed, found.session.last, found.session.reason) == (None, None, None)
        assert (found.statistics.events, found.statistics.missing, found.statistics.duration) == (4, 2, 5.0)


async def test_the_order_in_which_opening_and_close_arrive_makes_no_difference(url: str) -> None:
    web = Teller()
    opened = [web.tell(bus.SessionOpened, session="s1", viewer="ada", name="n")]
    between = web.some(1)
    closed = [web.tell(bus.SessionClosed, session="s1", viewer="ada", reason="bus_lost")]
    async with desk(url) as history:
        for events in (closed, between):
            await history.keep(web, events)
        assert await detail(history, "s1") is None
        assert (await history.sessions()).sessions == ()
        await history.keep(web, opened)
        found = await detail(history, "s1")
        assert found is not None
        assert (found.session.name, found.session.reason, found.session.last) == ("n", "bus_lost", 3)


async def test_sessions_are_listed_newest_first_page_by_page_within_sight(url: str) -> None:
    async with desk(url) as history:
        for number in range(1, 8):
            web = Teller(f"prod/shop/web-{number}", number, NOW + number // 2)  # some at the same time
            viewer = "ada" if number % 2 else "bob"
            await history.keep(web, [web.tell(bus.SessionOpened, session=f"s{number}", viewer=viewer)])
        listed: list[str] = []
        cursor = None
        while True:
            page = await history.sessions(limit=2, cursor=cursor)
            listed += [each.session for each in page.sessions]
            cursor = page.cursor
            if cursor is None:
                break
        assert listed == ["s7", "s6", "s5", "s4", "s3", "s2", "s1"]
        of_bob = await history.sessions(viewer="bob")
        assert [each.session for each in of_bob.sessions] == ["s6", "s4", "s2"]
        between = await history.sessions(since=NOW + 2, until=NOW + 3)
        assert [each.session for each in between.sessions] == ["s3", "s2"]
        seen = sight("prod/shop/web-3")
        assert [each.session for each in (await history.sessions(seen)).sessions] == ["s3"]
        assert await detail(history, "s3", seen) is not None
        assert await detail(history, "s4", seen) is None
        assert (await history.find(seen, session="s4")).events == ()
        assert (await history.sessions(sight())).sessions == ()
        events = await history.find(limit=1)
        wrong = await history.ask(FindSessions(HistorySessions(cursor=events.cursor), EVERYTHING))
        assert isinstance(wrong, Failure)
        assert wrong.reason is Reason.INVALID_CURSOR


@pytest.mark.parametrize("claimed", ["s1", "unknown"])
async def test_a_process_that_claims_anothers_session_shows_it_to_nobody_who_may_not_see_the_process(
    url: str, claimed: str
) -> None:
    web, evil = Teller(), Teller("test/evil/one", 2)
    async with desk(url) as history:
        await history.keep(web, [web.tell(bus.SessionOpened, session="s1", viewer="ada")])
        await history.keep(evil, [evil.tell(bus.SessionOpened, session=claimed, viewer="eve")])
        seen = await detail(history, "s1", sight("prod/*/*"))
        assert seen is not None
        assert seen.session.viewer == "ada"
