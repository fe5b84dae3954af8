"""Events over broken connections, against the fake broker."""

import asyncio

import pytest

from sonde_viewer import ConnectionLost, Viewer, follow
from sonde_viewer.errors import ConnectionDenied
from sonde_viewer.resuming import Interrupted, Missing, Notice, Resumed
from sonde_wire import bus, codec, rpc
from sonde_wire.history import Cursor
from tests.viewer.fake_broker import BOOT, SHOP, TOKEN, FakeBroker, presence
from tests.viewer.recorded import Archive, printed, started

OTHER = "default/worker/w-1"


async def tell(broker: FakeBroker, *events: bus.AnyEvent) -> None:
    await broker.notify("events", rpc.EventItems(events=tuple(codec.raw(each) for each in events)))


def cursor(seq: int, process: str = SHOP.process, boot: str = BOOT) -> Cursor:
    return Cursor(process=process, boot=boot, seq=seq)


def gap(first: int, last: int, reason: str = "lost") -> rpc.Gap:
    return rpc.Gap(process=SHOP.process, boot=BOOT, first=first, last=last, reason=reason)  # type: ignore[arg-type] # one of them


def subscribed(broker: FakeBroker) -> rpc.Subscribe:
    params = broker.asked("subscribe")[-1]
    assert isinstance(params, rpc.Subscribe)
    return params


async def catches_up(broker: FakeBroker, times: int, *told: bus.AnyEvent | rpc.Gap) -> None:
    """At the next subscription: what was missed is told before the answer."""
    await broker.was_asked("subscribe", times)
    for each in told:
        if isinstance(each, rpc.Gap):
            await broker.notify("gap", each)
        else:
            await tell(broker, each)
    broker.delays.pop("subscribe").set()


async def test_a_watch_goes_on_from_cursors_and_tells_in_order(broker: FakeBroker, viewer: Viewer) -> None:
    broker.delays["subscribe"] = asyncio.Event()
    watch = viewer.watch("events", "shop", cursors=[cursor(2)])
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(anext(watch))
        told = (started(9), started(2), started(3), gap(4, 8), started(3))
        await catches_up(broker, 1, *told)
        assert (await first).seq == 3
    assert (watch.lost, watch.missing) == (5, {"lost": 5})
    assert watch.cursors() == (cursor(3),)
    assert (await anext(watch)).seq == 9
    assert watch.cursors() == (cursor(9),)
    assert subscribed(broker).cursors == (cursor(2),)


