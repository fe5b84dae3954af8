"""How a bus is named, and that its password is never shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_wire.errors import WireError
from sonde_wire.mqtt import PASSWORD_FILE_VARIABLE, BusLost, BusUrl, InvalidBusUrl, Server


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mqtt://bus", BusUrl("bus", 1883)),
        ("mqtts://bus", BusUrl("bus", 8883, tls=True)),
        ("mqtt://127.0.0.1:18830", BusUrl("127.0.0.1", 18830)),
        ("mqtt://[::1]:1884", BusUrl("::1", 1884)),
        ("mqtt://agent@bus", BusUrl("bus", 1883, user="agent")),
        ("mqtt://agent:p%40ss%2Fw%3Ard@bus:1", BusUrl("bus", 1, user="agent", password="p@ss/w:rd")),
        ("MQTT://Bus.Example/", BusUrl("bus.example", 1883)),
        ("mqtt://one,two:1884", BusUrl("one", 1883, further=(Server("two", 1884),))),
        (
            "mqtts://broker:a%2Cb%40c@one:1,[::1]:2,three",
            BusUrl(
                "one",
                1,
                tls=True,
                user="broker",
                password="a,b@c",
                further=(Server("::1", 2), Server("three", 8883)),
            ),
        ),
    ],
)
def test_a_bus_url_is_read(text: str, url: BusUrl) -> None:
    assert BusUrl.parse(text) == url


@pytest.mark.parametrize(
    "text",
    [
        *("", "bus", "bus:1883", "http://bus", "mqtt://", "mqtt://:1883", "mqtt://bus:x", "mqtt://bus:70000"),
        *("mqtt://one,", "mqtt://,two", "mqtt://one,two:x", "mqtt://one,[::1"),
    ],
)
def test_what_is_not_a_bus_url_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidBusUrl) as refusal:
        BusUrl.parse(text)
    assert "mqtt://user:password@host:1883" in str(refusal.value)


@given(st.text())
def test_any_text_is_a_bus_url_or_is_refused(text: str) -> None:
    try:
        url = BusUrl.parse("mqtt://" + text)
    except InvalidBusUrl:
        return
    assert all(0 < each.port < 65536 and each.host for each in url.servers)


@pytest.mark.parametrize(
    "text", ["mqtt://agent:hunter2@bus:x", "ftp://agent:hunter2@bus", "mqtt://agent:hunter2@"]
)
def test_a_refusal_does_not_show_the_password(text: str) -> None:
    with pytest.raises(InvalidBusUrl) as refusal:
        BusUrl.parse(text)
    assert "hunter2" not in str(refusal.value)


def test_the_server_is_shown_without_user_and_password() -> None:
    url = BusUrl.parse("mqtt://agent:hunter2@bus:1884")
    assert url.server == "bus:1884"
    assert BusUrl.parse("mqtt://agent:hunter2@bus:1884,other").server == "bus:1884,other:1883"
    assert "hunter2" not in str(BusLost(url.server, "connection refused"))


def test_errors_of_the_bus_are_errors_of_the_wire() -> None:
    assert issubclass(InvalidBusUrl, WireError)
    assert issubclass(BusLost, WireError)


def test_a_password_can_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    monkeypatch.setenv(PASSWORD_FILE_VARIABLE, str(tmp_path / "password"))
    assert BusUrl.parse("mqtt://agent@bus").password == "hunter2"
    assert BusUrl.parse("mqtt://agent:own@bus").password == "own"
    assert BusUrl.parse("mqtt://bus").password is None


def test_a_password_file_that_is_not_there_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_FILE_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(InvalidBusUrl) as refusal:
        BusUrl.parse("mqtt://agent@bus")
    assert "absent" in str(refusal.value)
