"""When the tap connects, greets, serves and waits. No sockets, no time."""

import pytest

from sonde_agent import link
from sonde_agent.tap import connection as core
from sonde_agent.tap.connection import Connection, State

WELCOME = core.Arrived(link.Welcome(version=link.VERSION, process="default/app/1"))
CALL = link.Call(id=1, operation="stacks")
ENDING = link.Ending(code=1)


def at(state: State, chance: float = 0.5) -> Connection:
    """A connection in that state, at time 0."""
    connection = Connection(lambda: chance)
    ways: dict[State, list[core.Event]] = {
        State.CONNECTING: [],
        State.GREETING: [core.Connected()],
        State.SERVING: [core.Connected(), WELCOME],
        State.WAITING: [core.NotConnected("nobody there")],
        State.REFUSED: [
            core.Connected(),
            core.Arrived(link.Refusal(reason="bad_token", message="who are you")),
        ],
        State.STOPPED: [core.Hopeless("no sidecar")],
    }
    for event in ways[state]:
        connection.handle(event, 0.0)
    assert connection.state is state
    return connection


def test_a_connected_tap_greets() -> None:
    connection = at(State.CONNECTING)
    assert connection.handle(core.Connected(), 0.0) == [core.Greet()]
    assert connection.state is State.GREETING


def test_a_welcome_tells_the_process_its_name() -> None:
    connection = at(State.SERVING)
    assert connection.process == "default/app/1"
    assert connection.reason == ""


def test_what_one_sidecar_told_is_kept_for_the_next() -> None:
    connection = Connection(lambda: 0.5)
    connection.handle(core.Connected(), 0.0)
    welcome = link.Welcome(version=link.VERSION, process="default/app/1", numbered=256)
    connection.handle(core.Arrived(welcome), 0.0)
    assert connection.handle(core.Arrived(link.Numbered(upto=512)), 0.5) == []
    connection.handle(core.Lost("the sidecar was killed"), 2.0)
    assert (connection.process, connection.numbered) == ("default/app/1", 512)


def test_a_call_is_answered() -> None:
    assert at(State.SERVING).handle(core.Arrived(CALL), 1.0) == [core.Answer(CALL)]


def test_a_refusal_is_for_good() -> None:
    connection = at(State.GREETING)
    refusal = core.Arrived(link.Refusal(reason="bad_token", message="who are you"))
    assert connection.handle(refusal, 0.0) == [core.HangUp()]
    assert (connection.state, connection.reason) == (State.REFUSED, "who are you")


def test_a_welcome_of_another_version_is_a_refusal() -> None:
    connection = at(State.GREETING)
    other = core.Arrived(link.Welcome(version=99, process="default/app/1"))
    assert connection.handle(other, 0.0) == [core.HangUp()]
    assert connection.state is State.REFUSED
    assert "99" in connection.reason


def test_without_hope_of_a_sidecar_the_tap_stops_and_says_why() -> None:
    connection = at(State.STOPPED)
    assert connection.reason == "no sidecar"


def test_a_lost_line_releases_the_debugger_and_waits() -> None:
    connection = at(State.SERVING)
    effects = connection.handle(core.Lost("gone"), 1.0)
    assert effects == [core.HangUp(), core.ReleaseDebugger(), core.Wait(0.05)]
    assert (connection.state, connection.reason) == (State.WAITING, "gone")


def test_after_the_wait_it_connects_again() -> None:
    connection = at(State.WAITING)
    assert connection.handle(core.Waited(), 1.0) == [core.Connect()]
    assert connection.state is State.CONNECTING


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_waits_grow_to_ten_seconds_with_full_jitter(chance: float) -> None:
    connection = Connection(lambda: chance)
    waits = []
    for _ in range(10):
        (wait,) = connection.handle(core.NotConnected("nobody there"), 0.0)
        assert isinstance(wait, core.Wait)
        waits.append(wait.seconds)
        connection.handle(core.Waited(), 0.0)
    longest = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]
    assert waits == pytest.approx([chance * each for each in longest])


