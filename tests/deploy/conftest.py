"""What the tests of deploy/ share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.deploy.bus import Bus, running


@pytest.fixture
async def bus(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Bus]:
    async with running(tmp_path, unused_tcp_port) as started:
        yield started
