"""Where a sidecar listens: not where another does, where a dead one did, and for whom it is meant."""

import asyncio
import os
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from sonde_agent.sidecar import SidecarSettings, serve
from sonde_agent.sidecar.errors import InvalidSettings
from sonde_agent.sidecar.place import listening, place, private_directory, sweep
from tests.agent.sidecar.conftest import environment
from tests.support.debuggee import running


def on(directory: Path, **changes: object) -> SidecarSettings:
    given = {"listen": f"unix:{directory}/s", "token_file": f"{directory}/token", **changes}
    return SidecarSettings(**given)  # type: ignore[arg-type] # the settings' own types


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def names_in(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


async def test_two_sidecars_do_not_share_a_socket(tmp_path: Path) -> None:
    async with serve(on(tmp_path)) as first:
        with pytest.raises(InvalidSettings, match="most likely another sidecar"):
            async with serve(on(tmp_path)):
                pass
        _, writer = await asyncio.open_unix_connection(first.address.path)
        writer.close()
        await writer.wait_closed()
    assert names_in(tmp_path) == ["token"]
    async with serve(on(tmp_path)):
        assert (tmp_path / "s").is_socket()


async def test_the_socket_of_a_dead_sidecar_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    async with serve(on(tmp_path)) as sidecar:
        _, writer = await asyncio.open_unix_connection(sidecar.address.path)
        writer.close()
        await writer.wait_closed()


def test_the_socket_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        with pytest.raises(InvalidSettings, match="somebody listens"), place(on(tmp_path)):
            pass
        assert (tmp_path / "s").is_socket()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(OSError, match="not a socket"):
        listening(str(tmp_path / "s"), 0o600)
    assert (tmp_path / "s").read_text() == "mine"


@pytest.mark.parametrize(("given", "token"), [(0o600, 0o600), (0o660, 0o640), (0o666, 0o644)])
async def test_socket_and_token_are_for_whom_the_mode_says(tmp_path: Path, given: int, token: int) -> None:
    before = os.umask(0o077)
    try:
        async with serve(on(tmp_path, socket_mode=given)):
            assert mode(tmp_path / "s") == given
            assert mode(tmp_path / "token") == token
    finally:
        assert os.umask(before) == 0o077


def test_a_directory_that_is_used_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with private_directory() as used:
        others = tmp_path / "sonde-of-another-kind"
        others.mkdir(mode=0o700)
        sweep()
        assert used.exists() and others.exists()
    assert not used.exists()


def test_a_directory_that_was_never_used_is_swept_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("sonde-old", "sonde-new", "sonde-full"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "sonde-full" / "mine").touch()
    for name in ("sonde-old", "sonde-full"):
        os.utime(tmp_path / name, (0, 0))
    sweep()
    assert names_in(tmp_path) == ["sonde-full", "sonde-new"]


async def test_what_a_killed_sidecar_left_is_removed_by_the_next(tmp_path: Path) -> None:
    variables = environment() | {"XDG_RUNTIME_DIR": str(tmp_path), "SONDE_SITE": str(tmp_path / "none")}
    async with running(sys.executable, "-m", "sonde_agent.sidecar", env=variables) as killed:
        await killed.says("sidecar.sock")
        killed.process.send_signal(signal.SIGKILL)
        await killed.ended()
    (left,) = names_in(tmp_path)
    assert (tmp_path / left / "sidecar.sock").is_socket()
    async with running(sys.executable, "-m", "sonde_agent.sidecar", env=variables) as next_one:
        await next_one.says("sidecar.sock")
        (directory,) = names_in(tmp_path)
        assert directory != left
