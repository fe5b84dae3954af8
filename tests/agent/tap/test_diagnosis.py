"""Why a breakpoint is not hit, told by the process that does not hit it."""

import hashlib
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from msgspec import convert

from sonde_agent.link import Call, Fault, Result
from sonde_agent.tap import calls, code_lines, diagnosis, identity, runtime
from sonde_wire.looking import Diagnosis
from tests.agent.tap.fakes import fake_sidecar, running

CART = '''\
"""A cart."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence  # for types

RATE = 3  # once


class Cart:
    kind = "x"

    def total(self) -> int:
        """Doc."""
        # a comment
        value = sum(
            [1, 2],
        )

        def tax() -> int:
            return 1  # in tax

        if 0:
            value = 1  # never
        assert value
        return value + tax()  # in total


def hidden():
    return 1  # hidden


del hidden
'''

Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a module of that source, written long ago unless it is told otherwise."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def load(source: str = CART, name: str = "cart", *, old: bool = True) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        if old:
            os.utime(path, (1.6e9, 1.6e9))
        importlib.invalidate_caches()
        assert name not in sys.modules
        loaded.append(name)
        return importlib.import_module(name)

    loaded: list[str] = []
    yield load
    for name in loaded:
        del sys.modules[name]


def line_of(tag: str, source: str = CART) -> int:
    return next(number for number, text in enumerate(source.splitlines(), 1) if text.endswith(f"# {tag}"))


class Found:
    """A diagnosis, by its checks."""

    def __init__(self, path: str | None = None, line: int | None = None, sha256: str | None = None) -> None:
        self.diagnosis = convert(diagnosis.read(path, line, sha256), Diagnosis)
        self._by_check = {each.check: each for each in self.diagnosis.findings}

    def level(self, check: str) -> str:
        return self._by_check[check].level

    def says(self, check: str) -> str:
        return self._by_check[check].message

    def __contains__(self, check: str) -> bool:
        return check in self._by_check


def path_of(module: ModuleType) -> str:
    assert module.__file__ is not None
    return module.__file__


def test_a_line_of_a_function_is_fine(load: Load) -> None:
    found = Found(path_of(load()), line_of("in total"))
    assert (found.level("file.loaded"), found.level("file.changed")) == ("fine", "fine")
    assert found.level("line.code") == "fine"
    assert "in Cart.total" in found.says("line.code")
    assert line_of("in tax") in found.diagnosis.lines


def test_a_line_of_a_function_inside_a_function_is_fine(load: Load) -> None:
    found = Found(path_of(load()), line_of("in tax"))
    assert found.level("line.code") == "fine"
    assert "Cart.total.<locals>.tax" in found.says("line.code")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (line_of("a comment"), "has no code"),
        (line_of("once"), "ran once, when the module was imported"),
        (line_of("in tax") - 1 + 100, "lines only"),
        (line_of("for types"), "TYPE_CHECKING"),
        (line_of("never"), "can never run"),
        (CART.splitlines().index('    kind = "x"') + 1, "ran once"),
    ],
)
def test_a_line_that_cannot_be_hit_says_why_and_where_it_could(load: Load, line: int, why: str) -> None:
    found = Found(path_of(load()), line)
    assert found.level("line.code") == "problem"
    assert why in found.says("line.code")
    assert found.diagnosis.lines
    assert ": use " in found.says("line.code")


def test_a_function_that_is_gone_is_told_from_one_that_is_not(load: Load) -> None:
    found = Found(path_of(load()), line_of("hidden"))
    assert found.level("line.code") == "note"
    assert "hidden, which does not exist now" in found.says("line.code")


def test_without_bytecode_the_functions_alone_are_known(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = path_of(load())
    assert Found(path, line_of("in total")).level("line.code") == "fine"
    once = Found(path, line_of("once"))
    assert once.level("line.code") == "problem"
    assert "in no function" in once.says("line.code")
    docstring = Found(path, CART.splitlines().index('        """Doc."""') + 1)
    assert "has no code" in docstring.says("line.code")


def test_the_same_content_is_told_from_another(load: Load) -> None:
    path = path_of(load())
    same = hashlib.sha256(CART.encode()).hexdigest()
    assert Found(path, None, same).level("file.content") == "fine"
    assert Found(path, None, "0" * 64).level("file.content") == "problem"
    assert "file.content" not in Found(path)


def test_a_file_that_changed_since_it_was_imported_is_found_by_its_time(load: Load) -> None:
    path = path_of(load())
    Path(path).write_text(CART + "\nMORE = 1\n")
    later = time.time() + 10
    os.utime(path, (later, later))
    found = Found(path)
    assert found.level("file.changed") == "problem"
    assert "restart" in found.says("file.changed")


def test_a_file_that_changed_is_found_by_its_functions_whatever_its_time(load: Load) -> None:
    path = path_of(load())
    Path(path).write_text("\n\n\n" + CART)
    os.utime(path, (1.6e9, 1.6e9))
    assert Found(path).level("file.changed") == "problem"


def test_a_file_that_is_newer_than_the_process_may_be_what_was_imported(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "process_started", lambda: time.time() - 1000)
    assert Found(path_of(load(old=False))).level("file.changed") == "note"


def test_code_that_says_it_is_from_elsewhere_is_a_problem(load: Load) -> None:
    module = load("x = 1\n", "moved")
    code = compile("def f():\n    return 1\n", "/build/src/moved.py", "exec")
    exec(code, module.__dict__)  # noqa: S102 - as a build that moves its output leaves it
    found = Found(path_of(module), 2)
    assert found.level("file.code_path") == "problem"
    assert "/build/src/moved.py" in found.says("file.code_path")


@pytest.mark.skipif(not runtime.has_frozen_modules(), reason="this interpreter froze nothing into itself")
def test_a_module_out_of_the_interpreter_itself_is_a_problem() -> None:
    found = Found(os.__file__, 100)
    assert found.level("file.frozen") == "problem"
    assert "line.code" not in found


def test_a_file_that_is_not_loaded_names_one_that_is_alike(load: Load) -> None:
    path = path_of(load())
    found = Found("/somewhere/else/cart.py", 3)
    assert found.level("file.loaded") == "problem"
    assert path in found.says("file.loaded")
    assert "line.code" not in found


def test_a_file_that_stands_there_but_was_not_imported_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "later.py").write_text("x = 1\n")
    found = Found(str(tmp_path / "later.py"), 1)
    assert "has not imported it" in found.says("file.loaded")


