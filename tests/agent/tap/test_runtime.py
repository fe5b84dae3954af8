"""The interpreter as it runs, and what it has loaded."""

import asyncio
import gc
import os
import sys
import threading
from types import FrameType, ModuleType
from typing import Any

import pytest
from msgspec import convert

from sonde_agent.tap import modules, runtime, wall
from sonde_wire.looking import Modules, Runtime


def read() -> Runtime:
    return convert(runtime.read(), Runtime)


def test_it_tells_the_interpreter_and_where_it_runs() -> None:
    seen = read()
    assert seen.python == sys.version
    assert seen.directory == os.getcwd()  # noqa: PTH109 - as the tap says it
    assert list(seen.path) == sys.path
    assert seen.flags["optimize"] == sys.flags.optimize
    assert seen.flags["implementation"] == "cpython"
    assert seen.flags["gevent_patched"] is False
    assert isinstance(seen.flags["free_threaded"], bool)


def test_the_collector_is_shown_as_gc_has_it() -> None:
    before = gc.get_stats()[0]["collections"]
    gc.collect(0)
    seen = read()
    assert seen.gc_enabled is gc.isenabled()
    assert [each.threshold for each in seen.gc] == list(gc.get_threshold())
    assert seen.gc[0].collections > before


def test_the_command_line_and_the_environment_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "app.py", "--token", "hunter2", "--port", "80"])
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    monkeypatch.setenv("SHOP_DATABASE", "postgres://shop:hunter2@db/shop")
    monkeypatch.setenv("SHOP_COLOUR", "blue \udcff")
    seen = read()
    assert seen.argv == ("python", "app.py", "--token", "***", "--port", "80")
    assert seen.environment["SHOP_PASSWORD"] == "***"
    assert seen.environment["SHOP_DATABASE"] == "postgres://shop:***@db/shop"
    assert seen.environment["SHOP_COLOUR"] == "blue \\udcff"
    assert {"--token", "SHOP_PASSWORD", "SHOP_DATABASE"} <= set(seen.redacted)
    assert "SHOP_COLOUR" not in seen.redacted


def test_what_the_program_put_in_the_place_of_its_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Own(dict[str, str]):
        def items(self) -> Any:
            raise AssertionError

    monkeypatch.setattr(os, "environ", Own(A="b"))
    assert read().environment == {}


async def test_the_lag_of_each_running_loop_is_measured() -> None:
    seen = convert(await asyncio.to_thread(runtime.read), Runtime)
    (loop,) = (each for each in seen.loops if each.thread == threading.current_thread().name)
    assert loop.id == id(asyncio.get_running_loop())
    assert loop.lag is not None


def test_threads_of_ours_are_not_counted() -> None:
    ready, over = threading.Event(), threading.Event()

    def wait() -> None:
        ready.set()
        over.wait()

    before = read().threads
    ours = wall.start_thread(wait, "ours")
    ready.wait()
    theirs = threading.Thread(target=over.wait)
    theirs.start()
    assert read().threads == before + 1
    over.set()
    ours.join()
    theirs.join()


def test_who_traces_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def trace(_frame: FrameType, _event: str, _argument: Any) -> None:
        return None

    monkeypatch.setattr(threading, "_trace_hook", trace)
    assert __name__ in runtime.tracers()
    assert __name__ in str(read().flags["tracing"])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_tools_that_watch_are_named() -> None:
    monitoring = sys.monitoring  # type: ignore[attr-defined, unused-ignore] # 3.11's types do not have it
    monitoring.use_tool_id(4, "a tool of the tests")
    try:
        assert "a tool of the tests" in runtime.monitors()
    finally:
        monitoring.free_tool_id(4)


def test_modules_are_read_without_touching_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sleeping(ModuleType):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(name)

    versioned = ModuleType("versioned")
    versioned.__version__ = "1.4"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sleeping", Sleeping("sleeping"))
    monkeypatch.setitem(sys.modules, "no module", object())  # as some programs do it
    monkeypatch.setitem(sys.modules, "versioned", versioned)
    found = {each.name: each for each in convert(modules.read(), Modules).modules}
    assert {"sleeping", "no module"} <= found.keys()
    assert found["versioned"].version == "1.4"
    assert (found["sys"].path, found["sys"].application) == ("", False)
    assert (found[__name__].path, found[__name__].application) == (__file__, True)
    assert not found["pytest"].application


def test_the_list_of_modules_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "MOST_MODULES", 2)
    found = convert(modules.read(), Modules)
    assert (len(found.modules), found.truncated) == (2, True)
