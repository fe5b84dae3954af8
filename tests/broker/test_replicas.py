"""Several brokers come to one result without talking to each other about it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_broker.replicas import ANSWER_WITHIN, Replicas
from sonde_wire.bus import BrokerPresence
from sonde_wire.topics import SHARDS


def presence(
    broker: str, store: str | None = "s", state: str = "online", time: float = 1.0
) -> BrokerPresence:
    return BrokerPresence(broker=broker, state=state, time=time, store=store)  # type: ignore[arg-type] # one of two


def site(names: list[str], store: str | None = "s") -> dict[str, Replicas]:
    """Each has seen each, itself too."""
    brokers = {name: Replicas(name) for name in names}
    for each in brokers.values():
        each.we_write(store)
        for name in names:
            each.seen(name, presence(name, store), 1.0)
    return brokers


@given(st.sets(st.text("abcdef0123456789", min_size=4, max_size=12), min_size=1, max_size=8))
def test_each_shard_is_stored_by_exactly_one_and_each_task_done_by_one(names: set[str]) -> None:
    brokers = site(sorted(names))
    shares = [each.shards() for each in brokers.values()]
    assert sorted(shard for share in shares for shard in share) == sorted(SHARDS)
    assert [each.leads("abcdefghij") for each in brokers.values()].count(True) == 1


@given(st.sets(st.text("abcdef0123456789", min_size=4, max_size=12), min_size=2, max_size=8))
def test_when_one_goes_only_its_share_moves(names: set[str]) -> None:
    brokers = site(sorted(names))
    before = {name: each.shards() for name, each in brokers.items()}
    gone = min(names)
    for name in names - {gone}:
        assert brokers[name].seen(gone, presence(gone, state="lost"), 2.0)
        assert brokers[name].shards() >= before[name]
    after = [shard for name in names - {gone} for shard in brokers[name].shards()]
    assert sorted(after) == sorted(SHARDS)


def test_only_those_that_write_into_the_same_history_share() -> None:
    ours = Replicas("b1")
    assert ours.shards() == frozenset()
    ours.we_write("one")
    ours.seen("b2", presence("b2", "another"), 1.0)
    ours.seen("b3", presence("b3", None), 1.0)
    assert ours.shards() == frozenset(SHARDS)
    ours.seen("b2", presence("b2", "one"), 1.0)
    assert 0 < len(ours.shards()) < len(SHARDS)


@pytest.mark.parametrize("told", [None, presence("b2", state="lost")])
def test_one_that_took_leave_or_was_lost_is_gone(told: BrokerPresence | None) -> None:
    ours = Replicas("b1")
    assert ours.seen("b2", presence("b2"), 1.0)
    assert len(ours) == 2
    assert ours.seen("b2", told, 2.0)
    assert not ours.seen("b2", told, 2.0)
    assert len(ours) == 1
    assert ours.leads("anything")


def test_what_has_not_changed_and_our_own_presence_is_no_news() -> None:
    ours = Replicas("b1")
    assert not ours.seen("b1", presence("b1"), 1.0)
    assert ours.seen("b2", presence("b2"), 1.0)
    assert not ours.seen("b2", presence("b2"), 1.0)
    ours.bus_lost()
    assert len(ours) == 1


def test_one_that_the_bus_alone_speaks_of_is_not_there() -> None:
    ours = Replicas("b1")
    ours.we_write("s")
    ours.seen("b2", presence("b2"), 10.0)
    ours.seen("b3", presence("b3"), 10.0)
    ours.seen("b2", presence("b2"), 11.0)  # the same once more, by the bus
    ours.seen("b3", presence("b3", time=2.0), 11.0)
    assert ours.deadline() == 10.0 + ANSWER_WITHIN
    assert ours.time_passed(9.9 + ANSWER_WITHIN) == []
    shared = ours.shards()
    assert ours.time_passed(10.0 + ANSWER_WITHIN) == ["b2"]
    assert shared < ours.shards() < frozenset(SHARDS)
    assert (len(ours), ours.deadline()) == (2, None)
    assert ours.seen("b2", presence("b2", time=3.0), 60.0)  # it hung only
