"""What a bus refuses to be started with."""

import pytest

from sonde_broker.bus import Account, BusSettings, InvalidSettings

ACCOUNT = Account(user="agent", password="p/w @:é", publish=("a/#",), subscribe=("a/#",))


def test_a_bus_that_others_can_reach_needs_accounts() -> None:
    with pytest.raises(InvalidSettings, match=r"needs accounts; give some, or listen on 127\.0\.0\.1"):
        BusSettings(host="0.0.0.0")  # noqa: S104
    BusSettings(host="0.0.0.0", accounts=(ACCOUNT,))  # noqa: S104


@pytest.mark.parametrize("host", ["localhost", "", "example.org"])
def test_a_host_is_an_address(host: str) -> None:
    with pytest.raises(InvalidSettings, match="IP address"):
        BusSettings(host=host)


def test_two_accounts_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidSettings, match="same user name"):
        BusSettings(accounts=(ACCOUNT, ACCOUNT))


@pytest.mark.parametrize("user", ["", "a b", "a:b", "a\nb", "+", "#", "x" * 65])
def test_a_user_name_fits_every_engine(user: str) -> None:
    with pytest.raises(InvalidSettings):
        Account(user=user, password="p")


@pytest.mark.parametrize("pattern", ["", "a#", "a/#/b", "a\nuser broker"])
def test_a_pattern_is_a_filter_on_one_line(pattern: str) -> None:
    with pytest.raises(InvalidSettings, match="account a"):
        Account(user="a", password="p", publish=(pattern,))


def test_an_account_without_a_password_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="no password"):
        Account(user="a", password="")


def test_a_password_shows_in_urls_only() -> None:
    settings = BusSettings(accounts=(ACCOUNT,))
    assert "p/w" not in repr(settings)
    assert settings.url(1883, "agent") == "mqtt://agent:p%2Fw%20%40%3A%C3%A9@127.0.0.1:1883"
    with pytest.raises(InvalidSettings, match="no account"):
        settings.url(1883, "other")


def test_a_url_leads_to_where_the_bus_can_be_reached() -> None:
    assert BusSettings().url(1) == "mqtt://127.0.0.1:1"
    assert BusSettings(host="::1").url(1) == "mqtt://[::1]:1"
    assert BusSettings(host="0.0.0.0", accounts=(ACCOUNT,)).url(1).endswith("@127.0.0.1:1")  # noqa: S104
