"""Probes in the client library, against the fake broker."""

import asyncio

import pytest
from msgspec.structs import replace

from sonde_viewer import ConnectionLost, Refused, Viewer, following
from sonde_viewer.following import is_spent
from sonde_wire import Reason, bus, rpc
from sonde_wire.probes import Counter, ProbeStatus
from tests.viewer.fake_broker import BOOT, SHOP, FakeBroker, refusal
from tests.viewer.probing import (
    ID,
    INFO,
    OTHER,
    PROBE,
    SPEC,
    SPENT,
    STATUS,
    Desk,
    changed,
    logged,
    number,
    taken,
)


@pytest.fixture
def desk(broker: FakeBroker) -> Desk:
    return Desk(broker)


async def test_a_probe_is_added_listed_shown_and_removed(desk: Desk, viewer: Viewer) -> None:
    assert (await viewer.add_probe(SPEC)).probe.id == ID
    assert desk.added == SPEC
    assert await viewer.probes("shop", ended=True) == [INFO]
    assert desk.broker.asked("probe.list") == [rpc.ListProbes(selector="*/shop/*", ended=True)]
    assert (await viewer.probe(ID)).processes[0].status == STATUS
    await viewer.remove_probe(ID)
    assert desk.removed == [ID]


async def test_a_probe_that_is_refused_says_why(desk: Desk, viewer: Viewer) -> None:
    desk.broker.answers["probe.add"] = lambda _: refusal(Reason.INVALID_EXPRESSION)
    with pytest.raises(Refused) as caught:
        await viewer.add_probe(SPEC)
    assert caught.value.reason is Reason.INVALID_EXPRESSION


async def test_results_are_events_of_that_probe_and_tell_whether_there_were_more(
    desk: Desk, viewer: Viewer
) -> None:
    desk.kept = [logged(1), logged(2, probe=OTHER), taken(3, n=number(1))]
    desk.more = True
    results = await viewer.probe_results(ID, 50)
    assert [event.seq for event in results.events] == [1, 3]
    assert results.more
    assert desk.broker.asked("probe.results") == [rpc.ProbeResultsCall(probe=ID, limit=50)]


async def test_a_snapshot_is_read_by_its_id(desk: Desk, viewer: Viewer) -> None:
    desk.kept = [taken(7)]
    assert await viewer.snapshot(f"{BOOT[:12]}-7") == taken(7)
    with pytest.raises(Refused) as caught:
        await viewer.snapshot(f"{BOOT[:12]}-8")
    assert caught.value.reason is Reason.UNKNOWN_SNAPSHOT


async def test_following_gives_what_was_kept_and_then_what_comes_each_once(
    desk: Desk, viewer: Viewer
) -> None:
    desk.kept = [logged(1), logged(2)]
    async with viewer.follow_probe(ID) as results:
        await desk.tells(logged(2), logged(3, probe=OTHER), logged(4), logged(4))
        await desk.tells(changed(5, STATUS))
        assert [(await anext(results)).seq for _ in range(4)] == [1, 2, 4, 5]
    subscribed = desk.broker.asked("subscribe")
    assert subscribed == [
        rpc.Subscribe(topics=("events",), selector="*/shop/*"),
        rpc.Subscribe(topics=("probes",), selector="*/shop/*"),
    ]
    assert len(desk.broker.asked("unsubscribe")) == 2


async def test_what_comes_before_the_kept_is_given_after_it(desk: Desk, viewer: Viewer) -> None:
    desk.kept = [logged(1), logged(2)]
    asked = asyncio.Event()
    desk.broker.delays["probe.results"] = asked
    async with asyncio.TaskGroup() as tasks:
        following = viewer.follow_probe(ID)
        entering = tasks.create_task(following.__aenter__())
        await desk.broker.was_asked("probe.results")
        await desk.tells(logged(2), logged(3))
        asked.set()
        await entering
    assert [(await anext(following)).seq for _ in range(3)] == [1, 2, 3]
    await following.aclose()


async def test_a_number_of_another_boot_is_another_event(desk: Desk, viewer: Viewer) -> None:
    desk.kept = [logged(1)]
    async with viewer.follow_probe(ID) as results:
        again = bus.WatchChanged(
            process=SHOP.process,
            boot="1" * 32,
            seq=1,
            time=2.0,
            probe=ID,
            hit=1,
            expression="n",
            now=number(1),
            path="/app/shop/cart.py",
            line=4,
        )
        await desk.tells(again)
        assert [(await anext(results)).boot for _ in range(2)] == [BOOT, "1" * 32]


async def test_following_without_the_kept_does_not_ask_for_it(desk: Desk, viewer: Viewer) -> None:
    desk.kept = [logged(1)]
    async with viewer.follow_probe(ID, 0) as results:
        await desk.tells(logged(2))
        assert (await anext(results)).seq == 2
    assert desk.broker.asked("probe.results") == []


async def test_following_ends_with_the_probe(desk: Desk, viewer: Viewer) -> None:
    async with viewer.follow_probe(ID) as results:
        await desk.tells(logged(1))
        await desk.ends()
        assert [event.seq async for event in results] == [1]


