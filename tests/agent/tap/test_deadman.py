"""Nothing stays frozen: a stop that nobody holds ends, wherever the program stands and whoever hangs."""

import time
from pathlib import Path
from typing import Any

import pytest

from sonde_agent.tap.deadman import GRACE, Deadman
from tests.agent.tap.fakes import Debugging, FakeSidecar, Line, Program, eventually, running

LEASE = 0.4
STANDING = """
    import importlib
    import logging
    import sys
    import threading
    import time
    import sonde_agent
    sonde_agent.start()
    passed = []

    class Handler(logging.Handler):
        def emit(self, record):
            here = record
            passed.append("logging")  # logging

    class Shown:
        def __str__(self):
            text = ""
            passed.append("print")  # print
            return text

    class Started(threading.Thread):
        def __hash__(self):
            number = id(self)
            passed.append("thread")  # thread
            return number

    def plain():
        number = 1
        passed.append("plain")  # plain

    def several():
        for thread in [threading.Thread(target=plain) for _ in range(4)]:
            thread.start()

    where = {
        "plain": plain,
        "several": several,
        "logging": lambda: logging.getLogger("app").warning("stop"),
        "print": lambda: print(Shown(), end=""),
        "import": lambda: importlib.import_module("stands"),
        "thread": lambda: Started(target=str).start(),
    }
    logging.getLogger("app").addHandler(Handler())
    logging.getLogger("app").propagate = False
    for line in sys.stdin:
        where[line.strip()]()
        sys.stdout.write(f"{sorted(set(passed))}\\n")
        sys.stdout.flush()
    """
IMPORTED = """
import __main__
__main__.passed.append("import")  # import
"""


def program_at(place: str, directory: Path) -> tuple[Path, str]:
    """The file in which it stands, and the tag."""
    if place == "import":
        module = directory / "stands.py"
        module.write_text(IMPORTED)
        return module, place
    return directory / "program.py", "plain" if place == "several" else place


def line_of(path: Path, tag: str) -> int:
    return next(
        number for number, text in enumerate(path.read_text().splitlines(), 1) if text.endswith(f"# {tag}")
    )


def test_nothing_is_let_go_while_nothing_stands() -> None:
    assert Deadman(lease=60).lets_go_at([]) is None


def test_the_longest_stop_counts_from_its_begin() -> None:
    assert Deadman(lease=60).lets_go_at([130.0, 100.0, 120.0]) == 160.0 + GRACE


def test_a_hold_prolongs_and_the_newest_wins() -> None:
    deadman = Deadman(lease=60)
    deadman.hold(600, now=110.0)
    assert deadman.lets_go_at([100.0]) == 710.0 + GRACE
    deadman.hold(90, now=120.0)
    assert deadman.lets_go_at([100.0]) == 210.0 + GRACE
    deadman.hold(5, now=130.0)
    assert deadman.lets_go_at([100.0]) == 160.0 + GRACE


@pytest.mark.parametrize("place", ["plain", "several", "logging", "print", "import", "thread"])
def test_a_stop_that_nobody_holds_ends_wherever_it_is(
    sidecar: FakeSidecar, tmp_path: Path, place: str
) -> None:
    path, tag = program_at(place, tmp_path)
    with running(tmp_path, STANDING, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open(lease=LEASE)
        debugging.stop_at(str(path), line_of(path, tag))
        program.tell(place)
        for _ in range(4 if place == "several" else 1):
            debugging.event("stopped")
        # and from here on this sidecar hangs: it neither reads nor writes, and keeps everything open
        assert tag in program.hear() or place == "several"
        program.tell("plain")
        assert "plain" in program.hear()
        is_off(line, program)
        assert program.end() == (0, "", "")


def is_off(line: Line, program: Program) -> None:
    """The sidecar wakes up: what it says is heard, and the process is as it was."""
    line.value("debugger.disconnect")
    eventually(lambda: program.tasks() == 2, "pydevd's threads and ours to be gone")


def test_a_stop_that_is_held_lasts_until_the_hold_ends(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, STANDING, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open(lease=0.05)
        line.value("debugger.hold", seconds=300)
        debugging.stop_at(program.path, program.line_of("plain"))
        program.tell("plain")
        stopped = debugging.event("stopped")
        deadline = time.monotonic() + 2 * GRACE
        while time.monotonic() < deadline:
            assert debugging.where(stopped)[0] == "plain"
        line.value("debugger.hold", seconds=0.05)
        assert program.hear() == "['plain']"


def test_stops_that_are_short_each_are_not_one_long_stop(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, STANDING, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open(lease=LEASE)
        debugging.stop_at(program.path, program.line_of("plain"))
        program.tell("plain")
        deadline = time.monotonic() + 2 * (LEASE + GRACE)
        while time.monotonic() < deadline:
            debugging.go_on(debugging.event("stopped"))
            program.hear()
            program.tell("plain")
        debugging.event("stopped")


@pytest.mark.parametrize(
    "expression", ["[0 for _ in iter(int, 1)]", "print(end='x') or [0 for _ in iter(int, 1)]"]
)
def test_a_stop_in_the_midst_of_an_evaluation_ends_too(
    sidecar: FakeSidecar, tmp_path: Path, expression: str
) -> None:
    with running(tmp_path, STANDING, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open(lease=LEASE)
        debugging.stop_at(program.path, program.line_of("plain"))
        program.tell("plain")
        stopped = debugging.event("stopped")
        frames: list[dict[str, Any]] = debugging.ask("stackTrace", threadId=stopped["threadId"])[
            "stackFrames"
        ]
        debugging.send("evaluate", expression=expression, frameId=frames[0]["id"], context="repl")
        assert program.hear().endswith("['plain']")
        is_off(line, program)


def test_a_sidecar_that_asks_and_does_not_read_is_hung_up_on(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, STANDING, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        debugging = Debugging(line).open(lease=LEASE)
        debugging.stop_at(program.path, program.line_of("plain"))
        program.tell("plain")
        stopped = debugging.event("stopped")
        frames = debugging.ask("stackTrace", threadId=stopped["threadId"])["stackFrames"]
        for _ in range(100):  # far more than a socket holds
            debugging.send(
                "evaluate", expression="'x' * 1_000_000", context="clipboard", frameId=frames[0]["id"]
            )
        assert program.hear() == "['plain']"
        is_off(line, program)
        assert debugging.socket is not None
        try:
            while debugging.socket.recv(1 << 20):
                pass
        except ConnectionResetError:
            pass


def test_a_session_follows_on_one_that_was_let_go(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, STANDING, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        for _ in range(2):
            debugging = Debugging(line).open(lease=0.05)
            debugging.stop_at(program.path, program.line_of("plain"))
            program.tell("plain")
            debugging.event("stopped")
            assert program.hear() == "['plain']"
        is_off(line, program)