@pytest.mark.parametrize("path", ["", "/x\0y.py", "/x\ud800.py", "..", "/", "x\0"])
def test_what_cannot_be_a_path_is_not_loaded(path: str) -> None:
    assert Found(path, 1).level("file.loaded") == "problem"


def test_whether_a_foreign_file_exists_is_not_told() -> None:
    there, absent = Found("/etc/passwd"), Found("/etc/passwd-of-nobody")
    assert there.says("file.loaded").replace("passwd", "X") == absent.says("file.loaded").replace(
        "passwd-of-nobody", "X"
    )


def test_the_end_of_a_path_and_a_link_to_it_are_enough(load: Load, tmp_path: Path) -> None:
    path = path_of(load())
    (tmp_path / "linked").symlink_to(tmp_path)
    assert Found("cart.py").level("file.loaded") == "fine"
    assert Found(f"{tmp_path.name}/cart.py").level("file.loaded") == "fine"
    assert Found(str(tmp_path / "linked" / "cart.py")).says("file.loaded").startswith(path)


def test_asking_runs_nothing_of_the_program(load: Load, recwarn: pytest.WarningsRecorder) -> None:
    """Source that is compiled once more would warn once more."""
    with pytest.warns(Warning):
        path = path_of(load('X = "\\d"\n\n\ndef f():\n    return "\\d"\n', "warns"))
    recwarn.clear()
    assert Found(path, 5).level("line.code") == "fine"
    assert not recwarn.list


def test_debugpy_is_found_without_being_imported(tmp_path: Path) -> None:
    import debugpy  # noqa: T100 - for its version

    program = """
        import sys
        from sonde_agent.tap import diagnosis
        print(diagnosis.debugpy_version(), "debugpy" in sys.modules)
        sys.path[:] = []
        print(diagnosis.read(None, None, None)["findings"][0]["level"])
    """
    with running(tmp_path, program) as started:
        code, out, err = started.end()
    assert (code, err) == (0, "")
    assert out.split("\n")[:2] == [f"{debugpy.__version__} False", "problem"]


def test_whoever_else_watches_the_process_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "tracers", lambda: ["coverage.collector", "pydevd_tracing"])
    monkeypatch.setattr(runtime, "monitors", lambda: ["coverage.py"])
    found = Found()
    assert found.level("debugger.tracers") == "note"
    assert "pydevd" not in found.says("debugger.tracers")
    assert "coverage.py" in found.says("debugger.tools")


def test_gevent_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = ModuleType("gevent.monkey")
    patched.is_module_patched = lambda name: name == "threading"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gevent.monkey", patched)
    assert Found().level("interpreter.gevent") == "problem"


BLOCKED = """
    import asyncio, time, sonde_agent

    async def work():
        print("begun", flush=True)
        input()

    sonde_agent.start(service="blocked")
    asyncio.run(work())
"""


def test_a_blocked_loop_is_a_problem_and_a_main_script_has_lines(tmp_path: Path) -> None:
    with fake_sidecar() as sidecar, running(tmp_path, BLOCKED, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        assert program.hear() == "begun"
        reply = line.value("diagnosis", path=program.path, line=5, sha256=None)
        checks = {each["check"]: each for each in reply["findings"]}
        assert checks["loop.blocked"]["level"] == "problem"
        assert checks["line.code"]["level"] == "fine"
        last = line.value("diagnosis", path=program.path, line=9)["findings"][-1]
        assert (last["check"], last["level"]) == ("line.code", "note")
        assert line.value("tasks")["tasks"][0]["state"] == "running"
        assert line.value("modules")["modules"]
        program.tell()
        assert program.end()[0] == 0


def test_arguments_of_the_wrong_kind_are_refused() -> None:
    reply = calls.answer(Call(id=1, operation="diagnosis", arguments={"path": 1}))
    assert isinstance(reply, Fault)
    assert reply.code == "invalid_argument"
    assert isinstance(calls.answer(Call(id=1, operation="diagnosis")), Result)


def test_the_lines_next_to_one_are_those_on_both_sides() -> None:
    assert code_lines.nearest([1, 5, 9, 10, 11, 20], 10, most=2) == [5, 9, 11, 20]
    assert code_lines.nearest([], 10) == []
