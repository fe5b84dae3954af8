"""What `sonde broker --check` says of a history, without making or changing anything."""

import sqlite3
from pathlib import Path

import pytest

from sonde_broker.store import check
from tests.broker.store.telling import Teller, desk
from tests.support import postgres


def everything(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.rglob("*"))


async def test_nothing_is_wrong_with_a_new_history_and_one_that_is_there(url: str, tmp_path: Path) -> None:
    assert check(url) == []
    assert everything(tmp_path) == []
    web = Teller()
    async with desk(url) as history:
        await history.keep(web, web.some(1))
        assert check(url) == []
    before = everything(tmp_path)
    assert check(url) == []
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("content", "expected"), [(b"something else", "is something else"), (b"\0" * 4096, ""), (b"", "")]
)
def test_what_a_file_is(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(content)
    problems = check(f"sqlite:///{path}")
    assert len(problems) == bool(expected)
    assert expected in "".join(problems)
    assert path.read_bytes() == content


def test_a_place_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in check(f"sqlite:///{tmp_path / 'file' / 'history.db'}")[0]
    assert "cannot be read and written" in check(f"sqlite:///{tmp_path}")[0]
    assert "PostgreSQL" in check("mysql://host/database")[0]


async def test_another_version_and_open_permissions_are_told(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    async with desk(f"sqlite:///{path}") as history:
        await history.changed("up")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sonde_meta SET value='99' WHERE key='schema'")
    connection.close()
    path.chmod(0o644)
    assert [
        each for each in ("private", "another version") if each in " ".join(check(f"sqlite:///{path}"))
    ] == [
        "private",
        "another version",
    ]


def test_what_is_wrong_with_a_server_is_told(cluster: postgres.Cluster) -> None:
    assert "createdb" in check(cluster.url("nosuch"))[0]
    assert "does not answer" in check("postgresql://nobody@/x?host=/nosuch")[0]
    cluster.run("CREATE ROLE reader LOGIN")
    assert "grant" in check(cluster.new_database().replace("//sonde@", "//reader@"))[0]
