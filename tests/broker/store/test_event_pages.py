"""Which events are found, in which order, page by page: and that nobody finds out more than is within sight."""

import base64
from typing import Any

import pytest

from sonde_broker.queries import FindEvents
from sonde_broker.store import event_pages
from sonde_wire import Failure, Reason, bus
from sonde_wire.history import EventPage
from sonde_wire.rpc import HistoryEvents
from tests.broker.store.telling import EVERYTHING, NOW, OBSERVER, Desk, Teller, desk, numbers, sight


@pytest.fixture(params=[event_pages.FEW, 0], ids=["few", "many"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the history takes these events for few or for many: it finds the same by either way."""
    monkeypatch.setattr(event_pages, "FEW", request.param)


async def pages(history: Desk, **wanted: Any) -> list[EventPage]:
    found = [await history.find(**wanted)]
    while found[-1].cursor is not None:
        found.append(await history.find(**wanted, cursor=found[-1].cursor))
    return found


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("wanted", [{}, {"selector": "prod/shop/*"}, {"kinds": ("dap", "process_started")}])
async def test_pages_bring_each_event_once_while_new_ones_come(
    url: str, way: None, order: str, wanted: dict[str, Any]
) -> None:
    one, other = Teller("prod/shop/web-1", 1), Teller("prod/shop/web-2", 2)
    async with desk(url) as history:
        for teller in (one, other):
            await history.keep(teller, [teller.tell(bus.ProcessStarted, pid=1), *teller.some(9)])
        seen: list[bytes] = []
        cursor = None
        while True:
            page = await history.find(**wanted, order=order, limit=3, cursor=cursor)
            assert len(page.events) <= 3
            seen += map(bytes, page.events)
            cursor = page.cursor
            if cursor is None:
                break
            if order == "newest":
                await history.keep(one, one.some(2))
        assert len(seen) == len(set(seen)) == 20
        of_one = [event for event in seen if b"web-1" in event]
        assert sorted(of_one, key=lambda event: int(event.split(b'"seq":')[1].split(b",")[0])) == (
            of_one if order == "oldest" else of_one[::-1]
        )


async def test_selectors_mean_what_they_say_also_where_names_have_wildcards_of_sql(
    url: str, way: None
) -> None:
    names = (
        "prod/web_a/1",
        "prod/webxa/1",
        "prod/web-a/1",
        "prod/web_a.b/1",
        "prod2/web_a/1",
        "test/web_a/1",
    )
    async with desk(url) as history:
        for number, name in enumerate(names, 1):
            teller = Teller(name, number)
            await history.keep(teller, teller.some(1))

        async def found(selector: str, *seen: str) -> set[str]:
            page = await history.find(sight(*seen) if seen else EVERYTHING, selector=selector)
            return {
                name for name in names if any(f'"{name}"'.encode() in bytes(event) for event in page.events)
            }

        assert await found("prod/web_a/*") == {names[0]}
        assert await found("prod/web_*/*") == {names[0], names[3]}
        assert await found("prod*/web_a/1") == {names[0], names[4]}
        assert await found("*/*/*", "prod/web_a/*") == {names[0]}
        assert await found("*/*/*", "prod/web_a/*", "test/*/*") == {names[0], names[5]}
        assert await found("*/web_a/*", "prod/*/*") == {names[0]}
        assert await found("test/*/*", "prod/*/*") == set()
        page = await history.find(sight(), selector="*/*/*")
        assert page == EventPage(events=())


async def test_kinds_are_types_and_names_of_dap(url: str, way: None) -> None:
    web = Teller()
    events = [
        web.tell(bus.ProcessStarted, pid=1),
        web.dap("stopped"),
        web.dap("continued"),
        web.dap("stopped"),
    ]
    async with desk(url) as history:
        await history.keep(web, events)

        async def found(*wanted: str, selector: str = "*") -> list[int]:
            return numbers(await history.find(kinds=wanted, order="oldest", selector=selector))

        for selector in ("*", "shop"):
            assert await found("dap", selector=selector) == [2, 3, 4]
            assert await found("dap.stopped", selector=selector) == [2, 4]
            assert await found("dap.stopped", "process_started", selector=selector) == [1, 2, 4]
            assert await found("dap", "dap.stopped", "process_started", selector=selector) == [1, 2, 3, 4]
            assert await found("dap.stop", "da", "da\0", selector=selector) == []


async def test_time_is_from_since_on_and_before_until(url: str, way: None) -> None:
    web = Teller()
    async with desk(url) as history:
        await history.keep(web, web.some(5))
        for selector in ("*", "shop"):
            page = await history.find(selector=selector, since=NOW + 2, until=NOW + 4, order="oldest")
            assert numbers(page) == [2, 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", [1]),
        ("HELLO", [1]),
        ("100%", [2]),
        ("a_c", [3]),
        ("b\\\\s", [4]),
        ("größe", [5]),
        ("%", [2]),
        ("_c", [3]),
        ("no such", []),
        ("\0", []),
    ],
)
async def test_text_is_looked_for_as_it_stands(url: str, text: str, expected: list[int]) -> None:
    web = Teller()
    said = ("Hello you", "100% sure", "a_c", "b\\s", "größe", "abc 1000")
    async with desk(url) as history:
        await history.keep(web, [web.dap("x", value=each) for each in said])
        assert numbers(await history.find(text=text, order="oldest", kinds=("dap.x",))) == expected


async def test_what_carries_values_is_withheld_and_its_content_not_given_away(url: str, way: None) -> None:
    web = Teller()
    logged: dict[str, Any] = {"probe": "probeaaaaa", "hit": 1, "path": "a.py", "line": 1}
    events = [
        web.dap("stopped"),
        web.tell(bus.ProbeLogged, message="the secret", **logged),
        web.tell(bus.Output, message={"type": "event", "event": "output", "body": {"output": "the secret"}}),
        web.tell(bus.ProcessStarted, pid=1),
    ]
    async with desk(url) as history:
        await history.keep(web, events)
        for selector in ("*", "shop"):
            page = await history.find(OBSERVER, selector=selector, order="oldest")
            assert (numbers(page), page.withheld) == ([1, 4], True)
            only = await history.find(OBSERVER, selector=selector, kinds=("output",))
            assert (only.events, only.withheld) == ((), True)
            none = await history.find(OBSERVER, selector=selector, kinds=("dap", "watch_changed"))
            assert (numbers(none), none.withheld) == ([1], False)
            same = [
                await history.find(OBSERVER, selector=selector, text=text) for text in ("secret", "nothing")
            ]
            assert same[0] == same[1]
        page = await history.find(order="oldest")
        assert (numbers(page), page.withheld) == ([1, 2, 3, 4], False)
        nobody = await history.find(sight("test/*/*", values=False))
        assert nobody == EventPage(events=())


async def test_a_page_has_at_most_a_mebibyte_and_one_event_at_least(url: str) -> None:
    web = Teller()
    async with desk(url) as history:
        for _ in range(3):
            await history.keep(web, web.some(1, size=600_000))
        await history.keep(web, web.some(1, size=1_500_000))
        found = await pages(history, order="oldest")
        assert [numbers(page) for page in found] == [[1], [2], [3], [4]]


async def test_a_cursor_of_another_question_or_made_up_is_refused(url: str) -> None:
    web = Teller()
    async with desk(url) as history:
        await history.keep(web, web.some(9))
        good = (await history.find(limit=2)).cursor
        assert good is not None
        assert numbers(await history.find(limit=3, cursor=good)) == [7, 6, 5]
        raw = base64.urlsafe_b64decode(good + "==")
        broken = base64.urlsafe_b64encode(raw[:-1] + bytes([raw[-1] ^ 0x80])).decode()
        wrong: list[dict[str, Any]] = [
            {"cursor": good, "order": "oldest"},
            {"cursor": good, "selector": "shop"},
            {"cursor": good, "text": "x"},
            {"cursor": "garbage"},
            {"cursor": "!"},
            {"cursor": "\N{SNOWMAN}"},
            {"cursor": good[:-4]},
            {"cursor": good + "AAAA"},
            {"cursor": broken},
        ]
        for wanted in wrong:
            answer = await history.ask(FindEvents(HistoryEvents(**wanted), EVERYTHING))
            assert isinstance(answer, Failure), wanted
            assert answer.reason is Reason.INVALID_CURSOR
        sessions = await history.sessions()
        assert sessions.cursor is None


async def test_a_cursor_of_another_history_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    cursors = []
    for _ in range(2):
        web = Teller()
        async with desk(f"sqlite:///{tmp_path_factory.mktemp('history') / 'h.db'}") as history:
            await history.keep(web, web.some(3))
            cursors.append((await history.find(limit=1)).cursor)
            answer = await history.ask(FindEvents(HistoryEvents(cursor=cursors[0]), EVERYTHING))
            assert isinstance(answer, Failure) == (len(cursors) == 2)
