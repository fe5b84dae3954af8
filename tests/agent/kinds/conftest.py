from collections.abc import Iterator

import pytest

from tests.agent.tap.fakes import FakeSidecar, fake_sidecar


@pytest.fixture
def sidecar() -> Iterator[FakeSidecar]:
    with fake_sidecar() as sidecar:
        # about forking with threads, from 3.12 on; a test of its own looks at it
        sidecar.environment["PYTHONWARNINGS"] = "ignore::DeprecationWarning"
        yield sidecar