def test_a_sidecar_that_somebody_else_starts_is_asked_for_more_often() -> None:
    connection = Connection(lambda: 1.0, longest_wait=core.LONGEST_WAIT_FOR_NAMED)
    for _ in range(10):
        waits = connection.handle(core.NotConnected("nobody there"), 0.0)
        connection.handle(core.Waited(), 0.0)
    assert waits == [core.Wait(2.0)]


def test_only_a_line_that_lasted_makes_waits_short_again() -> None:
    connection = at(State.WAITING, chance=1.0)
    for lasted, expected in ((1.0, 0.2), (1.0, 0.4), (core.LASTING, 0.1)):
        for event in (core.Waited(), core.Connected(), WELCOME):
            connection.handle(event, 0.0)
        assert connection.handle(core.Lost("gone"), lasted)[-1] == core.Wait(expected)


@pytest.mark.parametrize("state", [State.GREETING, State.SERVING])
def test_a_sidecar_that_talks_nonsense_loses_the_line(state: State) -> None:
    connection = at(state)
    effects = connection.handle(core.Arrived(link.Result(id=1)), 0.0)
    assert effects[0] == core.HangUp()
    assert connection.state is State.WAITING


def test_a_call_before_the_welcome_loses_the_line() -> None:
    connection = at(State.GREETING)
    connection.handle(core.Arrived(CALL), 0.0)
    assert connection.state is State.WAITING


def test_what_a_lost_line_still_brings_is_ignored() -> None:
    connection = at(State.WAITING)
    assert connection.handle(core.Arrived(CALL), 0.0) == []
    assert connection.state is State.WAITING


def test_the_last_word_is_said_before_hanging_up_and_nothing_waits_for_the_debugger() -> None:
    connection = at(State.SERVING)
    assert connection.handle(core.Leave(ENDING), 1.0) == [core.Say(ENDING), core.HangUp()]
    assert connection.state is State.STOPPED


def test_a_stop_releases_the_debugger() -> None:
    assert at(State.SERVING).handle(core.Leave(), 1.0) == [core.HangUp(), core.ReleaseDebugger()]


@pytest.mark.parametrize("state", [State.CONNECTING, State.GREETING, State.WAITING])
def test_who_is_not_served_leaves_without_a_word(state: State) -> None:
    connection = at(state)
    effects = connection.handle(core.Leave(ENDING), 0.0)
    assert effects in ([], [core.HangUp()])
    assert connection.state is State.STOPPED


@pytest.mark.parametrize("state", [State.REFUSED, State.STOPPED])
@pytest.mark.parametrize(
    "event", [core.Waited(), WELCOME, core.Lost("x"), core.Leave(ENDING), core.Connected()]
)
def test_the_end_is_the_end(state: State, event: core.Event) -> None:
    connection = at(state)
    assert connection.handle(event, 0.0) == []
    assert connection.state is state


def test_a_served_tap_reports_at_once_and_then_each_second() -> None:
    connection = at(State.GREETING)
    assert connection.handle(WELCOME, 5.0) == [core.Report()]
    assert connection.report_at == 6.0
    assert connection.handle(core.TimePassed(), 5.5) == []
    assert connection.handle(core.TimePassed(), 6.5) == [core.Report()]
    assert connection.report_at == 7.5


def test_a_new_line_is_reported_to_at_once() -> None:
    connection = at(State.SERVING)
    for event in (core.Lost("gone"), core.Waited(), core.Connected()):
        connection.handle(event, 0.1)
    assert connection.report_at is None
    assert connection.handle(WELCOME, 0.2) == [core.Report()]


@pytest.mark.parametrize("state", [each for each in State if each is not State.SERVING])
def test_who_is_not_served_has_nothing_to_report(state: State) -> None:
    connection = at(state)
    assert connection.report_at is None
    assert connection.handle(core.TimePassed(), 100.0) == []
    assert connection.state is state


def test_a_sidecar_that_says_what_it_hides_is_heeded() -> None:
    connection = at(State.GREETING)
    welcome = link.Welcome(version=link.VERSION, process="default/app/1", redaction="strict")
    assert connection.handle(core.Arrived(welcome), 0.0)[0] == core.Redact(welcome)
