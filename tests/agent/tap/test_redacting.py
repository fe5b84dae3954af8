"""What the tap hides: as it is told at its start, and no less than its sidecar."""

import sys
from collections.abc import Iterator

import pytest

from sonde_agent import link
from sonde_agent.tap import diagnosis, identity, redacting, runtime


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    yield
    redacting.configure({})


def welcome(mode: str, *hidden: str) -> link.Welcome:
    return link.Welcome(version=link.VERSION, process="a/b/c", redaction=mode, redact_names=list(hidden))


def test_what_a_process_says_of_itself_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "app.py", "--token", "hunter2"])
    redacting.configure({"SONDE_REDACT_NAMES": "Ward, Birth-Day"})
    who = identity.resolve(service="x", namespace=None, instance=None, labels=None, environment={})
    hello = who.hello("a token of the link")
    assert hello.argv == ["python", "app.py", "--token", "***"]
    assert (hello.redaction, hello.redact_names, hello.show_names) == ("standard", ["birthday", "ward"], [])


def test_the_environment_says_what_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    seen = {}
    for mode in ("off", "standard", "strict"):
        redacting.configure({"SONDE_REDACTION": mode})
        read = runtime.read()
        assert read["flags"]["redaction"] == mode
        found = next(
            each for each in diagnosis.read(None, None, None)["findings"] if each["check"] == "redaction"
        )
        seen[mode] = (read["environment"]["SHOP_PASSWORD"], found["level"])
    assert seen == {"off": ("hunter2", "note"), "standard": ("***", "fine"), "strict": ("***", "fine")}


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="use strict, standard or off"):
        redacting.configure({"SONDE_REDACTION": "no"})


def test_a_sidecar_can_hide_more_and_not_less_and_the_next_one_begins_anew() -> None:
    redacting.configure({"SONDE_REDACTION": "standard", "SONDE_SHOW_NAMES": "pin"})
    redacting.agree(welcome("strict", "ward"))
    assert redacting.current().mode == "strict"
    assert redacting.current().hides_name("ward") and redacting.current().hides_name("pin")
    assert redacting.own().mode == "standard"
    redacting.agree(welcome("off"))
    assert redacting.current().mode == "standard" and not redacting.current().hides_name("ward")
    redacting.agree(welcome(""))
    assert redacting.current().mode == "standard"
