from collections.abc import AsyncIterator

import pytest

from sonde_broker.serve import Broker, running
from sonde_broker.settings import HostPort, OwnBus, Settings
from tests.broker.tokens import RULES


def settings(**more: object) -> Settings:
    anywhere = HostPort("127.0.0.1", 0)
    fields: dict[str, object] = {
        "listen": anywhere,
        "bus": OwnBus("embedded", anywhere, "a password for agents"),
        "keys": RULES.keys,
    }
    return Settings(**fields | more)  # type: ignore[arg-type]  # checked by the Struct's users


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    """The whole broker on its embedded bus, without a page and with HS256."""
    async with running(settings()) as started:
        await started.agents.connected.wait()
        yield started
