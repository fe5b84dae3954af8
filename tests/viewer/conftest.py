from collections.abc import AsyncIterator

import pytest

from sonde_viewer import Viewer, connect
from tests.viewer.fake_broker import TOKEN, FakeBroker


@pytest.fixture
async def broker() -> AsyncIterator[FakeBroker]:
    async with FakeBroker().running() as running:
        yield running


@pytest.fixture
async def viewer(broker: FakeBroker) -> AsyncIterator[Viewer]:
    async with connect(broker.url, TOKEN) as connected:
        yield connected
