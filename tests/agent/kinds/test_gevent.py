"""gevent: seen, but not debugged, and refused where it came first. What it leaves in an interpreter is played here by
the one function that the tap asks; with gevent itself the same was seen by hand."""

from pathlib import Path

from sonde_agent import link
from sonde_agent.tap import greenlets
from tests.agent.kinds.family import comes
from tests.agent.tap.fakes import FakeSidecar, running

PATCHES = """
    import sys
    import types
    import sonde_agent

    def patch_all():
        monkey = sys.modules["gevent.monkey"] = types.ModuleType("gevent.monkey")
        monkey.is_module_patched = lambda name: name == "threading"
    """


def test_a_process_that_is_patched_later_is_seen_but_not_debugged(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    source = (
        PATCHES
        + """
    sonde_agent.start("shop")
    patch_all()
    sys.stdin.read()
    """
    )
    with running(tmp_path, source, sidecar.environment) as program:
        line = comes(sidecar).line
        assert line.value("stacks")["threads"]
        fault = line.call("debugger.connect", host="127.0.0.1", port=1, server_token="a", client_token="b")
        assert isinstance(fault, link.Fault)
        assert (fault.code, fault.message) == ("failed_precondition", greenlets.NO_DEBUGGER)
        assert program.end() == (0, "", "")


def test_a_process_that_was_patched_before_is_refused(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = (
        PATCHES
        + """
    patch_all()
    sonde_agent.start("shop")
    print(sonde_agent.status(), sonde_agent.is_running(), flush=True)
    """
    )
    with running(tmp_path, source, sidecar.environment) as program:
        code, output, errors = program.end()
        assert (code, errors) == (0, f"sonde: {greenlets.TOO_LATE}\n")
        assert output == f"Status(state='refused', reason={greenlets.TOO_LATE!r}, process='') False\n"


def test_a_child_that_is_forked_after_patching_is_not_seen(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = (
        PATCHES
        + """
    import os
    sonde_agent.start("shop")
    sys.stdin.readline()
    patch_all()
    if os.fork() == 0:
        print(sonde_agent.status().state, flush=True)
        os._exit(0)
    os.wait()
    print(sonde_agent.status().state, flush=True)
    """
    )
    with running(tmp_path, source, sidecar.environment) as program:
        assert comes(sidecar).line.value("stacks")
        program.tell()
        assert program.hear() == "refused"
        assert program.hear() == "serving"
        assert program.end() == (0, "", f"sonde: {greenlets.TOO_LATE}\n")
