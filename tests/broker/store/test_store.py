"""What is kept is committed, acknowledged and found again: on SQLite and on PostgreSQL."""

from msgspec import Raw

from sonde_broker.queries import (
    BootsFound,
    FindBoots,
    FindResults,
    FindSnapshot,
    RangeRead,
    ReadRange,
    ResultsFound,
    StoredBoot,
    Summary,
    SumUp,
)
from sonde_wire import Selector, bus
from sonde_wire.probes import Captured, CapturedThread
from tests.broker.store.telling import (
    EVERYTHING,
    NOW,
    OBSERVER,
    Desk,
    Teller,
    boot,
    desk,
    kinds,
    numbers,
    sight,
)


async def test_what_is_stored_is_acknowledged_and_found_as_it_came(url: str) -> None:
    web = Teller()
    events = [web.tell(bus.ProcessStarted, pid=1), web.dap("stopped", reason="step", threadId=1)]
    async with desk(url) as history:
        up = await history.changed("up")
        assert await history.keep(web, events) == 2
        assert (await history.find(order="oldest")).events == tuple(events)
    async with desk(url) as again:
        assert (await again.changed("up")).identity == up.identity
        assert (await again.find(order="oldest")).events == tuple(events)


async def test_what_waits_when_the_broker_stops_is_stored(url: str) -> None:
    web = Teller()
    async with desk(url) as history:
        for _ in range(20):
            history.store.keep(web.keep(web.some(10)))
    async with desk(url) as again:
        assert numbers(await again.find(order="oldest", limit=1000)) == list(range(1, 201))


async def test_a_batch_that_comes_again_is_acknowledged_again_and_stored_once(url: str) -> None:
    web = Teller()
    events = web.some(3)
    async with desk(url) as history:
        assert [await history.keep(web, events) for _ in range(3)] == [3, 3, 3]
        assert numbers(await history.find(order="oldest")) == [1, 2, 3]


async def test_a_hole_holds_the_acknowledgement_back_until_it_is_filled(url: str) -> None:
    web = Teller()
    one, two, three = web.some(2), web.some(2), web.some(2)
    async with desk(url) as history:
        assert await history.keep(web, one) == 2
        assert await history.keep(web, three) == 2
        assert await history.keep(web, two) == 6


async def test_what_the_sidecar_has_no_more_is_lost_and_not_waited_for(url: str) -> None:
    web = Teller()
    one, _, three = web.some(2), web.some(2), web.some(2)
    async with desk(url) as history:
        assert await history.keep(web, one) == 2
        assert await history.keep(web, three, oldest=4) == 3
        assert await history.keep(web, three, oldest=5) == 6


async def test_two_brokers_on_one_history_see_how_far_the_other_has_got(url: str) -> None:
    web = Teller()
    one, two, three = web.some(2), web.some(2), web.some(2)
    async with desk(url) as here, desk(url) as there:
        assert (await here.changed("up")).identity == (await there.changed("up")).identity
        assert await here.keep(web, one) == 2
        assert await there.keep(web, two) == 4
        assert await here.keep(web, three) == 6
        assert await there.keep(web, two) == 6


async def test_two_brokers_that_store_the_same_at_once_are_not_in_each_others_way(url: str) -> None:
    tellers = [Teller(f"prod/shop/web-{number}", number) for number in range(20)]
    async with desk(url) as here:
        await here.changed("up")
        async with desk(url) as there:
            await _all_stored_twice(here, there, tellers)


async def _all_stored_twice(here: Desk, there: Desk, tellers: list[Teller]) -> None:
    batches = {teller.boot: [teller.some(3) for _ in range(10)] for teller in tellers}
    for place in range(10):
        for teller in tellers:
            here.store.keep(teller.keep(batches[teller.boot][place]))
        for teller in reversed(tellers):
            there.store.keep(teller.keep(batches[teller.boot][place]))
    for each in (here, there):
        for teller in tellers:
            while each.upto.get((str(teller.process), teller.boot)) != 30:
                await each.next()
        assert not [change for change in each.changes if change.state == "degraded"]


async def test_a_range_of_a_boot_is_read_as_far_as_the_bytes_allow(url: str) -> None:
    web = Teller()
    events = web.some(10, size=1000)
    async with desk(url) as history:
        await history.keep(web, events[:4])
        await history.keep(web, events[6:])
        whole = await history.ask(ReadRange(web.process, web.boot, 2, 9, 10**6))
        assert isinstance(whole, RangeRead)
        assert [each.seq for each in whole.events] == [2, 3, 4, 7, 8, 9]
        assert {each.kind for each in whole.events} == {"dap"}
        assert whole.events[0].body == bytes(events[1])
        assert whole.upto == 9
        part = await history.ask(ReadRange(web.process, web.boot, 2, 9, 3000))
        assert isinstance(part, RangeRead)
        assert ([each.seq for each in part.events], part.upto) == ([2, 3], 3)
        one = await history.ask(ReadRange(web.process, web.boot, 7, 9, 10))
        assert isinstance(one, RangeRead)
        assert ([each.seq for each in one.events], one.upto) == ([7], 7)
        assert await history.ask(ReadRange(web.process, boot(9), 1, 5, 1000)) == RangeRead((), 5)


