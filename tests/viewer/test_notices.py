import asyncio
import itertools
from typing import Any, TypeVar

import pytest

from sonde_viewer import DebugSession
from sonde_viewer.prompt.notices import Notice, Notices
from sonde_wire import bus, codec, rpc
from tests.viewer.fake_broker import BOOT, SHOP

T = TypeVar("T")
NOTHING = ""
VIEWERS = tuple(
    bus.SessionInfo(session=session, viewer=viewer, opened=1.0)
    for session, viewer in (("s1", "ada"), ("s2", "bob"), ("s3", "eve"))
)


class Prompt:
    """That of session s1, which keeps nothing; what it is told goes to session and notices as it would."""

    def __init__(self, driver: str | None = None, lease: bus.Lease | None = None) -> None:
        self.session = DebugSession(SHOP.process, _nobody_answers, asyncio.TaskGroup(), keep_stopped=False)
        state = bus.SessionState(
            session="s1",
            process=SHOP.process,
            boot=BOOT,
            capabilities=codec.raw({}),
            sessions=VIEWERS,
            driver=driver,
            lease=lease,
        )
        self.session.opened(state)
        self.notices = Notices(self.session)
        self._seq = itertools.count(1)

    def told(self, kind: Any, **fields: Any) -> Notice | None:
        event = kind(process=SHOP.process, boot=BOOT, seq=next(self._seq), time=1.0, **fields)
        self.session.deliver(event)
        return self.notices.heard(event)

    def says(self, kind: Any, **fields: Any) -> str:
        notice = self.told(kind, **fields)
        return NOTHING if notice is None else notice.text


async def _nobody_answers(
    method: str, params: rpc.Params, result: type[T], seconds: float | None = None
) -> T:
    raise AssertionError("nothing is asked here")


def test_the_driver_hears_who_asks_and_what_to_do() -> None:
    prompt = Prompt(driver="s1")
    notice = prompt.told(bus.SeatChanged, reason="asked", driver="s1", viewer="ada", asking=("s3", "s2"))
    assert notice is not None
    assert (notice.kind, notice.text) == ("seat", "bob asks for the driver's seat: `grant`")
    assert (notice.data["asks"], notice.data["session"]) == ("bob", "s2")


def test_who_asks_hears_nothing_until_they_drive() -> None:
    prompt = Prompt(driver="s2")
    assert prompt.says(bus.SeatChanged, reason="asked", driver="s2", viewer="bob", asking=("s1",)) == NOTHING
    assert prompt.says(bus.SeatChanged, reason="granted", driver="s1", viewer="ada") == "you drive now"


@pytest.mark.parametrize(
    ("before", "change", "says"),
    [
        ("s1", {"reason": "released", "cause": "c-1"}, NOTHING),
        ("s2", {"reason": "released", "cause": "c-1"}, "the driver's seat is free; `take` takes it"),
        (None, {"reason": "taken", "driver": "s1", "viewer": "ada", "cause": "c-1"}, NOTHING),
        (None, {"reason": "taken", "driver": "s2", "viewer": "bob", "cause": "c-1"}, "bob drives now; `ask`"),
        ("s1", {"reason": "granted", "driver": "s2", "viewer": "bob", "cause": "c-1"}, NOTHING),
        (
            "s1",
            {"reason": "granted", "driver": "s2", "viewer": "bob"},
            "bob drives now: the seat was asked for",
        ),
        ("s2", {"reason": "left"}, "the driver's seat is free"),
        ("s1", {"reason": "lapsed"}, "the driver's seat is free"),
        ("s2", {"reason": "left", "driver": "s2", "viewer": "bob"}, NOTHING),
    ],
)
def test_who_did_it_does_not_hear_of_it(before: str | None, change: dict[str, Any], says: str) -> None:
    said = Prompt(driver=before).says(bus.SeatChanged, **change)
    assert said.startswith(says)
    assert bool(said) == bool(says)


def test_a_lapse_says_what_to_do() -> None:
    prompt = Prompt(lease=bus.Lease(left=1.0, length=60.0))
    assert prompt.says(bus.LeaseChanged, state="renewed", lease=bus.Lease(left=60.0, length=60.0)) == NOTHING
    said = prompt.says(bus.LeaseChanged, state="lapsed")
    assert "the breakpoints sleep" in said
    assert "`threads`" in said


def test_the_loss_of_the_debugger_and_its_return_are_told() -> None:
    prompt = Prompt()
    assert "does not answer any more" in prompt.says(bus.DebuggerDetached, reason="not_answering")
    assert "set again" in prompt.says(bus.DebuggerAttached, debugpy="1.8.22", again=True)
    assert prompt.says(bus.DebuggerDetached, reason="last_session_closed") == NOTHING
    assert prompt.says(bus.DebuggerAttached, debugpy="1.8.22") == NOTHING


def test_the_last_seconds_are_told_once_for_each_renewal() -> None:
    prompt = Prompt(driver="s2", lease=bus.Lease(left=60.0, length=60.0))
    lease = prompt.session.lease
    assert lease is not None
    end = lease.ends
    assert prompt.notices.patience(end - 60) == pytest.approx(45)
    assert prompt.notices.passed(end - 60) is None
    notice = prompt.notices.passed(end - 15)
    assert notice is not None
    assert (notice.text, notice.data["left"]) == ("runs on in 15 s unless bob stays", pytest.approx(15))
    assert prompt.notices.patience(end - 14) is None
    prompt.told(bus.LeaseChanged, state="renewed", lease=bus.Lease(left=60.0, length=60.0))
    assert prompt.notices.patience(end - 60) is not None
    prompt.told(bus.LeaseChanged, state="ended")
    assert prompt.notices.patience(end) is None


def test_the_driver_is_told_to_do_something() -> None:
    prompt = Prompt(driver="s1", lease=bus.Lease(left=10.0, length=60.0))
    assert prompt.session.lease is not None
    notice = prompt.notices.passed(prompt.session.lease.ends - 10)
    assert notice is not None
    assert notice.text == "runs on in 10 s unless you do something"


def test_names_are_harmless_on_a_terminal() -> None:
    prompt = Prompt(driver="s2")
    said = prompt.says(bus.SeatChanged, reason="taken", driver="s9", viewer="\x1b[2Jeve", cause="c-1")
    assert "\x1b" not in said
