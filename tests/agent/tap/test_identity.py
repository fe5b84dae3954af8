"""Who a process says it is."""

import os
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError, convert

from sonde_agent.tap import identity
from sonde_agent.tap.errors import InvalidIdentity
from sonde_wire import addresses
from sonde_wire.bus import BootId


def resolve(environment: dict[str, str] | None = None, **given: object) -> identity.Identity:
    arguments = {"service": None, "namespace": None, "instance": None, "labels": None, **given}
    return identity.resolve(**arguments, environment=environment or {})  # type: ignore[arg-type] # the defaults above are all None


def test_arguments_win_over_the_environment_and_that_over_guesses() -> None:
    environment = {"SONDE_SERVICE": "of-env", "SONDE_NAMESPACE": "prod", "SONDE_LABELS": "a=1, b=2=3"}
    named = resolve(environment, service="mine")
    assert (named.namespace, named.service, named.instance) == ("prod", "mine", "")
    assert named.labels == {"a": "1", "b": "2=3"}
    assert resolve(environment, labels={"c": "4"}).labels == {"c": "4"}
    assert resolve(environment).service == "of-env"
    assert resolve().namespace == "default"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"service": "Bad Name!"}, "the service"),
        ({"service": "x" * 64}, "the service"),
        ({"namespace": "a/b"}, "the namespace"),
        ({"instance": "-"}, "the instance"),
        ({"labels": {"Not This": "x"}}, "name of a label"),
        ({"labels": {"x": "y" * 300}}, "label x"),
        ({"environment": {"SONDE_LABELS": "nothing"}}, "key=value"),
    ],
)
def test_a_bad_name_is_refused_and_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidIdentity, match=named) as refused:
        resolve(**given)  # type: ignore[arg-type] # a mapping of its arguments
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("python app.py", "app"),
        ("python /srv/Check Out.py --port 1", "check-out"),
        ("python -m shop.worker", "shop.worker"),
        ("python -mshop", "shop"),
        ("python -um shop.__main__ x", "shop"),
        ("python -X dev -W error app.py", "app"),
        ("python -Xdev -Werror --check-hash-based-pycs never app.py", "app"),
        ("python /srv/shop/__main__.py", "shop"),
        ("python -c pass", "python"),
        ("python -", "python"),
        ("python", "python"),
        ("python /usr/bin/gunicorn shop:app", "gunicorn"),
    ],
)
def test_a_service_is_guessed_from_the_command(command: str, service: str) -> None:
    words = command.replace("Check Out", "Check\0Out").split()
    assert identity.guess_service([word.replace("\0", " ") for word in words]) == service


@given(st.text())
def test_levels_are_made_as_the_wire_makes_them(text: str) -> None:
    assert identity.to_level(text, "unnamed") == addresses.to_level(text)


@given(st.text(alphabet="aZ0._-/ é\n", max_size=66))
def test_levels_are_legal_where_the_wire_finds_them_legal(text: str) -> None:
    try:
        addresses.Address(text, "a", "a")
        legal = not text.endswith("\n")
    except ValueError:
        legal = False
    try:
        identity.checked_level("service", text)
        assert legal
    except InvalidIdentity:
        assert not legal


def test_each_boot_is_another() -> None:
    first, second = resolve().boot, resolve().boot
    assert first != second
    convert(first, BootId)
    with pytest.raises(ValidationError):
        convert("x", BootId)


def test_the_start_is_that_of_the_process() -> None:
    started = identity.process_started()
    age = time.time() - started
    assert 0 <= age < 24 * 3600
    assert started == identity.process_started()


def test_a_hello_tells_what_the_process_is() -> None:
    hello = resolve(service="checkout").hello("token")
    assert hello.token == "token"
    assert (hello.pid, hello.parent_pid) == (os.getpid(), os.getppid())
    assert hello.argv == sys.orig_argv
    assert hello.python == ".".join(map(str, sys.version_info[:3]))
    assert hello.directory == os.getcwd()  # noqa: PTH109 - as the tap says it


@pytest.mark.parametrize("text", ["plain", "ümlaut", "lone \udcff byte"])
def test_text_becomes_such_that_it_can_be_encoded(text: str) -> None:
    assert identity.plain(text).encode()
