import pytest

from sonde_viewer import names, target
from sonde_viewer.errors import AmbiguousProcess, InvalidTarget, UnknownProcess
from sonde_wire.local import Site
from tests.viewer.fake_broker import presence

FLEET = [
    presence("default/shop/shop-1"),
    presence("default/shop/shop-2"),
    presence("default/worker/vm-77"),
    presence("prod/shop-admin/vm-78"),
]
SITE = Site(url="http://127.0.0.1:8080", bus="mqtt://127.0.0.1:1883", token="site's", pid=1)


@pytest.mark.parametrize(
    ("text", "process"),
    [
        ("default/shop/shop-1", "default/shop/shop-1"),
        ("shop-2", "default/shop/shop-2"),
        ("shop/shop-2", "default/shop/shop-2"),
        ("worker", "default/worker/vm-77"),
        ("work", "default/worker/vm-77"),
        ("default/worker", "default/worker/vm-77"),
        ("prod/", "prod/shop-admin/vm-78"),
        ("shop-a", "prod/shop-admin/vm-78"),
        ("vm-78", "prod/shop-admin/vm-78"),
    ],
)
def test_a_short_name_finds_its_process(text: str, process: str) -> None:
    assert names.resolve(text, FLEET).process == process


def test_an_ambiguous_name_lists_who_it_could_be() -> None:
    with pytest.raises(AmbiguousProcess) as caught:
        names.resolve("shop", FLEET)
    assert caught.value.candidates == ("default/shop/shop-1", "default/shop/shop-2")
    assert "default/shop/shop-1, default/shop/shop-2" in str(caught.value)


def test_a_process_that_is_online_goes_before_one_that_ended() -> None:
    fleet = [presence("default/shop/old", state="ended"), presence("default/shop/new")]
    assert names.resolve("shop", fleet).process == "default/shop/new"


@pytest.mark.parametrize("text", ["nobody", "", "default"])
def test_an_unknown_name_says_who_is_there(text: str) -> None:
    with pytest.raises((UnknownProcess, AmbiguousProcess), match="default/worker/vm-77"):
        names.resolve(text, FLEET)


def test_without_anything_the_site_of_this_user_is_meant() -> None:
    found = target.find(None, None, environment={}, site=SITE)
    assert found.websocket == "ws://127.0.0.1:8080/ws"
    assert found.link == "http://127.0.0.1:8080/#token=site's"
    assert found.local


def test_options_go_before_the_environment_and_that_before_the_site() -> None:
    environment = {"SONDE_URL": "https://sonde.example.com", "SONDE_TOKEN": "environment's"}
    found = target.find(None, None, environment=environment, site=SITE)
    assert (found.websocket, found.token) == ("wss://sonde.example.com/ws", "environment's")
    found = target.find("ws://other:81/sub/ws", "mine", environment=environment, site=SITE)
    assert (found.websocket, found.token) == ("ws://other:81/sub/ws", "mine")
    assert not found.local


def test_the_token_of_the_site_is_never_shown_to_another_broker() -> None:
    with pytest.raises(InvalidTarget, match="no token for"):
        target.find("http://elsewhere:8080", None, environment={}, site=SITE)
    found = target.find("ws://127.0.0.1:8080/ws", None, environment={}, site=SITE)
    assert found.token == "site's"


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:99999", ""])
def test_what_is_not_an_address_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(InvalidTarget, match="sonde up"):
        target.find(url, "t", environment={}, site=None)


def test_without_a_site_the_error_says_how_to_start_one() -> None:
    with pytest.raises(InvalidTarget, match="sonde up"):
        target.find(None, None, environment={}, site=None)