async def test_cursors_tell_what_was_read_not_what_arrived(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.events("shop") as events:
        await tell(broker, started(1), started(2))
        await viewer.processes()
        assert events.cursors() == ()
        await anext(events)
        assert events.cursors() == (cursor(1),)


async def test_more_cursors_than_one_call_may_have_are_several_calls(
    broker: FakeBroker, viewer: Viewer
) -> None:
    many = [cursor(1, f"default/p/i-{number}") for number in range(300)]
    async with viewer.events(cursors=many):
        asked = [each.cursors for each in broker.asked("subscribe") if isinstance(each, rpc.Subscribe)]
        assert [len(each) for each in asked] == [256, 44]
        assert len(broker.asked("unsubscribe")) == 1
    assert len(broker.asked("unsubscribe")) == 2


@pytest.mark.parametrize("code", [1012, rpc.CLOSE_SLOW_VIEWER])
async def test_following_goes_on_where_it_was(broker: FakeBroker, code: int) -> None:
    notices: list[Notice] = []
    async with (
        asyncio.TaskGroup() as tasks,
        follow("shop", url=broker.url, token=TOKEN, tell=notices.append) as events,
    ):
        await tell(broker, started(7), printed(8, "x"))
        assert [(await anext(events)).seq for _ in range(2)] == [7, 8]
        broker.delays["subscribe"] = asyncio.Event()
        waiting = tasks.create_task(anext(events))
        await broker.close(code)
        await catches_up(broker, 2, started(9), gap(10, 11))
        assert (await waiting).seq == 9
        await tell(broker, started(9), started(12))
        assert (await anext(events)).seq == 12
        assert subscribed(broker) == rpc.Subscribe(
            topics=("events", "output"), selector="*/shop/*", cursors=(cursor(8),)
        )
        assert (events.lost, events.missing) == (2, {"lost": 2})
        assert events.cursors() == (cursor(12),)
    interrupted, resumed, missing = notices
    assert isinstance(interrupted, Interrupted)
    assert 0 <= interrupted.wait <= 0.1
    assert (resumed, missing) == (Resumed(), Missing(gap(10, 11)))


async def test_a_process_that_appeared_meanwhile_is_told_from_its_beginning(broker: FakeBroker) -> None:
    async with follow(url=broker.url, token=TOKEN) as events:
        await tell(broker, started(7))
        await anext(events)
        both = rpc.ProcessList(processes=(SHOP, presence(OTHER)))
        broker.answers["process.list"] = lambda _: both
        broker.delays["subscribe"] = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(anext(events))
            await broker.close(1012)
            await catches_up(broker, 2, started(1, process=OTHER))
            assert (await waiting).process == OTHER
        assert set(subscribed(broker).cursors) == {cursor(7), cursor(0, OTHER)}


async def test_a_process_that_had_been_silent_is_not_told_of_the_time_before(broker: FakeBroker) -> None:
    async with follow(url=broker.url, token=TOKEN) as events:
        broker.delays["subscribe"] = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(anext(events))
            await broker.close(1012)
            long_ago, later = started(4, time=1.0), started(5, time=4e9)
            await catches_up(broker, 2, long_ago, later)
            assert (await waiting).seq == 5
        assert subscribed(broker).cursors == (cursor(0),)
        await tell(broker, started(6, time=1.0))  # a live one, of a clock that is wrong
        assert (await anext(events)).seq == 6


async def test_the_history_tells_where_a_silent_process_was(broker: FakeBroker) -> None:
    Archive(broker, started(3, time=1.0), started(4, time=2.0))
    async with follow(url=broker.url, token=TOKEN) as events:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(anext(events))
            await broker.close(1012)
            await broker.was_asked("subscribe", 2)
            await tell(broker, started(5))
            assert (await waiting).seq == 5
        assert subscribed(broker).cursors == (cursor(4),)


@pytest.mark.parametrize("reason", ["too_many", "slow_viewer"])
async def test_what_was_not_told_is_read_from_the_history(broker: FakeBroker, reason: str) -> None:
    notices: list[Notice] = []
    Archive(broker, *(started(seq) for seq in range(1, 12)), printed(12, "x"))
    async with follow(
        url=broker.url, token=TOKEN, topics=("events",), cursors=[cursor(2)], tell=notices.append
    ) as events:
        await tell(broker, started(3))
        await broker.notify("gap", gap(4, 12, reason))
        await tell(broker, started(13))
        assert [(await anext(events)).seq for _ in range(10)] == [3, *range(4, 12), 13]
        assert (events.lost, notices) == (0, [])
        assert events.cursors() == (cursor(13),)


async def test_what_the_history_does_not_have_is_missing(broker: FakeBroker) -> None:
    notices: list[Notice] = []
    Archive(broker, started(4), started(5), started(8))
    async with follow(url=broker.url, token=TOKEN, tell=notices.append) as events:
        await broker.notify("gap", gap(4, 9, "slow_viewer"))
        await tell(broker, started(10))
        assert [(await anext(events)).seq for _ in range(4)] == [4, 5, 8, 10]
        assert (events.lost, events.missing) == (3, {"slow_viewer": 3})
    assert notices == [Missing(gap(6, 7, "slow_viewer")), Missing(gap(9, 9, "slow_viewer"))]


async def test_where_one_broker_is_gone_another_is_asked(broker: FakeBroker, unused_tcp_port: int) -> None:
    nobody = f"http://127.0.0.1:{unused_tcp_port}"
    for _ in range(4):  # the order is random
        async with follow(url=f"{nobody},{broker.url}", token=TOKEN) as events:
            await tell(broker, started(1))
            assert (await anext(events)).seq == 1


async def test_after_a_broker_has_gone_it_goes_on_at_another(broker: FakeBroker) -> None:
    async with FakeBroker().running() as other:
        both = {broker.url: broker, other.url: other}
        async with follow(url=",".join(both), token=TOKEN) as events:
            here = broker if broker.asked("subscribe") else other
            there = other if here is broker else broker
            await tell(here, started(1))
            await anext(events)
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(anext(events))
                await here.gone()
                await there.was_asked("subscribe")
                await tell(there, started(2))
                assert (await waiting).seq == 2
            assert subscribed(there).cursors == (cursor(1),)


async def test_a_token_that_is_not_taken_any_more_ends_it(broker: FakeBroker) -> None:
    async with follow(url=broker.url, token=TOKEN) as events:
        await broker.close(rpc.CLOSE_UNAUTHENTICATED)
        with pytest.raises(ConnectionDenied):
            await anext(events)


async def test_where_nobody_answers_at_first_it_does_not_wait(unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionLost, match="sonde up"):
        async with follow(url=f"http://127.0.0.1:{unused_tcp_port}", token=TOKEN):
            pytest.fail("nobody is there")


async def test_left_it_is_over_and_the_broker_is_told(broker: FakeBroker) -> None:
    async with follow(url=broker.url, token=TOKEN) as events:
        pass
    assert [each async for each in events] == []
    assert len(broker.asked("unsubscribe")) == 1


async def test_a_wait_that_was_cut_off_can_be_taken_up_again(broker: FakeBroker) -> None:
    async with follow(url=broker.url, token=TOKEN) as events:
        await tell(broker, started(1))
        await anext(events)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await anext(events)
        await tell(broker, started(2))
        assert (await anext(events)).seq == 2
