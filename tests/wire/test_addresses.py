"""Names of processes and the selectors over them."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_wire.addresses import Address, ProcessName, Selector, SelectorText, to_level
from sonde_wire.errors import InvalidAddress

levels = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", fullmatch=True)
globs = st.one_of(levels, st.from_regex(r"[a-z0-9._-]{0,62}\*", fullmatch=True))
addresses = st.builds(Address, levels, levels, levels)
selectors = st.builds(Selector, globs, globs, globs)

_PROCESS_NAME = re.compile(get_args(ProcessName)[1].pattern)
_SELECTOR_TEXT = re.compile(get_args(SelectorText)[1].pattern)


@given(addresses)
def test_an_address_is_read_back_from_its_text(address: Address) -> None:
    assert Address.parse(str(address)) == address
    assert _PROCESS_NAME.search(str(address))


@given(selectors)
def test_a_selector_is_read_back_from_its_text(selector: Selector) -> None:
    assert Selector.parse(str(selector)) == selector
    assert _SELECTOR_TEXT.search(str(selector))


@given(addresses)
def test_a_selector_that_is_an_address_matches_that_address_alone(address: Address) -> None:
    selector = Selector(address.namespace, address.service, address.instance)
    assert selector.matches(address)
    another = "1" if address.instance == "0" else "0"
    assert not selector.matches(Address(address.namespace, address.service, another))


@given(addresses)
def test_the_selector_of_stars_matches_every_address(address: Address) -> None:
    assert Selector().matches(address)


@given(addresses, st.integers(0, 62))
def test_a_prefix_with_a_star_matches_what_begins_with_it(address: Address, length: int) -> None:
    assert Selector(service=address.service[:length] + "*").matches(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop",
        "prod/shop",
        "prod/shop/1/2",
        "prod//1",
        "Prod/shop/1",
        "prod/shop/-1",
        "prod/shop/1-",
        "prod/shop/+",
        "prod/shop/#",
        "prod/shop/*",
        "prod/shop/a b",
        "prod/shop/größe",
        "prod/shop/" + "a" * 64,
        "prod/shop/1\n",
        "prod/shop/1\0",
    ],
)
def test_what_is_not_three_legal_levels_is_not_an_address(text: str) -> None:
    with pytest.raises(InvalidAddress) as refusal:
        Address.parse(text)
    assert "namespace/service/instance" in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["", "*x", "a*b", "**", "a/b/c/d", "prod/sh?p", "prod/[a]", "+", "#", "shop\n"]
)
def test_a_selector_has_no_wildcard_but_a_star_at_the_end_of_a_level(text: str) -> None:
    with pytest.raises(InvalidAddress):
        Selector.parse(text)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("*", "*/*/*"),
        ("shop", "*/shop/*"),
        ("prod/shop", "prod/shop/*"),
        ("prod/sh*/web-*", "prod/sh*/web-*"),
    ],
)
def test_a_short_selector_names_the_service(text: str, whole: str) -> None:
    assert str(Selector.parse(text)) == whole


def test_a_message_about_a_long_bad_name_stays_short() -> None:
    assert len(str(InvalidAddress("x" * 10_000))) < 300


@given(st.text())
def test_any_text_has_a_nearest_legal_level(text: str) -> None:
    level = to_level(text)
    assert str(Address("a", "b", level)) == f"a/b/{level}"


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Node_3.local", "node_3.local"),
        ("/srv/shop/main.py", "srv-shop-main.py"),
        ("---", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_a_level_keeps_what_can_be_kept(text: str, level: str) -> None:
    assert to_level(text) == level
