from pathlib import Path

import pytest

from sonde_agent.sidecar.errors import InvalidSettings
from sonde_agent.sidecar.place import private_directory
from sonde_agent.sidecar.settings import SidecarSettings, read_listen, read_or_make_token
from sonde_wire import local


@pytest.mark.parametrize("text", ["tcp:0.0.0.0:0", "tcp:example.org:80", "unix:here", "tcp:127.0.0.1", "x"])
def test_only_the_loopback_and_absolute_sockets_are_listened_on(text: str) -> None:
    with pytest.raises(InvalidSettings):
        SidecarSettings(listen=text)


def test_addresses_are_read() -> None:
    assert read_listen("tcp:127.0.0.1:0") == ("127.0.0.1", 0)
    assert read_listen("tcp:[::1]:80") == ("::1", 80)
    assert read_listen("unix:/run/s") == "/run/s"


def test_the_bus_is_the_argument_then_the_variable_then_the_site(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SONDE_BUS", raising=False)
    monkeypatch.setenv("SONDE_SITE", str(tmp_path / "site.json"))
    settings = SidecarSettings()
    assert settings.bus_url() is None
    local.write(local.Site(url="http://x", bus="mqtt://site", token="t", pid=1))
    found = settings.bus_url()
    assert found is not None and found.host == "site"
    monkeypatch.setenv("SONDE_BUS", "mqtt://variable")
    found = settings.bus_url()
    assert found is not None and found.host == "variable"
    found = SidecarSettings(bus="mqtt://argument").bus_url()
    assert found is not None and found.host == "argument"
    with pytest.raises(InvalidSettings, match="unknown scheme"):
        SidecarSettings(bus="http://x")


def test_a_token_is_made_once_for_this_user_only(tmp_path: Path) -> None:
    file = tmp_path / "token"
    made = read_or_make_token(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_or_make_token(file) == made
    file.write_text("short")
    with pytest.raises(InvalidSettings, match="shorter"):
        read_or_make_token(file)
    with pytest.raises(InvalidSettings, match="cannot be used"):
        read_or_make_token(tmp_path / "missing" / "token")


def test_the_private_directory_is_private() -> None:
    with private_directory() as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()
