import asyncio
import logging

import pytest

from sonde_viewer import ConnectionLost, NoAnswer, Refused, Viewer, Watch, connect
from sonde_viewer.errors import ConnectionDenied
from sonde_wire import Code, MalformedMessage, Reason, bus, codec, rpc
from tests.viewer.fake_broker import BOOT, SHOP, TOKEN, FakeBroker, presence, refusal


async def test_the_token_travels_in_a_header_and_the_subprotocol_is_ours(broker: FakeBroker) -> None:
    async with connect(broker.url, TOKEN) as viewer:
        assert (await viewer.whoami()).subject == "ada"
    assert broker.headers["Authorization"] == f"Bearer {TOKEN}"
    assert broker.headers["Sec-WebSocket-Protocol"] == "sonde.v1"


async def test_a_wrong_token_is_told_with_what_to_do(broker: FakeBroker) -> None:
    with pytest.raises(ConnectionDenied, match="sonde token issue"):
        async with connect(broker.url, "a bad token"):
            pytest.fail("nobody gets in")


async def test_nobody_there_is_told_with_what_to_do(unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionLost, match="sonde up"):
        async with connect(f"http://127.0.0.1:{unused_tcp_port}", TOKEN):
            pytest.fail("nobody is there")


async def test_processes_are_asked_for_by_selector(broker: FakeBroker, viewer: Viewer) -> None:
    assert await viewer.processes("default/shop") == [SHOP]
    assert broker.asked("process.list") == [rpc.ListProcesses(selector="default/shop/*")]
    assert await viewer.process("shop") == SHOP


async def test_a_refusal_is_an_error_with_code_and_reason(broker: FakeBroker, viewer: Viewer) -> None:
    broker.answers["process.stacks"] = lambda _: refusal()
    with pytest.raises(Refused, match="ask somebody else") as caught:
        await viewer.stacks(SHOP)
    assert caught.value.code is Code.PERMISSION_DENIED
    assert caught.value.reason is Reason.OUTSIDE_SELECTOR


async def test_an_answer_of_the_wrong_shape_is_malformed(broker: FakeBroker, viewer: Viewer) -> None:
    broker.answers["process.stacks"] = lambda _: {"threads": 3}
    with pytest.raises(MalformedMessage):
        await viewer.stacks(SHOP)


async def test_silence_ends_at_the_deadline(
    broker: FakeBroker, viewer: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sonde_viewer.line.DEADLINE", 0.01)
    broker.answers["process.stacks"] = lambda _: None
    with pytest.raises(NoAnswer, match=r"no answer to process\.stacks within 0\.01 s"):
        await viewer.stacks(SHOP)
    assert (await viewer.whoami()).subject == "ada"


async def test_the_callers_own_error_comes_out_as_it_is(broker: FakeBroker) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connect(broker.url, TOKEN):
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (rpc.CLOSE_UNAUTHENTICATED, "expired"),
        (rpc.CLOSE_SLOW_VIEWER, "too slowly"),
        (rpc.CLOSE_BAD_MESSAGE, "same version"),
        (1012, "restarting"),
        (4999, "code 4999"),
    ],
)
async def test_a_close_code_becomes_a_sentence_for_whoever_waits(
    broker: FakeBroker, viewer: Viewer, code: int, says: str
) -> None:
    broker.answers["process.stacks"] = lambda _: None
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_caught(viewer))
        await broker.was_asked("process.stacks")
        await broker.close(code)
    assert says in str(waiting.result())
    assert waiting.result().close_code == code
    with pytest.raises(ConnectionLost, match=says):
        await viewer.whoami()


async def _caught(viewer: Viewer) -> ConnectionLost:
    with pytest.raises(ConnectionLost) as caught:
        await viewer.stacks(SHOP)
    return caught.value


async def test_a_frame_that_makes_no_sense_ends_the_connection(broker: FakeBroker, viewer: Viewer) -> None:
    await broker.notify("gap", {"nonsense": True})
    with pytest.raises(ConnectionLost, match="cannot read"):
        async for _ in viewer.watch("events"):
            pytest.fail("nothing came")


async def test_a_watch_subscribes_filters_and_unsubscribes(broker: FakeBroker, viewer: Viewer) -> None:
    other = presence("default/worker/w-1")
    async with viewer.watch("presence", "shop") as watch:
        items = (codec.raw(other), codec.raw(SHOP))
        await broker.notify("presence", rpc.PresenceItems(presence=items))
        assert await anext(watch) == SHOP
    assert broker.asked("subscribe") == [rpc.Subscribe(topics=("presence",), selector="*/shop/*")]
    assert broker.asked("unsubscribe") == [rpc.Unsubscribe(subscription=7)]


async def test_what_programs_print_comes_to_who_asked_for_it(broker: FakeBroker, viewer: Viewer) -> None:
    async with (
        viewer.watch("events") as plain,
        viewer.watch("events", output=True) as everything,
        viewer.watch("output") as printed,
    ):
        wanted = [call.topics for call in broker.asked("subscribe") if isinstance(call, rpc.Subscribe)]
        assert wanted == [("events",), ("events", "output"), ("output",)]
        await broker.event("output", output="hello")
        await broker.tell(bus.ProcessStarted, pid=1)
        assert isinstance(await anext(plain), bus.ProcessStarted)
        assert [type(await anext(everything)) for _ in range(2)] == [bus.Output, bus.ProcessStarted]
        assert codec.decode_any((await anext(printed)).message)["body"] == {"output": "hello"}
        await broker.notify("gap", rpc.Gap(process=SHOP.process, boot=BOOT, first=3, last=3))
        await broker.event("output", output="bye")
        await anext(printed)
        assert printed.lost == 1