async def test_following_a_probe_that_is_over_gives_what_was_kept_and_ends(
    desk: Desk, viewer: Viewer
) -> None:
    desk.kept = [logged(1)]
    await desk.ends()
    async with viewer.follow_probe(ID) as results:
        assert [event.seq async for event in results] == [1]


async def test_following_ends_when_all_processes_have_had_their_hits_and_have_brought_them(
    desk: Desk, viewer: Viewer
) -> None:
    desk.statuses.append(rpc.ProbeInProcess(process="prod/shop/web-2", status=SPENT))
    async with viewer.follow_probe(ID) as results:
        await desk.counts(processes=2, expired=1, installed=1)
        await desk.counts(processes=2, expired=2)
        await desk.tells(logged(1))
        await desk.tells(changed(2, SPENT))
        assert [event.seq async for event in results] == [1, 2]
        assert results.end is not None
        assert (results.end.state, results.end.totals.expired) == ("live", 2)


async def test_a_state_that_overtakes_what_was_brought_ends_nothing_before_that_is_here(
    desk: Desk, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_AGAIN", 0.0)
    desk.kept = [logged(seq) for seq in range(1, 99)]
    desk.statuses = [rpc.ProbeInProcess(process=SHOP.process, status=SPENT)]
    async with viewer.follow_probe(ID) as results:
        await desk.counts(processes=1, expired=1)
        assert [(await anext(results)).seq for _ in range(98)] == list(range(1, 99))
        desk.kept += [logged(99), logged(100)]
        assert [event.seq async for event in results] == [99, 100]


async def test_what_never_comes_is_not_waited_for_for_ever(
    desk: Desk, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_AGAIN", 0.0)
    desk.kept = [logged(1)]
    desk.statuses = [rpc.ProbeInProcess(process=SHOP.process, status=SPENT)]
    await desk.counts(processes=1, expired=1)
    async with viewer.follow_probe(ID) as results:
        assert [event.seq async for event in results] == [1]


async def test_following_a_probe_that_has_had_its_hits_gives_what_was_kept_and_ends(
    desk: Desk, viewer: Viewer
) -> None:
    desk.kept = [logged(seq) for seq in range(1, 101)]
    desk.statuses = [
        rpc.ProbeInProcess(process=SHOP.process, status=SPENT),
        rpc.ProbeInProcess(process="prod/shop/web-2", status=ProbeStatus(id=ID, state="error", message="no")),
    ]
    await desk.counts(processes=2, expired=1, error=1)
    async with viewer.follow_probe(ID, limit=100) as results:
        assert [event.seq async for event in results] == list(range(1, 101))


LIMITED = replace(INFO, totals=rpc.ProbeTotals(processes=2, expired=2))
COUNTER = replace(LIMITED, probe=replace(PROBE, spec=replace(SPEC, kind=Counter())))


@pytest.mark.parametrize(
    ("info", "statuses", "spent"),
    [
        (LIMITED, [SPENT, SPENT], True),
        (LIMITED, [SPENT, STATUS], False),
        (LIMITED, [SPENT, None], False),
        (LIMITED, [SPENT, replace(SPENT, hits=99, message="its time is over")], False),
        (COUNTER, [SPENT, SPENT], False),
        (replace(LIMITED, totals=rpc.ProbeTotals(processes=3, expired=2, pending=1)), [SPENT, SPENT], False),
        (replace(LIMITED, totals=rpc.ProbeTotals(processes=3, expired=2, unheard=1)), [SPENT, SPENT], False),
        (replace(LIMITED, totals=rpc.ProbeTotals()), [], False),
        (
            replace(LIMITED, totals=rpc.ProbeTotals(processes=2, expired=1, error=1)),
            [SPENT, replace(STATUS, state="error", message="failed once, never worked")],
            False,
        ),
    ],
    ids=range(9),
)
def test_a_probe_is_spent_when_nobody_who_has_it_can_bring_more(
    info: rpc.ProbeInfo, statuses: list[ProbeStatus | None], spent: bool
) -> None:
    assert is_spent(info, statuses) is spent


async def test_following_counts_what_was_lost_and_ends_with_the_line(desk: Desk, viewer: Viewer) -> None:
    async with viewer.follow_probe(ID) as results:
        await desk.broker.notify("gap", rpc.Gap(process=SHOP.process, boot=BOOT, first=3, last=7))
        await desk.broker.close(1012)
        with pytest.raises(ConnectionLost, match="restarting"):
            await anext(results)
        assert results.lost == 5


async def test_a_refused_look_leaves_no_subscription_behind(desk: Desk, viewer: Viewer) -> None:
    desk.broker.answers["probe.results"] = lambda _: refusal(Reason.MISSING_SCOPE)
    with pytest.raises(Refused):
        async with viewer.follow_probe(ID):
            pytest.fail("it was refused")
    assert len(desk.broker.asked("unsubscribe")) == 2


async def test_probes_can_be_watched_like_presence(desk: Desk, viewer: Viewer) -> None:
    async with viewer.watch("probes", "shop") as probes:
        await desk.ends()
        assert (await anext(probes)).state == "expired"
    async with viewer.watch("probes", "worker") as probes:
        await desk.ends()  # it means shops only
        await viewer.whoami()
    assert [each async for each in probes] == []
