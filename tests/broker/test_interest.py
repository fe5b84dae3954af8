"""What a broker subscribes on the bus: what somebody wants, and no more, and never with a moment of nothing in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_broker.interest import LINGER, MOST_FILTERS, Interest, covers
from sonde_broker.relay_io import Listen, Unlisten
from sonde_wire import Address, Selector, topics
from sonde_wire.topics import Channel

EVENTS = topics.processes(Channel.EVENTS)


def of(selector: str, channel: Channel = Channel.EVENTS) -> str:
    return topics.processes(channel, Selector.parse(selector))


@pytest.fixture
def interest() -> Interest:
    interest = Interest()
    interest.bus_changed(True)
    return interest


def settled(interest: Interest) -> list[Listen | Unlisten]:
    """The bus confirms at once."""
    effects = interest.settle()
    for each in effects:
        if isinstance(each, Listen):
            interest.confirmed(each.filters)
    return effects


def test_what_is_wanted_is_subscribed_once_and_stays_a_while_when_nobody_wants_it(interest: Interest) -> None:
    interest.want("ada", [of("shop/cart/*")], 0)
    interest.want("bob", [of("shop/cart/*")], 0)
    assert settled(interest) == [Listen((of("shop/cart/*"),))]
    interest.want("ada", [], 1)
    interest.want("bob", [], 2)
    assert settled(interest) == []
    interest.time_passed(2 + LINGER)
    assert settled(interest) == [Unlisten((of("shop/cart/*"),))]
    assert interest.deadline() is None


def test_who_comes_back_in_time_finds_it_subscribed(interest: Interest) -> None:
    interest.want("ada", [EVENTS], 0)
    settled(interest)
    interest.want("ada", [], 1)
    interest.want("bob", [EVENTS], 2)
    interest.time_passed(1 + LINGER)
    assert settled(interest) == []


def test_a_wider_filter_takes_the_place_of_narrower_ones_and_comes_before_they_go(interest: Interest) -> None:
    interest.want("ada", [of("shop/cart/one"), of("prod/cart/*")], 0)
    settled(interest)
    interest.want("bob", [of("*/cart/*")], 1)
    narrow = tuple(sorted([of("shop/cart/one"), of("prod/cart/*")]))
    assert settled(interest) == [Listen((of("*/cart/*"),)), Unlisten(narrow)]
    assert interest.hears([of("shop/cart/one")])
    interest.want("bob", [], 2)
    interest.time_passed(2 + LINGER)
    assert settled(interest) == [Listen(narrow), Unlisten((of("*/cart/*"),))]


def test_channels_do_not_stand_in_for_each_other(interest: Interest) -> None:
    interest.want("ada", [EVENTS, of("shop/cart/*", Channel.METRICS)], 0)
    [listen] = settled(interest)
    assert isinstance(listen, Listen)
    assert len(listen.filters) == 2


def test_too_many_filters_become_one(interest: Interest) -> None:
    interest.want("ada", [of(f"shop/cart/p{number}") for number in range(MOST_FILTERS + 1)], 0)
    assert settled(interest) == [Listen((EVENTS,))]


def test_nothing_is_subscribed_without_a_bus_and_everything_with_the_next(interest: Interest) -> None:
    interest.want("ada", [EVENTS], 0)
    settled(interest)
    interest.bus_changed(False)
    assert not interest.hears([EVENTS])
    interest.want("bob", [of("shop/cart/*", Channel.METRICS)], 0)
    assert settled(interest) == []
    interest.bus_changed(True)
    [listen] = settled(interest)
    assert isinstance(listen, Listen)
    assert set(listen.filters) == {EVENTS, of("shop/cart/*", Channel.METRICS)}


def test_what_is_not_confirmed_is_not_heard_yet(interest: Interest) -> None:
    interest.want("ada", [EVENTS], 0)
    interest.settle()
    assert not interest.hears([of("shop/cart/*")])
    interest.confirmed([EVENTS])
    assert interest.hears([of("shop/cart/*")])
    assert interest.hears([])


def test_the_processes_that_are_told_of_are_known(interest: Interest) -> None:
    interest.want("ada", [of("shop/cart/*"), of("prod/web/one"), of("prod/a.b/*")], 0)
    interest.settle()
    told = interest.asks_for(Channel.EVENTS)
    assert told(Address.parse("prod/a.b/any"))
    assert told(Address.parse("shop/cart/any"))
    assert told(Address.parse("prod/web/one"))
    assert not told(Address.parse("prod/web/two"))
    assert not interest.asks_for(Channel.METRICS)(Address.parse("shop/cart/any"))


def follow(interest: Interest, subscribed: set[str]) -> None:
    """What the bus does."""
    for effect in settled(interest):
        if isinstance(effect, Listen):
            assert not subscribed.intersection(effect.filters)
            subscribed.update(effect.filters)
        else:
            subscribed.difference_update(effect.filters)


FILTERS = [of(each) for each in ("*/*/*", "a/*/*", "a/b/*", "*/b/*", "a/b/c", "a/b/d", "*/*/c")]


@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.sets(st.sampled_from(FILTERS)), st.integers(0, 20)), max_size=20
    )
)
def test_whatever_is_wanted_is_heard_and_no_filter_is_inside_another(
    steps: list[tuple[str, set[str], int]],
) -> None:
    interest = Interest()
    interest.bus_changed(True)
    now, wanted = 0.0, dict.fromkeys("xyz", frozenset[str]())
    subscribed: set[str] = set()
    for owner, filters, passes in steps:
        now += passes
        interest.time_passed(now)
        interest.want(owner, filters, now)
        wanted[owner] = frozenset(filters)
        follow(interest, subscribed)
        assert all(interest.hears(each) for each in wanted.values())
        assert not any(one != other and covers(one, other) for one in subscribed for other in subscribed)
    interest.time_passed(now + LINGER + 1)
    follow(interest, subscribed)
    everything = frozenset().union(*wanted.values())
    assert subscribed <= everything
