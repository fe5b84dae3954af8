import pytest

from sonde_viewer.prompt import grammar, paths
from sonde_viewer.prompt.breakpoints import Breakpoints
from sonde_viewer.prompt.errors import InvalidLine, UnknownFile
from sonde_viewer.prompt.grammar import Line, Place
from sonde_wire import bus

FILES = [
    bus.SourceFile(path="/app/shop/models.py", module="shop.models", application=True),
    bus.SourceFile(path="/app/worker/models.py", module="worker.models", application=True),
    bus.SourceFile(path="/app/shop.py", module="shop", application=True),
    bus.SourceFile(path="/usr/lib/python3/site-packages/shop.py", module="other"),
    bus.SourceFile(path="/usr/lib/python3/queue.py", module="queue"),
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
