"""Who a process says it is."""

import os
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError, convert

from sonde_agent.records import changed
from sonde_agent.tap import children, identity
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
    assert resolve().namespace == ""  # the sidecar's


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


def parent_of(process: identity.Identity, pid: int = 1) -> children.Parent:
    return changed(process.as_parent("unix:/s", "/t"), pid=pid)


def test_a_child_has_its_parents_service_and_a_number_behind_its_instance() -> None:
    first = resolve(service="shop", instance="one")
    child = resolve({"SONDE_INSTANCE": "one"}, parent=parent_of(first))
    assert (child.service, child.full_instance) == ("shop", f"one-{os.getpid()}")
    assert (child.parent_boot, child.boot == first.boot) == (first.boot, False)
    grandchild = resolve({"SONDE_INSTANCE": "one"}, parent=parent_of(child))
    assert grandchild.full_instance == f"one-{os.getpid()}"
    assert grandchild.parent_boot == child.boot


def test_a_child_with_names_of_its_own_keeps_them() -> None:
    parent = parent_of(resolve(service="shop", instance="one"))
    assert resolve(service="other", instance="one", parent=parent).full_instance == "one"
    assert resolve(instance="two", parent=parent).full_instance == "two"
    assert resolve(parent=parent).full_instance == ""


def test_a_long_instance_keeps_room_for_the_number() -> None:
    parent = parent_of(resolve(service="shop", instance="x" * 63))
    child = resolve(service="shop", instance="x" * 63, parent=parent)
    assert identity.checked_level("instance", child.full_instance).endswith(f"-{os.getpid()}")


def test_a_process_that_became_another_program_is_not_its_own_child() -> None:
    grandparent = parent_of(resolve(service="shop"))
    for before in (resolve(service="shop", instance="one"), resolve(service="shop", parent=grandparent)):
        after = resolve(service="shop", instance=before.instance, parent=parent_of(before, os.getpid()))
        assert (after.parent_boot, after.full_instance) == (before.parent_boot, before.full_instance)
        assert after.boot != before.boot


@pytest.mark.parametrize(
    ("known", "lives", "is_parent"),
    [(True, False, True), (False, True, False), (None, True, True), (None, False, False)],
)
def test_a_forked_child_is_the_child_of_who_is_known(
    known: bool | None, lives: bool, is_parent: bool
) -> None:
    first = parent_of(resolve(service="shop", instance="one"))
    made = resolve(service="shop", instance="one", parent=first)
    process = changed(made, pid=os.getppid() if lives else 2**22 + 1)
    child = process.forked(known).known()
    assert child.boot not in {process.boot, first.boot}
    assert child.full_instance == f"one-{os.getpid()}"
    assert child.parent_boot == (process.boot if is_parent else first.boot)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"boot": 1, "pid": 2}', '{"pid": 2}', '{"boot": "x", "pid": true}']
)
def test_a_parent_that_somebody_else_has_written_is_none(text: str) -> None:
    assert children.read({children.VARIABLE: text}) is None


def test_a_parent_is_read_as_it_was_told() -> None:
    environment: dict[str, str] = {}
    parent = parent_of(resolve(service="shop"))
    children.tell_again(parent, environment)
    assert environment == {}
    children.tell(parent, environment)
    assert children.read(environment) == parent


def test_a_program_of_our_own_is_not_injected() -> None:
    environment = {children.VARIABLE: "x", children.INJECTION: "y", "A": "b"}
    ours = {**environment, "PYTHONPATH": os.pathsep.join([children.INJECT, "/mine"])}
    assert children.without_injection(ours) == {"A": "b", "PYTHONPATH": "/mine"}
    assert children.without_injection({**environment, "PYTHONPATH": children.INJECT}) == {"A": "b"}


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
