"""Half characters in JSON, which must cost neither the message nor the line."""

import json

import pytest

from sonde_agent.sidecar import surrogates
from sonde_agent.sidecar.dap import channel


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("caf\udce9", "caf\ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud800\ud83d\ude00", "\ufffd\U0001f600"),
        ("\U0001f600", "\U0001f600"),
        ("C:\\ud800\\n", "C:\\ud800\\n"),
        ("plain", "plain"),
    ],
)
def test_halves_are_replaced_and_everything_else_stays(text: str, expected: str) -> None:
    for encoded in (json.dumps(text), json.dumps(text).replace("\\ud", "\\uD")):
        if "\\\\" in encoded and "uD" in encoded:
            continue  # a backslash and letters, which are not to be changed
        assert json.loads(surrogates.replaced(encoded.encode())) == expected


def test_a_debugger_may_say_half_a_character() -> None:
    event = {"type": "event", "event": "stopped", "seq": 1, "body": {"threadId": 7, "text": "no \udcff here"}}
    assert channel.body_of(channel.read(json.dumps(event).encode()))["text"] == "no \ufffd here"
