"""Every topic is read back to what it was built from, and nothing else is read as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_wire import topics
from sonde_wire.addresses import Address, Selector
from sonde_wire.topics import Channel

ADDRESS = Address("prod", "shop", "web-1")
SHARD = topics.shard_of(ADDRESS)
levels = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", fullmatch=True)


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT 3.1.1, section 4.7, for topics that do not begin with `$`."""
    wanted, given_levels = topic_filter.split("/"), topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(given_levels) or level not in {"+", given_levels[position]}:
            return False
    return len(wanted) == len(given_levels)


@given(st.builds(Address, levels, levels, levels), st.sampled_from(Channel))
def test_a_process_topic_is_read_back(address: Address, channel: Channel) -> None:
    assert topics.read_process(topics.of_process(address, channel)) == (address, channel)


@given(levels)
def test_a_broker_presence_topic_is_read_back(broker: str) -> None:
    assert topics.read_broker_presence(topics.presence_of_broker(broker)) == broker


@given(
    st.lists(
        st.one_of(levels, st.sampled_from(["sonde", "v1", "process", "broker", "presence", ""])), max_size=9
    )
)
def test_any_topic_is_read_or_not_but_never_an_error(parts: list[str]) -> None:
    topic = "/".join(parts)
    found = topics.read_process(topic)
    assert found is None or topics.of_process(*found) == topic
    broker = topics.read_broker_presence(topic)
    assert broker is None or topics.presence_of_broker(broker) == topic


@pytest.mark.parametrize(
    "topic",
    [
        f"sonde/v1/process/{SHARD}/prod/shop/web-1",
        f"sonde/v1/process/{SHARD}/prod/shop/web-1/other",
        f"sonde/v1/process/{SHARD}/prod/shop/web-1/events/more",
        f"sonde/v2/process/{SHARD}/prod/shop/web-1/events",
        f"sonde/v1/process/{SHARD}/Prod/shop/web-1/events",
        f"/sonde/v1/process/{SHARD}/prod/shop/events",
        "sonde/v1/process/prod/shop/web-1/events",
        f"sonde/v1/process/{(int(SHARD, 16) + 1) % 16:x}/prod/shop/web-1/events",
        "sonde/v1/broker/b/presence",
    ],
)
def test_other_topics_are_not_a_process_topic(topic: str) -> None:
    assert topics.read_process(topic) is None


@pytest.mark.parametrize(
    "topic", ["sonde/v1/broker/b/replies", "sonde/v1/broker/b", "sonde/v1/broker/b/presence/x"]
)
def test_other_topics_are_not_a_broker_presence(topic: str) -> None:
    assert topics.read_broker_presence(topic) is None


@pytest.mark.parametrize("channel", list(Channel))
def test_the_filter_of_a_channel_matches_that_channel_alone(channel: Channel) -> None:
    matched = {
        each for each in Channel if matches(topics.processes(channel), topics.of_process(ADDRESS, each))
    }
    assert matched == {channel}


@given(
    st.builds(Address, levels, levels, levels), st.sampled_from(["*/*/*", "a*/b/*", "*/shop/*", "prod/*/c*"])
)
def test_the_filter_of_a_selector_matches_whatever_the_selector_does(address: Address, text: str) -> None:
    selector = Selector.parse(text)
    topic = topics.of_process(address, Channel.EVENTS)
    if selector.matches(address):
        assert matches(topics.processes(Channel.EVENTS, selector), topic)
    for shard in topics.SHARDS:
        found = matches(topics.processes(Channel.EVENTS, shard=shard), topic)
        assert found == (shard == topics.shard_of(address))


def test_the_filter_of_one_process_is_its_topic() -> None:
    one = Selector("prod", "shop", "web-1")
    assert topics.processes(Channel.METRICS, one) == topics.of_process(ADDRESS, Channel.METRICS)


def test_processes_are_spread_over_the_shards() -> None:
    shards = [topics.shard_of(Address("prod", "shop", f"web-{number}")) for number in range(1600)]
    assert all(60 < shards.count(each) < 150 for each in topics.SHARDS)


def test_the_filter_of_brokers_matches_their_presence_alone() -> None:
    assert matches(topics.all_brokers(), topics.presence_of_broker("b"))
    assert not matches(topics.all_brokers(), topics.replies_to("b"))


def agent_may(allowed: tuple[str, ...], topic: str) -> bool:
    return any(matches(each, topic) for each in allowed)


def test_an_agent_may_publish_what_it_tells_and_answers_and_no_broker_presence() -> None:
    for channel in (Channel.PRESENCE, Channel.EVENTS, Channel.METRICS):
        assert agent_may(topics.AGENT_MAY_PUBLISH, topics.of_process(ADDRESS, channel))
    assert agent_may(topics.AGENT_MAY_PUBLISH, topics.replies_to("b"))
    assert not agent_may(topics.AGENT_MAY_PUBLISH, topics.presence_of_broker("b"))


def test_an_agent_may_subscribe_to_what_is_for_it_and_nothing_else() -> None:
    for channel in (Channel.COMMANDS, Channel.STORED):
        assert agent_may(topics.AGENT_MAY_SUBSCRIBE, topics.of_process(ADDRESS, channel))
    assert agent_may(topics.AGENT_MAY_SUBSCRIBE, topics.presence_of_broker("b"))
    for channel in (Channel.PRESENCE, Channel.EVENTS, Channel.METRICS):
        assert not agent_may(topics.AGENT_MAY_SUBSCRIBE, topics.of_process(ADDRESS, channel))
    assert not agent_may(topics.AGENT_MAY_SUBSCRIBE, topics.replies_to("b"))


def test_each_topic_carries_the_version() -> None:
    built = [topics.of_process(ADDRESS, each) for each in Channel]
    built += [topics.replies_to("b"), topics.presence_of_broker("b"), topics.all_brokers()]
    assert all(each.startswith("sonde/v1/") for each in built)
