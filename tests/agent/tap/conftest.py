from collections.abc import Iterator

import pytest

from tests.agent.tap.fakes import FakeSidecar, fake_sidecar


@pytest.fixture
def sidecar() -> Iterator[FakeSidecar]:
    with fake_sidecar() as sidecar:
        yield sidecar
