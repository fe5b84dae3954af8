"""The file by which programs of one user on one machine find each other."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sonde_wire import local
from sonde_wire.local import Site


@pytest.fixture(autouse=True)
def site_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "run" / "site.json"
    monkeypatch.setenv(local.VARIABLE, str(file))
    return file


def site(pid: int) -> Site:
    return Site(url="http://127.0.0.1:8080", bus="mqtt://agent:s3cret@127.0.0.1:1883", token="t.o.k", pid=pid)


def pid_of_a_process_that_has_ended() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_there_is_no_site_before_one_is_written() -> None:
    assert local.read() is None


def test_a_site_is_read_back() -> None:
    local.write(site(os.getpid()))
    assert local.read() == site(os.getpid())


def test_only_its_user_can_read_it(site_file: Path) -> None:
    local.write(site(os.getpid()))
    assert stat.S_IMODE(site_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(site_file.parent.stat().st_mode) == 0o700


def test_a_second_site_replaces_the_first_and_leaves_nothing_beside_it(site_file: Path) -> None:
    local.write(site(os.getpid()))
    local.write(site(os.getppid()))
    assert [each.name for each in site_file.parent.iterdir()] == ["site.json"]
    assert local.read() == site(os.getppid())


def test_a_site_whose_broker_is_gone_is_no_site() -> None:
    local.write(site(pid_of_a_process_that_has_ended()))
    assert local.read() is None


def test_a_broken_file_is_no_site(site_file: Path) -> None:
    site_file.parent.mkdir()
    site_file.write_bytes(b'{"url": 1}')
    assert local.read() is None


def test_a_broker_takes_away_its_own_site_only(site_file: Path) -> None:
    local.write(site(os.getpid()))
    local.remove(os.getppid())
    assert site_file.exists()
    local.remove(os.getpid())
    assert not site_file.exists()
    local.remove(os.getpid())


def test_the_runtime_directory_is_preferred_to_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(local.VARIABLE)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert local.path() == tmp_path / "sonde" / "site.json"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local.path() == tmp_path / ".local" / "state" / "sonde" / "site.json"
