"""Which processes there are, and what is due when."""

from sonde_broker.deadlines import Deadlines
from sonde_broker.fleet import KEEP, MOST_GONE, Fleet
from sonde_broker.limits import Strikes, TokenBucket
from sonde_wire import Address, Selector, codec
from tests.broker.messages import CHECKOUT, presence

ADDRESS = Address.parse(CHECKOUT)


def update(fleet: Fleet, address: Address = ADDRESS, state: str = "online", now: float = 1000.0) -> bool:
    message = presence(str(address), state, time=now)
    return fleet.update(address, message, codec.encode(message), now)


def test_news_is_what_differs() -> None:
    fleet = Fleet()
    assert update(fleet)
    assert not update(fleet)
    assert update(fleet, state="lost")


def test_an_online_process_is_never_forgotten_by_age() -> None:
    fleet = Fleet()
    update(fleet)
    assert fleet.expire(1000.0 + 10 * KEEP) == []
    assert len(fleet) == 1


def test_of_many_that_are_gone_the_oldest_are_forgotten_first() -> None:
    fleet = Fleet()
    for number in range(MOST_GONE + 2):
        update(fleet, Address("n", "s", f"i{number}"), "ended", 1000.0 + number)
    assert fleet.expire(2000.0) == [Address("n", "s", "i0"), Address("n", "s", "i1")]


def test_a_retained_end_from_long_ago_is_old_from_the_start() -> None:
    fleet = Fleet()
    message = presence(state="ended", time=1000.0)
    fleet.update(ADDRESS, message, codec.encode(message), 1000.0 + 2 * KEEP)
    assert fleet.expire(1000.0 + 2 * KEEP) == [ADDRESS]


def test_only_who_was_online_and_stays_silent_is_lost_with_the_bus() -> None:
    fleet = Fleet()
    silent, back, ended = (Address("n", "s", each) for each in ("silent", "back", "ended"))
    update(fleet, silent)
    update(fleet, back)
    update(fleet, ended, "ended")
    fleet.doubt()
    update(fleet, back)
    assert [address for address, _ in fleet.lose_unconfirmed(1030.0)] == [silent]
    states = {address: known.presence.state for address, known in fleet.matching(Selector())}
    assert states == {silent: "lost", back: "online", ended: "ended"}
    assert fleet.lose_unconfirmed(1031.0) == []


def test_deadlines_are_taken_once_in_their_order_and_can_be_moved_and_cleared() -> None:
    deadlines = Deadlines[str]()
    for key, at in (("b", 2.0), ("a", 1.0), ("c", 3.0), ("d", 4.0)):
        deadlines.set(key, at)
    deadlines.set("a", 2.5)
    deadlines.begin("c", 9.0)
    deadlines.clear("d")
    assert deadlines.next() == 2.0
    assert deadlines.take_due(3.0) == ["b", "a", "c"]
    assert deadlines.next() is None
    assert deadlines.take_due(100.0) == []


def test_deadlines_that_are_moved_for_ever_take_no_more_room() -> None:
    deadlines = Deadlines[str]()
    for moment in range(10_000):
        deadlines.set("one", float(moment))
    assert deadlines.next() == 9999.0
    assert len(deadlines._heap) < 100


def test_a_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=20, burst=40)
    assert sum(bucket.take(100.0) for _ in range(60)) == 40
    assert not bucket.take(100.01)
    assert sum(bucket.take(101.0) for _ in range(60)) == 20


def test_strikes_count_within_their_time() -> None:
    strikes = Strikes(3, 10.0)
    assert [strikes.strike(at) for at in (0.0, 6.0, 11.0, 15.0, 15.5)] == [False, False, False, True, True]
