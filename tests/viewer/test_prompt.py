import os

import msgspec
import pytest

from sonde_viewer import Viewer
from sonde_viewer.prompt import grammar, paths, show
from sonde_viewer.prompt.breakpoints import Breakpoints
from sonde_viewer.prompt.debugger import Debugger
from sonde_viewer.prompt.errors import InvalidLine, OtherDrives, UnknownFile
from sonde_viewer.prompt.grammar import Line, Place
from sonde_viewer.prompt.lines import lines
from sonde_wire import Code, Reason, bus, codec, looking
from tests.viewer.fake_broker import SHOP, FakeBroker, refusal

FILES = [
    looking.SourceFile(path="/app/shop/models.py", module="shop.models", application=True),
    looking.SourceFile(path="/app/worker/models.py", module="worker.models", application=True),
    looking.SourceFile(path="/app/shop.py", module="shop", application=True),
    looking.SourceFile(path="/usr/lib/python3/site-packages/shop.py", module="other"),
    looking.SourceFile(path="/usr/lib/python3/queue.py", module="queue"),
]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("break app.py:3", Line("break", "app.py:3")),
        ("b app.py:3 if x", Line("break", "app.py:3 if x")),
        ("  c ", Line("continue", "")),
        ("con", Line("continue", "")),
        ("cl 2", Line("clear", "2")),
        ("s", Line("step", "")),
        ("n", Line("next", "")),
        ("r", Line("out", "")),
        ("w", Line("where", "")),
        ("p x  +  1", Line("print", "x  +  1")),
        ("!x = 1", Line("eval", "x = 1")),
        ("thread 4", Line("thread", "4")),
        ("?", Line("help", "")),
    ],
)
def test_commands_are_known_by_their_names_and_by_pdbs(text: str, line: Line) -> None:
    assert grammar.read(text) == line


@pytest.mark.parametrize(
    ("text", "says"), [("thre", "thread"), ("frobnicate", "not a command"), ("", "help")]
)
def test_a_word_that_is_no_command_or_several_is_told_so(text: str, says: str) -> None:
    with pytest.raises(InvalidLine, match=says):
        grammar.read(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("app.py:10", Place("app.py", 10)),
        ("10", Place(None, 10)),
        ("/a b/app.py:10 if x > 1", Place("/a b/app.py", 10, "x > 1")),
        ("app.py:10 if 'a if b else c'", Place("app.py", 10, "'a if b else c'")),
    ],
)
def test_a_place_is_a_file_a_line_and_perhaps_a_condition(text: str, place: Place) -> None:
    assert grammar.read_place(text) == place


@pytest.mark.parametrize("text", ["app.py", "app.py:0", "app.py:x", "", ":3", "app.py:3 if  "])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidLine):
        grammar.read_place(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("shop.py", "/app/shop.py"),
        ("queue.py", "/usr/lib/python3/queue.py"),
        ("shop/models.py", "/app/shop/models.py"),
        ("/not/imported/yet.py", "/not/imported/yet.py"),
    ],
)
def test_the_end_of_a_path_finds_the_file_the_applications_own_first(text: str, path: str) -> None:
    assert paths.find(text, FILES) == path


def test_a_file_that_is_not_there_or_there_twice_is_told_so() -> None:
    with pytest.raises(UnknownFile, match=r"/app/shop/models\.py, /app/worker/models\.py"):
        paths.find("models.py", FILES)
    with pytest.raises(UnknownFile, match=r"no file that ends in op\.py"):
        paths.find("op.py", FILES)


def test_breakpoints_are_numbered_and_go_to_dap_a_file_at_a_time() -> None:
    breakpoints = Breakpoints()
    first = breakpoints.add("/app/shop.py", 3, None)
    second = breakpoints.add("/app/shop.py", 9, "x > 1")
    breakpoints.add("/app/worker.py", 1, None)
    assert breakpoints.of("/app/shop.py") == {3: None, 9: "x > 1"}
    breakpoints.answered(
        "/app/shop.py", [{"verified": True, "line": 4}, {"verified": False, "message": "no code there"}]
    )
    assert breakpoints.get(first.number).verified
    assert breakpoints.get(first.number).line == 4
    assert breakpoints.get(second.number).message == "no code there"
    breakpoints.remove(first.number)
    with pytest.raises(InvalidLine, match="no breakpoint 1"):
        breakpoints.remove(first.number)


def test_a_second_breakpoint_on_a_line_takes_the_place_of_the_first() -> None:
    breakpoints = Breakpoints()
    breakpoints.add("/app/shop.py", 3, None)
    breakpoints.add("/app/shop.py", 3, "x")
    assert breakpoints.of("/app/shop.py") == {3: "x"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("se", Line("seat", "")),
        ("take", Line("take", "")),
        ("rel", Line("release", "")),
        ("as", Line("ask", "")),
        ("g bob@example.com", Line("grant", "bob@example.com")),
        ("t 3", Line("thread", "3")),
        ("r", Line("out", "")),
    ],
)
def test_the_commands_of_the_seat_leave_pdbs_short_names_alone(text: str, line: Line) -> None:
    assert grammar.read(text) == line


