"""One site for the whole run: a real broker with its embedded bus, as `sonde up` starts it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from sonde_viewer import Viewer
from tests.support.debuggee import interpreters
from tests.support.site import Site, site


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncIterator[Site]:
    async with site(tmp_path) as started:
        yield started


@pytest_asyncio.fixture
async def viewer(here: Site) -> AsyncIterator[Viewer]:
    async with here.viewer() as connected:
        yield connected


@pytest.fixture(params=sorted(interpreters()))
def python(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each interpreter that the machine has: the process may run on another one than the broker."""
    yield interpreters()[request.param]
