"""From what people type to what is asked for."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from sonde_viewer import names
from sonde_viewer.errors import InvalidProbe, UnknownProbe
from sonde_viewer.probes import checking, places, targets, words
from sonde_wire.errors import InvalidAddress
from sonde_wire.probes import (
    Counter,
    FunctionPlace,
    Gauge,
    Kind,
    LinePlace,
    Log,
    ProbeSpec,
    Snapshot,
    Target,
    Timer,
)
from tests.viewer.probing import EVIL, ID, INFO, OTHER, PROBE


@pytest.mark.parametrize(
    ("read", "text", "meant"),
    [
        (words.lifetime, "90", 90.0),
        (words.lifetime, "30m", 1800.0),
        (words.lifetime, "1h30m", 5400.0),
        (words.lifetime, "1d", 86_400.0),
        (words.rate, "5", 5.0),
        (words.rate, "5/s", 5.0),
        (words.rate, "30/m", 0.5),
        (words.share, "10%", 0.1),
        (words.share, "0.25", 0.25),
        (words.share, "100%", 1.0),
        (words.between(0, 10), "10", 10),
        (words.capture_time, "0.05", 0.05),
    ],
)
def test_times_rates_and_shares_are_read_as_people_write_them(
    read: Callable[[str], float], text: str, meant: float
) -> None:
    assert read(text) == meant


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (words.lifetime, ""),
        (words.lifetime, "soon"),
        (words.lifetime, "30m!"),
        (words.lifetime, "0"),
        (words.lifetime, "25h"),
        (words.rate, "0/s"),
        (words.rate, "5/d"),
        (words.rate, "20000/s"),
        (words.share, "0"),
        (words.share, "110%"),
        (words.share, "nan"),
        (words.between(1, 10), "11"),
        (words.between(1, 10), "-1"),
        (words.capture_time, "2"),
        (words.capture_time, "x"),
        (places.place, "worker"),
        (places.place, "shop/worker.py"),
        (places.place, "worker.py:0"),
        (places.place, "worker.py:main"),
        (places.place, "shop.worker:main:middle"),
        (places.place, ":33"),
        (places.place, "a b:main"),
    ],
)
def test_what_is_none_of_them_is_refused(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("shop/worker.py:33", LinePlace(path="shop/worker.py", line=33)),
        ("./shop/worker.py:33", LinePlace(path="shop/worker.py", line=33)),
        ("/app/shop/worker.py:33", LinePlace(path="/app/shop/worker.py", line=33)),
        ("shop.worker:main", FunctionPlace(module="shop.worker", function="main")),
        ("worker:Order.total:exit", FunctionPlace(module="worker", function="Order.total", on="exit")),
        ("worker:f.<locals>.g", FunctionPlace(module="worker", function="f.<locals>.g")),
        ("__main__:main:entry", FunctionPlace(module="__main__", function="main")),
    ],
)
def test_a_place_is_a_line_of_a_file_or_a_function_of_a_module(text: str, meant: object) -> None:
    assert places.place(text) == meant


def test_a_file_named_for_a_function_is_told_how_a_function_is_named() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="worker:main"):
        places.place("shop/worker.py:total")


def test_a_path_with_dots_means_the_whole_path_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert places.place("../worker.py:3") == LinePlace(path=str(tmp_path / "worker.py"), line=3)


def test_the_line_is_shown_where_the_file_is_here_too(tmp_path: Path) -> None:
    file = tmp_path / "worker.py"
    file.write_text("def total():\n    return price * count\n")
    assert places.line_here(LinePlace(path=str(file), line=2)) == "return price * count"
    assert places.line_here(LinePlace(path=str(file), line=9)) is None
    assert places.line_here(LinePlace(path=str(tmp_path / "other.py"), line=1)) is None
    assert places.line_here(LinePlace(path=str(tmp_path), line=1)) is None
    assert places.line_here(LinePlace(path="a\0b", line=1)) is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ((), Target()),
        (("service=checkout",), Target(selector="*/checkout/*")),
        (
            ("service=checkout", "namespace=prod", "version=2"),
            Target(selector="prod/checkout/*", labels={"version": "2"}),
        ),
        (("prod/checkout/*",), Target(selector="prod/checkout/*")),
        (("checkout", "version=2"), Target(selector="*/checkout/*", labels={"version": "2"})),
        (("instance=web-*", "instance=web-*"), Target(selector="*/*/web-*")),
    ],
)
def test_a_target_is_levels_labels_or_a_selector(said: tuple[str, ...], meant: Target) -> None:
    assert targets.target(said, None) == meant


@pytest.mark.parametrize(
    "said",
    [
        ("service=",),
        ("=checkout",),
        ("service=a", "service=b"),
        ("version=1", "version=2"),
        ("prod/a/*", "service=a"),
        ("a", "b"),
    ],
)
def test_a_target_that_nobody_can_be_is_refused(said: tuple[str, ...]) -> None:
    with pytest.raises(InvalidProbe):
        targets.target(said, None)


def test_a_target_of_no_legal_name_is_refused() -> None:
    with pytest.raises(InvalidAddress):
        targets.target(("service=Check Out",), None)


def test_a_target_says_itself_in_a_few_words() -> None:
    target = Target(selector="*/shop/*", labels={"version": "2"}, canaries=3)
    assert targets.shown(target) == "*/shop/* version=2, 3 of them"


def said_of(kind: Kind, *, condition: str | None = None, python: bool = False) -> str:
    with pytest.raises(InvalidProbe) as caught:
        checking.check(ProbeSpec(kind=kind, condition=condition, python=python))
    return str(caught.value)


def test_a_mistake_in_an_expression_is_marked_where_it_is() -> None:
    said = said_of(Snapshot(), condition="total > 3 and open('x')")
    assert said.startswith("the condition: ")
    shown, marks = said.splitlines()[1:3]
    assert shown == "  total > 3 and open('x')"
    assert marks.index("^") >= shown.index("open")
    assert "--python" in said


@pytest.mark.parametrize(
    "kind",
    [
        Snapshot(expressions=("fine", "import os")),
        Counter(expression="a b"),
        Gauge(expression="x :="),
        Log(template="n={n"),
    ],
)
def test_every_expression_of_a_kind_is_checked(kind: Kind) -> None:
    assert "^" in said_of(kind)


def test_what_is_right_passes() -> None:
    for kind in (Snapshot(expressions=("a.b",)), Counter(), Timer(), Log(template="n={n:>3} {{")):
        checking.check(ProbeSpec(kind=kind, condition="x in (1, 2)"))
    checking.check(ProbeSpec(kind=Snapshot(), condition="[y for y in x]", python=True))


def test_python_is_read_as_python() -> None:
    said = said_of(Snapshot(), condition="total >", python=True)
    assert "no Python" in said
    assert "--python" not in said
    shown, marks = said_of(Snapshot(expressions=("  [a,\n b c]",)), python=True).splitlines()[1:3]
    assert shown[marks.index("^")] == "b"
    assert "no Python" in said_of(Snapshot(), condition="a\0b", python=True)
    shown, marks = said_of(Log(template="n={n} {a b}"), python=True).splitlines()[1:3]
    assert shown[marks.index("^")] == "b"
    checking.check(ProbeSpec(kind=Log(template="n={[x for x in n]!r}"), condition=" 1 is 1 ", python=True))


def test_a_mark_is_seen_below_a_long_line_and_steers_no_terminal() -> None:
    said = said_of(Snapshot(), condition="a + " * 200 + "$")
    shown, marks = said.splitlines()[1:3]
    assert len(shown) < 110
    assert shown[marks.index("^")] == "$"
    assert "\x1b" not in said_of(Snapshot(), condition=f"a + {EVIL}")


def test_a_probe_is_named_by_its_id_the_beginning_of_it_or_its_name() -> None:
    live = replace(INFO, probe=replace(PROBE, spec=ProbeSpec(kind=Timer(), name="slow")))
    gone = replace(INFO, probe=replace(PROBE, id=OTHER), state="removed")
    known = [live, gone]
    assert names.probe(ID, known) is live
    assert names.probe("abc", known) is live
    assert names.probe("slow", known) is live
    assert names.probe("zyx", known) is gone
    with pytest.raises(UnknownProbe, match="probes ls"):
        names.probe("nothing", known)
    with pytest.raises(UnknownProbe, match="in full"):
        names.probe("abc", [INFO, live])
