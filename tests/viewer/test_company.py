from typing import Any

import msgspec

from sonde_viewer.company import Company
from sonde_wire import bus, codec
from tests.viewer.fake_broker import BOOT, SHOP

NOW = 1000.0
ADA = bus.SessionInfo(session="s1", viewer="ada", opened=1.0)
BOB = bus.SessionInfo(session="s2", viewer="bob", opened=2.0)
CART = bus.BreakpointSet(owner="s2", path="/app/cart.py", breakpoints=(codec.raw({"line": 4}),))


def company(**told: Any) -> Any:
    """As session s1 sees it. Untyped, because what a checker knows of its fields is over after the next event."""
    state = bus.SessionState(session="s1", process=SHOP.process, boot=BOOT, capabilities=codec.raw({}))
    made = Company()
    made.told(msgspec.structs.replace(state, sessions=(ADA, BOB), **told), NOW)
    return made


def event(kind: Any, **fields: Any) -> Any:
    return kind(process=SHOP.process, boot=BOOT, seq=1, time=1.0, **fields)


def test_a_late_joiner_is_told_everything() -> None:
    late = company(
        driver="s2", asking=("s3",), lease=bus.Lease(left=41.5, length=60.0), asleep=True, breakpoints=(CART,)
    )
    assert (late.driver, late.driver_name, late.drives) == ("s2", "bob", False)
    assert (late.asking, late.asleep, late.others_breakpoints) == (("s3",), True, (CART,))
    assert late.lease is not None
    assert (late.lease.left(NOW + 1), late.lease.left(NOW + 100)) == (40.5, 0.0)


def test_a_lease_is_renewed_when_a_third_of_it_has_passed() -> None:
    lease = company(lease=bus.Lease(left=60.0, length=60.0)).lease
    assert lease is not None
    assert [lease.renewal(NOW + passed) for passed in (0, 5, 20, 50)] == [20, 15, 0, 0]


def test_the_lease_is_ours_to_renew_while_we_drive_or_nobody_does() -> None:
    lease = bus.Lease(left=60.0, length=60.0)
    assert [company(lease=lease, driver=driver).renews for driver in (None, "s1", "s2")] == [
        True,
        True,
        False,
    ]
    assert not company(driver="s1").renews


def test_the_seat_goes_from_hand_to_hand() -> None:
    seen = company()
    seen.handle(event(bus.SeatChanged, reason="taken", driver="s1", viewer="ada"), NOW)
    assert seen.drives
    seen.handle(event(bus.SeatChanged, reason="asked", driver="s1", viewer="ada", asking=("s2",)), NOW)
    assert seen.asking == ("s2",)
    seen.handle(event(bus.SeatChanged, reason="granted", driver="s2", viewer="bob"), NOW)
    assert (seen.drives, seen.driver_name, seen.asking) == (False, "bob", ())


def test_breakpoints_sleep_from_a_lapse_until_the_lease_is_over_or_somebody_acts() -> None:
    seen = company(lease=bus.Lease(left=1.0, length=60.0))
    seen.handle(event(bus.LeaseChanged, state="lapsed"), NOW)
    assert (seen.asleep, seen.lease) == (True, None)
    seen.handle(event(bus.LeaseChanged, state="ended"), NOW)
    assert not seen.asleep
    for wake in (seen.heard, lambda: seen.seated(bus.SeatState(), seen.seat_changes)):
        seen.handle(event(bus.LeaseChanged, state="lapsed"), NOW)
        wake()
        assert not seen.asleep


def test_others_breakpoints_come_change_and_go_with_their_owner() -> None:
    seen = company(breakpoints=(CART,))
    own = bus.BreakpointSet(owner="s1", path="/app/cart.py", breakpoints=(codec.raw({"line": 9}),))
    seen.handle(event(bus.BreakpointsChanged, breakpoints=own), NOW)
    assert seen.others_breakpoints == (CART,)
    more = msgspec.structs.replace(CART, breakpoints=(codec.raw({"line": 5}),))
    seen.handle(event(bus.BreakpointsChanged, breakpoints=more), NOW)
    assert seen.others_breakpoints == (more,)
    seen.handle(event(bus.SessionClosed, session="s2", viewer="bob", reason="viewer_left"), NOW)
    assert seen.others_breakpoints == ()
    gone = msgspec.structs.replace(CART, breakpoints=())
    seen.handle(event(bus.BreakpointsChanged, breakpoints=CART), NOW)
    seen.handle(event(bus.BreakpointsChanged, breakpoints=gone), NOW)
    assert seen.others_breakpoints == ()


def test_a_viewer_is_found_by_name_or_session_and_who_asks_goes_first() -> None:
    seen = company(asking=("s3",))
    for session in ("s3", "s4"):
        seen.handle(event(bus.SessionOpened, session=session, viewer="bob"), NOW)
    assert seen.named("bob") == ("s3", "s2", "s4")
    assert seen.named("s4") == ("s4",)
    assert seen.named("ada") == ()  # that is this session
    assert seen.name("s9") == "s9"


def test_the_loss_of_the_debugger_ends_the_lease() -> None:
    seen = company(lease=bus.Lease(left=60.0, length=60.0))
    seen.handle(event(bus.DebuggerDetached, reason="not_answering"), NOW)
    assert seen.lease is None


def test_an_answer_that_an_event_overtook_tells_nothing() -> None:
    seen = company(lease=bus.Lease(left=60.0, length=60.0))
    seat, lease = seen.seat_changes, seen.lease_changes
    seen.handle(event(bus.SeatChanged, reason="granted", driver="s1", viewer="ada"), NOW)
    seen.seated(bus.SeatState(driver="s2", viewer="bob", asking=("s1",)), seat)
    assert (seen.drives, seen.asking) == (True, ())
    seen.handle(event(bus.LeaseChanged, state="ended"), NOW)
    seen.leased(bus.LeaseState(lease=bus.Lease(left=60.0, length=60.0), renewed=True), lease, NOW)
    assert seen.lease is None
    seen.seated(bus.SeatState(driver="s2", viewer="bob"), seen.seat_changes)
    assert seen.driver_name == "bob"
