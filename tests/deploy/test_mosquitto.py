"""The bus's files under a real Mosquitto, with the secrets that the script makes."""

import asyncio
import stat
from pathlib import Path

import pytest

from sonde_wire import topics
from sonde_wire.addresses import Address
from sonde_wire.mqtt import BusLost, BusUrl, connect
from sonde_wire.topics import Channel
from tests.deploy import make_secrets_file
from tests.deploy.bus import FILES, PATIENCE, Bus

ADDRESS = Address("prod", "shop", "web-1")


def rights() -> dict[str, dict[str, set[str]]]:
    """What the `acl` file allows: user, then `write`, `read` or `readwrite`, then the filters."""
    found: dict[str, dict[str, set[str]]] = {}
    user = ""
    for line in (FILES / "acl").read_text().splitlines():
        match line.split():
            case ["user", name]:
                user = name
            case ["topic", right, topic_filter]:
                found.setdefault(user, {}).setdefault(right, set()).add(topic_filter)
    return found


def test_the_access_list_is_what_the_wire_says() -> None:
    assert topics.BROKER_MAY_PUBLISH == topics.BROKER_MAY_SUBSCRIBE
    assert rights() == {
        "agent": {"write": set(topics.AGENT_MAY_PUBLISH), "read": set(topics.AGENT_MAY_SUBSCRIBE)},
        "broker": {"readwrite": set(topics.BROKER_MAY_PUBLISH)},
    }


def test_nagle_is_off_and_strangers_are_out() -> None:
    settings = (FILES / "mosquitto.conf").read_text().splitlines()
    assert "set_tcp_nodelay true" in settings
    assert "allow_anonymous false" in settings
    assert "persistence false" in settings


def test_secrets_are_long_in_a_private_directory_and_never_overwritten(tmp_path: Path) -> None:
    made = tmp_path / "secrets"
    script = make_secrets_file.module()
    assert script.main([str(made)]) == 0
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    before = {each.name: each.read_text() for each in made.iterdir()}
    assert all(len(each) >= 43 for each in before.values())
    assert script.main([str(made)]) == 1
    assert {each.name: each.read_text() for each in made.iterdir()} == before


async def test_each_account_gets_in_with_its_password_and_nobody_else_does(bus: Bus) -> None:
    for user in ("agent", "broker"):
        async with connect(bus.url(user), client_id=user):
            pass
    stranger = BusUrl(bus.url("agent").host, bus.url("agent").port, user="agent", password="guessed")
    for refused in (stranger, BusUrl(stranger.host, stranger.port)):
        with pytest.raises(BusLost):
            async with connect(refused, client_id="stranger"):
                pass


async def test_an_agent_is_heard_where_it_may_publish_and_nowhere_else(bus: Bus) -> None:
    allowed = [topics.of_process(ADDRESS, each) for each in Channel] + [topics.replies_to("b1")]
    forbidden = [topics.presence_of_broker("b1"), "sonde/v1/other", "elsewhere"]
    last = topics.replies_to("last")
    async with (
        connect(bus.url("broker"), client_id="b1") as broker,
        connect(bus.url("agent"), client_id="a1") as agent,
    ):
        await broker.subscribe("sonde/#")
        for topic in [*forbidden, *allowed, last]:
            await agent.publish(topic, b"x")
        heard = []
        async with asyncio.timeout(PATIENCE):
            async for message in broker:
                if message.topic == last:
                    break
                heard.append(message.topic)
    assert heard == allowed


async def test_an_agent_hears_commands_and_brokers_and_nothing_else(bus: Bus) -> None:
    commands = topics.of_process(ADDRESS, Channel.COMMANDS)
    presence = topics.presence_of_broker("b1")
    async with (
        connect(bus.url("broker"), client_id="b1") as broker,
        connect(bus.url("agent"), client_id="a1") as agent,
    ):
        await agent.subscribe(commands, topics.all_brokers())
        for topic in (
            topics.of_process(ADDRESS, Channel.EVENTS),
            topics.replies_to("b1"),
            commands,
            presence,
        ):
            await broker.publish(topic, b"x")
        heard = []
        async with asyncio.timeout(PATIENCE):
            async for message in agent:
                heard.append(message.topic)
                if message.topic == presence:
                    break
    assert heard == [commands, presence]
