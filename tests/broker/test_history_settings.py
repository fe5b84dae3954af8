"""Where the history is kept, as it is said and as it is shown."""

import os
from pathlib import Path

import pytest

from sonde_broker.errors import InvalidSettings
from sonde_broker.history_settings import read_history, read_size


@pytest.mark.parametrize(
    ("text", "shown", "url"),
    [
        ("/var/lib/sonde/h.db", "/var/lib/sonde/h.db", "sqlite:////var/lib/sonde/h.db"),
        ("sqlite:////var/h.db", "/var/h.db", "sqlite:////var/h.db"),
        ("sqlite:///h.db", "{cwd}/h.db", "sqlite:///{cwd}/h.db"),
        ("h.db", "{cwd}/h.db", "sqlite:///{cwd}/h.db"),
        ("postgresql://db/sonde", "postgresql://db/sonde", "postgresql+psycopg://db/sonde"),
        (
            "postgres://u:p%40ss@db:5433/sonde?sslmode=require",
            "postgresql://u@db:5433/sonde?sslmode=require",
            "postgresql+psycopg://u:p%40ss@db:5433/sonde?sslmode=require",
        ),
    ],
)
def test_a_store_is_a_file_or_a_server(text: str, shown: str, url: str) -> None:
    history = read_history(text, "--history", site=False)
    assert history is not None
    cwd = Path.cwd()
    assert (history.shown, history.url) == (shown.format(cwd=cwd), url.format(cwd=cwd))


def test_none_is_none_also_where_a_site_would_have_one() -> None:
    assert read_history("none", "--history", site=True) is None
    assert read_history(None, "--history", site=False) is None


def test_the_password_is_in_a_file_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("geh/eim\n")
    monkeypatch.setitem(os.environ, "SONDE_HISTORY_PASSWORD_FILE", str(tmp_path / "password"))
    history = read_history("postgresql://u@db/sonde", "--history", site=False)
    assert history is not None
    assert history.url == "postgresql+psycopg://u:geh%2Feim@db/sonde"
    assert "eim" not in history.shown
    assert "eim" not in repr(history)
    (tmp_path / "password").unlink()
    with pytest.raises(InvalidSettings, match="SONDE_HISTORY_PASSWORD_FILE"):
        read_history("postgresql://u@db/sonde", "--history", site=False)


@pytest.mark.parametrize(
    "text",
    ["sqlite://", "sqlite://h.db", "mysql://u:geheim@db/x", "postgresql://u:geheim@/x", "postgresql://db"],
)
def test_what_is_no_store_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(InvalidSettings, match="--history") as caught:
        read_history(text, "--history", site=False)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 2**30),
        ("2gb", 2 * 10**9),
        ("500 MiB", 500 * 2**20),
        ("100000000", 10**8),
        ("64m", 64 * 10**6),
    ],
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert read_size(text, "--history-size") == size


@pytest.mark.parametrize("text", ["", "x", "-1GiB", "1.5GiB", "15MiB", "1PiB", "1000"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="--history-size"):
        read_size(text, "--history-size")
