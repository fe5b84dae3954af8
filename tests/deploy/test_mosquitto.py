"""The bus's files under a real Mosquitto, with the secrets that the script makes."""

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sonde_wire import topics
from sonde_wire.addresses import Address
from sonde_wire.mqtt import BusLost, BusUrl, connect
from sonde_wire.topics import Channel
from tests.deploy import make_secrets_file
from tests.deploy.manifests import DEPLOY

FILES = DEPLOY / "mosquitto"
PROGRAM = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
ADDRESS = Address("prod", "shop", "web-1")
PATIENCE = 10.0


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


class Bus:
    """Mosquitto with the configuration of deploy/, on a port and with paths of this test."""

    def __init__(self, port: int, secrets: Path) -> None:
        self._port = port
        self._secrets = secrets

    def url(self, user: str) -> BusUrl:
        password = (self._secrets / f"{user}-bus-password").read_text()
        return BusUrl("127.0.0.1", self._port, user=user, password=password)


@pytest.fixture
async def bus(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Bus]:
    if PROGRAM is None:
        pytest.skip("mosquitto is not installed")
    secrets = tmp_path / "secrets"
    make_secrets_file.module().make(secrets)
    text = (FILES / "mosquitto.conf").read_text()
    for there, here in (
        ("listener 1883", f"listener {unused_tcp_port} 127.0.0.1"),
        ("/run/secrets", str(secrets)),
        ("/etc/sonde", str(FILES)),
    ):
        assert there in text
        text = text.replace(there, here)
    text += "log_type information\n"  # says when it is running
    if os.geteuid() == 0:
        text += "user root\n"  # otherwise it changes to a user that cannot enter the private directory
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(text)
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "-c", str(configuration), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            seen = b""
            while b" running" not in seen:
                line = await process.stderr.readline()
                assert line, f"mosquitto ended: {seen.decode()}"
                seen += line
        drain = asyncio.create_task(process.stderr.read(), name="mosquitto's log")
        yield Bus(unused_tcp_port, secrets)
    finally:
        process.terminate()
        await process.wait()
    await drain


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
