"""Which code a place means: pure, over code that is compiled here."""

import textwrap
from pathlib import Path
from types import CodeType

import pytest

from sonde_agent.tap import sources
from sonde_agent.tap.probes import finding
from sonde_agent.tap.probes.finding import Files, Found, of_function, of_line
from sonde_agent.tap.probes.specification import FunctionPlace, LinePlace

SOURCE = """
def plain(a):
    b = a

    # a comment
    return b

class Order:
    kind = "order"

    @property
    def total(self):
        return [each for each in self.items]

def outer():
    def inner():
        return 1
    return inner

async def served():
    return await plain(
        1
    )

key = lambda order: order.total
def short(): return 1
"""


def compiled(name: str = "/app/shop/worker.py", source: str = SOURCE) -> CodeType:
    return compile(textwrap.dedent(source), name, "exec")


def found(line: int, path: str = "shop/worker.py", *codes: CodeType) -> Found:
    place = LinePlace(path, line)
    return of_line(place, Files(path), [(code, "worker") for code in codes or (compiled(),)])


def where(found: Found) -> list[tuple[str, int]]:
    return sorted((spot.code.co_qualname, spot.line) for spot in found.spots)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (3, [("plain", 3)]),
        (4, [("plain", 6)]),  # a blank line
        (2, [("plain", 3)]),  # the line of `def` is its making
        (9, [("Order", 9)]),
        (11, [("Order.total", 13)]),  # a decorator
        (13, [("Order.total", 13)]),  # and not the comprehension in it
        (17, [("outer.<locals>.inner", 17)]),
        (21, [("served", 21)]),
        (25, [("<lambda>", 25)]),  # the function goes before the module
        (26, [("short", 26)]),
    ],
)
def test_a_line_means_the_function_that_has_it(line: int, expected: list[tuple[str, int]]) -> None:
    assert where(found(line)) == expected


def test_after_the_last_line_there_is_nothing() -> None:
    assert found(100).problem == "shop/worker.py has no code at line 100 or after it"


@pytest.mark.parametrize("path", ["worker.py", "shop/worker.py", "./shop/worker.py", "/app/shop/worker.py"])
def test_the_end_of_a_path_means_the_file(path: str) -> None:
    assert where(found(3, path)) == [("plain", 3)]


@pytest.mark.parametrize("path", ["orker.py", "p/worker.py", "other/worker.py", "/shop/worker.py"])
def test_parts_of_names_do_not(path: str) -> None:
    assert found(3, path) == Found()


def test_several_files_that_end_alike_are_listed() -> None:
    both = found(3, "worker.py", compiled("/app/shop/worker.py"), compiled("/app/mail/worker.py"))
    assert both.is_ambiguous
    assert both.spots == ()
    assert both.problem == (
        "worker.py is the end of several paths: /app/mail/worker.py, /app/shop/worker.py; give more of the one that "
        "is meant"
    )


def test_one_file_by_two_names_is_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    codes = [compiled(str(tmp_path / name / "worker.py")) for name in ("real", "link")]
    assert len(found(3, "worker.py", *codes).spots) == 2
    assert len(found(3, str(tmp_path / "link" / "worker.py"), *codes).spots) == 2


def test_the_agent_s_own_code_has_no_probes() -> None:
    own = str(Path(sources.OURS) / "link.py")
    assert found(3, "link.py", compiled(own)) == Found()


def test_a_module_that_was_loaded_twice_has_two_codes() -> None:
    assert len(found(3, "worker.py", compiled(), compiled()).spots) == 2


@pytest.mark.parametrize("name", ["plain", "Order.total", "outer.<locals>.inner", "served"])
def test_a_function_is_found_by_its_qualified_name(name: str) -> None:
    codes = [(compiled(), "worker"), (compiled("/other.py"), "other")]
    (spot,) = of_function(FunctionPlace("worker", name), codes).spots
    assert spot.code.co_qualname == name
    assert spot.line == spot.code.co_firstlineno
    assert spot.code.co_filename == "/app/shop/worker.py"


def test_functions_of_other_modules_are_not_meant() -> None:
    assert of_function(FunctionPlace("shop", "plain"), [(compiled(), "worker")]) == Found()


def test_what_lives_is_there_with_its_module() -> None:
    codes = list(finding.living())
    assert (test_what_lives_is_there_with_its_module.__code__, __name__) in codes
    assert len({id(code) for code, _ in codes}) == len(codes)