async def test_an_event_that_comes_twice_is_given_once(broker: FakeBroker, viewer: Viewer) -> None:
    events = tuple(
        codec.raw(bus.ProcessStarted(process=SHOP.process, boot=BOOT, seq=seq, time=1.0, pid=seq))
        for seq in (1, 2, 2, 1, 3)
    )
    async with viewer.watch("events") as watch:
        await broker.notify("events", rpc.EventItems(events=events))
        assert [(await anext(watch)).seq for _ in range(3)] == [1, 2, 3]


async def test_events_lost_on_the_way_are_counted(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.watch("events") as watch:
        await broker.notify("gap", rpc.Gap(process=SHOP.process, boot=BOOT, first=3, last=7))
        await broker.tell(bus.ProcessStarted, pid=1)
        await anext(watch)
        assert watch.lost == 5


async def test_a_watch_ends_with_the_connection(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.watch("metrics") as watch:
        await broker.close(1012)
        with pytest.raises(ConnectionLost, match="restarting"):
            await anext(watch)


async def test_a_refused_subscription_is_told_and_leaves_nothing_behind(
    broker: FakeBroker, viewer: Viewer
) -> None:
    broker.answers["subscribe"] = lambda _: refusal(Reason.MISSING_SCOPE)
    with pytest.raises(Refused):
        await anext(viewer.watch("events"))
    assert broker.asked("unsubscribe") == []


async def test_the_state_of_the_bus_is_followed(broker: FakeBroker, viewer: Viewer) -> None:
    await broker.notify("bus", rpc.BusStatus(bus="down"))
    await viewer.processes()
    assert viewer.bus == "down"


async def test_the_state_of_the_bus_is_also_learnt_from_whoami(broker: FakeBroker, viewer: Viewer) -> None:
    broker.answers["whoami"] = lambda _: rpc.Welcome(
        broker="b", version="0", subject="ada", scopes=(), selectors=(), expires=1.0, bus="down"
    )
    await viewer.whoami()
    assert viewer.bus == "down"


async def test_a_token_is_renewed(broker: FakeBroker, viewer: Viewer) -> None:
    renewed = rpc.Welcome(broker="b", version="0", subject="ada", scopes=(), selectors=(), expires=9.0)
    broker.answers["token.renew"] = lambda _: renewed
    assert await viewer.renew("a fresh one") == renewed
    assert broker.asked("token.renew") == [rpc.RenewToken(token="a fresh one")]


async def test_what_arrived_before_the_line_broke_is_read_first(broker: FakeBroker, viewer: Viewer) -> None:
    async with viewer.watch("presence") as watch:
        await broker.notify("presence", rpc.PresenceItems(presence=(codec.raw(SHOP),)))
        await broker.close(1012)
        with pytest.raises(ConnectionLost):
            await viewer.stacks(SHOP)
        assert await anext(watch) == SHOP
        with pytest.raises(ConnectionLost, match="restarting"):
            await anext(watch)


async def test_a_watch_that_was_closed_is_over(broker: FakeBroker, viewer: Viewer) -> None:
    watch = viewer.watch("events")
    async with watch:
        pass
    assert [each async for each in watch] == []
    assert len(broker.asked("subscribe")) == 1


async def test_who_waits_elsewhere_is_told_when_the_connection_is_left(broker: FakeBroker) -> None:
    async with asyncio.TaskGroup() as tasks, connect(broker.url, TOKEN) as viewer:
        watch = await viewer.watch("events").__aenter__()
        waiting = tasks.create_task(_failing(watch))
        await asyncio.sleep(0)
    assert "closed here" in str(waiting.result())


async def _failing(watch: Watch[bus.AnyEvent]) -> ConnectionLost:
    with pytest.raises(ConnectionLost) as caught:
        await anext(watch)
    return caught.value


async def test_errors_that_are_raised_again_do_not_grow(broker: FakeBroker, viewer: Viewer) -> None:
    await broker.close(1012)
    lengths = set()
    for _ in range(4):
        with pytest.raises(ConnectionLost) as caught:
            await viewer.whoami()
        lengths.add(len(list(caught.traceback)))
    assert len(lengths) <= 2  # the first may come from another place


@pytest.mark.parametrize(
    ("method", "answer", "undone"),
    [
        ("session.open", None, ("session.close", rpc.OfSession(session="s1"))),
        ("subscribe", rpc.Subscribed(subscription=7), ("unsubscribe", rpc.Unsubscribe(subscription=7))),
    ],
)
async def test_what_was_asked_for_and_not_waited_for_is_taken_back(
    broker: FakeBroker, viewer: Viewer, method: str, answer: object, undone: tuple[str, rpc.Params]
) -> None:
    late = asyncio.Event()
    broker.delays[method] = late
    opening = asyncio.create_task(viewer.debug(SHOP).__aenter__())
    await broker.was_asked(method)
    opening.cancel()
    await asyncio.sleep(0)
    broker.answers[method] = (lambda _: answer) if answer else broker.answers[method]
    late.set()
    await asyncio.gather(opening, return_exceptions=True)
    await broker.was_asked(undone[0])
    assert undone in broker.requests


async def test_the_librarys_own_log_never_has_the_token(
    broker: FakeBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with connect(broker.url, TOKEN) as viewer:
            await viewer.whoami()
    said = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert TOKEN not in "".join(said)  # the fake broker's own log is not ours
