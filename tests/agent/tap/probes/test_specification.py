"""What a probe is to do, as the link brings it."""

from typing import Any

import pytest
from msgspec import convert, to_builtins

from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.probes.specification import FunctionPlace, LinePlace, read
from sonde_wire import probes

LINE = {"type": "line", "path": "shop/worker.py", "line": 33}
KINDS: list[dict[str, Any]] = [
    {"type": "snapshot", "expressions": ["a"]},
    {"type": "log", "template": "n={n}"},
    {"type": "counter"},
    {"type": "gauge", "expression": "n"},
    {"type": "histogram", "expression": "n"},
    {"type": "timer", "until": 40},
    {"type": "exception", "types": ["ValueError"]},
    {"type": "watch", "expression": "n"},
]


def spec(**fields: Any) -> dict[str, Any]:
    return {"id": "a" * 10, "left": 60.0, "spec": {"kind": {"type": "snapshot"}, "place": LINE, **fields}}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind["type"]))
def test_limits_and_titles_are_those_of_the_wire(kind: dict[str, Any]) -> None:
    wire = convert({"kind": kind, "place": LINE}, probes.ProbeSpec)
    found, left = read({"id": "a" * 10, "left": 60.0, "spec": to_builtins(wire)})
    assert left == 60.0
    assert found.max_hits == probes.most_hits(wire)
    assert found.rate == probes.hits_per_second(wire)
    assert found.title == probes.title(wire)


def test_what_was_asked_for_goes_before_what_is_usual() -> None:
    found, _ = read(spec(max_hits=5, rate=0.5, burst=2, sample=0.1))
    assert (found.max_hits, found.rate, found.burst, found.sample) == (5, 0.5, 2, 0.1)


def test_a_place_is_a_line_or_a_function() -> None:
    assert read(spec())[0].place == LinePlace("shop/worker.py", 33)
    place = {"type": "function", "module": "shop", "function": "Order.total", "on": "exit"}
    assert read(spec(place=place))[0].place == FunctionPlace("shop", "Order.total", "exit")


def test_the_names_of_limits_are_the_representer_s() -> None:
    found, _ = read(spec(capture={"size": 1000, "depth": 1, "seconds": 0.01}))
    assert found.capture == {"bytes": 1000, "depth": 1, "seconds": 0.01}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": {"type": "rewind"}}, "no probes of the kind 'rewind'"),
        ({"colour": "red"}, "does not know colour of a probe"),
        ({"kind": {"type": "snapshot", "depth": 3}}, "does not know depth of a snapshot"),
        ({"kind": {"type": "gauge"}}, "a gauge needs its expression"),
        ({"place": None}, "a snapshot needs a place"),
        ({"place": {"type": "line", "path": "a.py", "line": 0}}, "line must be a number from 1"),
        ({"place": {"type": "moon"}}, "a line or a function"),
        ({"condition": 5}, "condition must be a text"),
        ({"python": 1}, "python must be true or false"),
        ({"rate": "often"}, "rate must be a number"),
        (
            {
                "kind": {"type": "timer"},
                "place": {"type": "function", "module": "m", "function": "f", "on": "exit"},
            },
            "a timer begins at a line or at a function's entry",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_a_sentence(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(CallRefused) as refused:
        read(spec(**fields))
    assert said in refused.value.message
    assert (refused.value.code, refused.value.reason) == ("invalid_argument", "invalid_params")