async def test_later_boots_of_a_process_are_told_in_the_order_in_which_they_began(url: str) -> None:
    async with desk(url) as history:
        for number, began in ((3, NOW), (1, NOW + 100), (2, NOW + 200)):
            web = Teller(number=number, time=began)
            await history.keep(web, web.some(number))
        found = await history.ask(FindBoots(web.process, boot(3)))
        assert found == BootsFound(3, (StoredBoot(boot(1), 1), StoredBoot(boot(2), 2)))
        assert await history.ask(FindBoots(web.process, boot(9))) == BootsFound(0, ())


def snapshot(teller: Teller, probe: str = "probeaaaaa") -> Raw:
    return teller.tell(
        bus.SnapshotTaken,
        probe=probe,
        hit=1,
        captured=Captured(frames=(), thread=CapturedThread(id=1), duration=0.0),
    )


async def test_a_snapshot_is_found_by_its_id_and_by_its_probe_within_sight_only(url: str) -> None:
    web = Teller(number=0xABC << 116)
    events = [
        web.tell(bus.ProbeLogged, probe="probeaaaaa", hit=hit, message=f"m{hit}", path="a.py", line=1)
        for hit in range(1, 4)
    ]
    events += [
        snapshot(web),
        web.tell(bus.ProbeLogged, probe="probebbbbb", hit=1, message="", path="a.py", line=1),
    ]
    name = f"{web.boot[:12]}-4"
    async with desk(url) as history:
        await history.keep(web, events)
        assert await history.ask(FindSnapshot(name, EVERYTHING)) == events[3]
        for blind in (OBSERVER, sight("prod/other/*"), sight()):
            assert await history.ask(FindSnapshot(name, blind)) is None
            assert await history.ask(FindResults("probeaaaaa", 10, blind)) == ResultsFound((), False)
        for wrong in (
            "",
            "x-1",
            f"{web.boot[:12]}-3",
            f"{web.boot[:12]}-99",
            f"{web.boot[:12]}-{10**30}",
            "%-4",
        ):
            assert await history.ask(FindSnapshot(wrong, EVERYTHING)) is None
        found = await history.ask(FindResults("probeaaaaa", 3, EVERYTHING))
        assert found == ResultsFound(tuple(events[1:4]), True)
        found = await history.ask(FindResults("probeaaaaa", 4, EVERYTHING))
        assert found == ResultsFound(tuple(events[:4]), False)


async def test_a_summary_counts_what_is_within_sight_and_since_then(url: str) -> None:
    web, worker = Teller(), Teller("prod/jobs/worker-1", 2)
    gone = bus.Exit(reason="exited", message="exited with 3", code=3)
    async with desk(url) as history:
        await history.keep(web, [web.dap("stopped"), web.tell(bus.SessionOpened, session="s1", viewer="ada")])
        await history.keep(
            worker,
            [
                worker.tell(bus.SessionOpened, session="s2", viewer="bob"),
                worker.tell(bus.SessionClosed, session="s2", viewer="bob", reason="viewer_left", after=5.0),
                snapshot(worker),
                worker.tell(bus.ProcessEnded, exit=gone),
            ],
        )
        everything = await history.ask(SumUp(Selector(), 0.0, EVERYTHING))
        assert isinstance(everything, Summary)
        assert everything.events == {
            "dap.stopped": 1,
            "process_ended": 1,
            "session_closed": 1,
            "session_opened": 2,
            "snapshot_taken": 1,
        }
        assert (everything.sessions, everything.open_sessions, everything.session_time) == (2, 1, 5.0)
        assert [(each.process, each.exit) for each in everything.ended] == [(worker.process, gone)]
        little = await history.ask(SumUp(Selector(), 0.0, sight("prod/shop/*", values=False)))
        assert little == Summary({"dap.stopped": 1, "session_opened": 1}, 1, 1, 0.0, ())
        later = await history.ask(SumUp(Selector.parse("jobs"), worker.time, OBSERVER))
        assert isinstance(later, Summary)
        assert (later.events, later.sessions) == ({"process_ended": 1}, 0)


async def test_what_agents_make_up_cannot_stop_the_history(url: str) -> None:
    """Numbers and text that a database has no room for: all else is stored."""
    web, evil = Teller(), Teller("prod/evil/one", 2)
    nasty = [
        evil.tell(
            bus.SessionOpened, session="s\0\0", viewer="a\0b", name="n" * 9999, metadata={"\0": "\0" * 9999}
        ),
        evil.dap("stop\0ped"),
        evil.dap("x" * 5000, session="y" * 5000),
        evil.tell(bus.ProbeLogged, probe="\0", hit=1, message="\0", path="", line=1),
    ]
    async with desk(url) as history:
        evil.seq = 2**70
        history.store.keep(evil.keep([evil.dap("huge")]))
        evil.seq = 0
        history.store.keep(evil.keep(nasty))
        assert await history.keep(web, web.some(2)) == 2
        assert len((await history.find(selector="evil")).events) == 4
        assert len((await history.find(selector="evil", text="stop")).events) == 1
        assert len((await history.sessions(selector="evil")).sessions) == 1
        assert history.changes == [] or history.changes[0].state == "up"


async def test_a_clock_that_is_wrong_neither_hides_events_nor_keeps_them_for_ever(url: str) -> None:
    async with desk(url, days=7.0) as history:
        for number, began in ((1, 0.0), (2, 1e12)):
            web = Teller(f"prod/shop/web-{number}", number, began)
            assert await history.keep(web, web.some(2)) == 2
        assert kinds(await history.find()) == ["dap"] * 4
