"""What keeps somebody from seeing or stopping a process, by the facts."""

import pytest
from msgspec.structs import replace

from sonde_viewer import checkup
from sonde_wire import bus, codec, looking, rpc
from tests.viewer.fake_broker import BOOT, SHOP

ALL = ("observe", "inspect", "control", "execute")
WELCOME = rpc.Welcome(broker="b", version="0", subject="ada", scopes=ALL, selectors=("*/*/*",), expires=9e9)
METRICS = bus.Metrics(process=SHOP.process, boot=BOOT, time=100.0)


def levels(findings: list[looking.Finding]) -> dict[str, str]:
    return {each.check: each.level for each in findings}


def test_a_token_that_allows_all_is_fine() -> None:
    found = checkup.of_token(WELCOME, 0.0, to_stop=True)
    assert set(levels(found).values()) == {"fine"}


@pytest.mark.parametrize(
    ("scopes", "to_stop", "missing"),
    [
        (("observe",), False, "inspect"),
        (("observe", "inspect"), True, "control"),
        (("observe", "inspect"), False, None),
    ],
)
def test_a_scope_that_is_needed_and_missing_is_a_problem(
    scopes: tuple[str, ...], to_stop: bool, missing: str | None
) -> None:
    found = checkup.of_token(replace(WELCOME, scopes=scopes), 0.0, to_stop=to_stop)
    assert levels(found)["token.scopes"] == ("fine" if missing is None else "problem")
    assert missing is None or missing in next(each.message for each in found if each.check == "token.scopes")


def test_a_bus_that_is_down_and_a_token_that_ends_are_told() -> None:
    found = levels(checkup.of_token(replace(WELCOME, bus="down", expires=60.0), 0.0, to_stop=False))
    assert (found["broker.bus"], found["token.expires"]) == ("problem", "note")


def test_a_process_that_ended_or_is_lost_is_a_problem() -> None:
    end = bus.Exit(reason="signalled", message="killed by SIGKILL", signal="SIGKILL")
    ended = checkup.of_presence(replace(SHOP, state="ended", exit=end))
    assert (ended.level, "SIGKILL" in ended.message) == ("problem", True)
    assert checkup.of_presence(replace(SHOP, state="lost")).level == "problem"
    assert checkup.of_presence(SHOP).level == "fine"


def test_a_sidecar_without_metrics_is_a_problem_and_a_clock_that_differs_a_note() -> None:
    assert levels(checkup.of_metrics(None, 0.0)) == {"sidecar.alive": "problem"}
    assert levels(checkup.of_metrics(METRICS, 101.0)) == {"sidecar.alive": "fine"}
    assert levels(checkup.of_metrics(METRICS, 400.0))["clock.skew"] == "note"


def test_metrics_that_cannot_be_read_are_told_by_their_reason() -> None:
    why = {"io_read_bytes": "no rights", "io_write_bytes": "no rights", "fds": "no /proc"}
    found = checkup.of_metrics(replace(METRICS, unavailable=why), 100.0)
    assert found[-1].message.endswith("fds (no /proc); io_read_bytes, io_write_bytes (no rights)")


def test_who_debugs_it_is_told() -> None:
    assert checkup.of_sessions(SHOP).level == "note"
    session = bus.SessionInfo(session="s", viewer="ada", opened=1.0)
    attached = checkup.of_sessions(replace(SHOP, debugger="attached", sessions=(session,), stopped_threads=2))
    assert attached.level == "fine"
    assert "ada" in attached.message
    assert "2" in attached.message


def state(*sets: bus.BreakpointSet, asleep: bool = False) -> bus.SessionState:
    return bus.SessionState(
        session="mine",
        process=SHOP.process,
        boot=BOOT,
        capabilities=codec.raw({}),
        sessions=(bus.SessionInfo(session="s", viewer="ada", opened=1.0),),
        breakpoints=sets,
        asleep=asleep,
    )


def held(path: str, *breakpoints: dict[str, object]) -> bus.BreakpointSet:
    return bus.BreakpointSet(owner="s", path=path, breakpoints=tuple(codec.raw(each) for each in breakpoints))


def test_breakpoints_at_the_place_are_told_with_their_owner_and_why_they_are_not_set() -> None:
    sets = held(
        "/app/shop.py",
        {"line": 4, "verified": True},
        {"line": 5, "verified": False, "message": "no such line"},
    )
    fine, problem = checkup.of_debugging(state(sets), "/app/shop.py", None)
    assert (fine.level, problem.level) == ("fine", "problem")
    assert "ada" in fine.message
    assert "no such line" in problem.message
    assert checkup.of_debugging(state(sets), "/app/shop.py", 4) == [fine]


def test_breakpoints_in_a_file_of_the_same_name_elsewhere_are_pointed_at() -> None:
    (found,) = checkup.of_debugging(state(held("/home/ada/shop.py", {"line": 4})), "/app/shop.py", 4)
    assert found.level == "note"
    assert "/home/ada/shop.py" in found.message


def test_breakpoints_that_sleep_are_a_problem() -> None:
    (found,) = checkup.of_debugging(state(asleep=True), None, None)
    assert (found.check, found.level) == ("lease.asleep", "problem")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("shop.py", ("shop.py", None)),
        ("shop.py:42", ("shop.py", 42)),
        ("/a:b/shop.py:42", ("/a:b/shop.py", 42)),
        ("shop.py:0", ("shop.py:0", None)),
        ("shop.py:x", ("shop.py:x", None)),
        ("shop.py:", ("shop.py:", None)),
    ],
)
def test_a_place_is_a_file_with_or_without_a_line(text: str, place: tuple[str, int | None]) -> None:
    assert checkup.place(text) == place


@pytest.mark.parametrize(
    ("local", "there"),
    [
        ("/srv/app/shop/cart.py", "/srv/app/shop/cart.py"),
        ("/home/ada/src/shop/cart.py", "/srv/app/shop/cart.py"),
        ("/home/ada/cart.py", "/home/ada/cart.py"),
        ("/home/ada/x/util.py", "/home/ada/x/util.py"),
    ],
)
def test_a_file_here_is_found_there_by_the_end_of_its_path(local: str, there: str) -> None:
    paths = ("/srv/app/shop/cart.py", "/usr/lib/cart.py", "/a/x/util.py", "/b/x/util.py")
    assert (
        checkup.path_over_there(local, [looking.SourceFile(path=each, module="m") for each in paths]) == there
    )
