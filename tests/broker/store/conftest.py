from collections.abc import Iterator
from pathlib import Path

import pytest

from sonde_broker.store import condition, inbox
from tests.support import postgres


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here waits for a quarter of a second to pass, or a whole one."""
    monkeypatch.setattr(inbox, "WINDOW", 0.005)
    monkeypatch.setattr(condition, "FIRST", 0.05)


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    if why := postgres.missing():
        pytest.skip(why)
    with postgres.cluster() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a new history."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'history' / 'history.db'}"
    made: postgres.Cluster = request.getfixturevalue("cluster")
    return made.new_database()