@pytest.mark.parametrize("command", sorted(grammar.COMMANDS))
def test_what_ctrl_c_leaves_behind_is_told_for_each_command(command: str) -> None:
    said = show.abandoned(command)
    assert ("process runs on" in said) == (command in {"continue", "next", "step", "out", "pause"})
    assert ("20 s after it began" in said) == (command in {"print", "eval"})


BOB = bus.SessionInfo(session="s2", viewer="bob", opened=1.0)
LEASE = bus.Lease(left=58.0, length=60.0)


async def test_a_stop_says_how_long_it_lasts(broker: FakeBroker, viewer: Viewer) -> None:
    broker.dap["stackTrace"] = lambda _: {"body": {"stackFrames": [{"id": 1, "name": "f", "line": 2}]}}
    stops = (codec.raw({"threadId": 3, "reason": "breakpoint"}),)
    broker.opens(stops=stops, lease=LEASE, sessions=(BOB,))
    async with viewer.debug(SHOP) as session:
        debugger = Debugger(viewer, session, patience=1)
        outcome = await debugger.execute("thread 3")
        assert "unless you stay; kept while this prompt is open" in outcome.text
        assert (outcome.data["lease"]["length"], outcome.data["lease"]["kept"]) == (60.0, True)
        await broker.tell(bus.SeatChanged, reason="taken", driver="s2", viewer="bob")
        outcome = await debugger.execute("thread 3")
        assert "unless bob stays" in outcome.text
        assert outcome.data["lease"]["kept"] is False


async def test_seat_says_who_drives_who_asks_and_what_to_do(broker: FakeBroker, viewer: Viewer) -> None:
    broker.opens(sessions=(BOB,))
    async with viewer.debug(SHOP) as session:
        debugger = Debugger(viewer, session, patience=1)
        assert "seat is free; `take`" in (await debugger.execute("seat")).text
        await debugger.execute("take")
        await broker.tell(bus.SeatChanged, reason="asked", driver="s1", viewer="ada", asking=("s2",))
        await debugger.execute("threads")
        outcome = await debugger.execute("seat")
        assert outcome.text == "you drive\nbob asks for the driver's seat: `grant`"
        assert outcome.data["asking"] == [{"session": "s2", "viewer": "bob"}]
        assert debugger.askers() == ["bob"]
        assert (await debugger.execute("grant bob")).data["driver"] == "s2"
        assert "bob drives; `ask`" in (await debugger.execute("seat")).text


async def test_the_seat_is_granted_to_people_that_are_there(broker: FakeBroker, viewer: Viewer) -> None:
    broker.opens(sessions=(BOB, msgspec.structs.replace(BOB, session="s3")))
    async with viewer.debug(SHOP) as session:
        debugger = Debugger(viewer, session, patience=1)
        with pytest.raises(InvalidLine, match="nobody who debugs this process is called 'eve'"):
            await debugger.execute("grant eve")
        with pytest.raises(InvalidLine, match="name one of s2, s3"):
            await debugger.execute("grant bob")
        assert (await debugger.execute("grant s3")).data["driver"] == "s3"


async def test_what_only_the_driver_may_do_says_so_in_the_prompts_words(
    broker: FakeBroker, viewer: Viewer
) -> None:
    broker.opens(sessions=(BOB,), driver="s2")
    broker.answers["session.seat"] = lambda _: refusal(Reason.NOT_DRIVER, Code.FAILED_PRECONDITION)
    async with viewer.debug(SHOP) as session:
        with pytest.raises(OtherDrives, match="bob drives; `ask` asks for the seat"):
            await Debugger(viewer, session, patience=1).execute("take")


async def test_the_breakpoints_of_others_are_listed(broker: FakeBroker, viewer: Viewer) -> None:
    others = bus.BreakpointSet(owner="s2", path="/app/cart.py", breakpoints=(codec.raw({"line": 4}),))
    broker.opens(sessions=(BOB,), breakpoints=(others,))
    async with viewer.debug(SHOP) as session:
        outcome = await Debugger(viewer, session, patience=1).execute("breaks")
    assert "bob has breakpoints in /app/cart.py: 4" in outcome.text
    assert outcome.data["others"] == [{"viewer": "bob", "path": "/app/cart.py", "lines": [4]}]


async def test_the_lines_of_a_script_come_as_they_are_written() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, "a é\nb".encode())
        script = lines(reading)
        assert await anext(script) == "a é"
        os.write(writing, b"c\n\nlast")
        assert [await anext(script), await anext(script)] == ["bc", ""]
        os.close(writing)
        assert [line async for line in script] == ["last"]
    finally:
        os.close(reading)
