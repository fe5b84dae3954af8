"""The classic server in real programs, with an editor on its port."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import sonde_agent
from sonde_agent import link
from sonde_agent.classic import several
from sonde_agent.classic.adapter import Adapter
from sonde_agent.classic.errors import (
    CannotListen,
    DebuggerUnavailable,
    DuplicateServer,
    LaunchFailed,
    NotStarted,
)
from tests.agent.editor import Editor, editor
from tests.agent.tap.fakes import (
    Debugging,
    FakeSidecar,
    Program,
    clean_environment,
    eventually,
    fake_sidecar,
    running,
)
from tests.agent.worker import ANSWERS, WORKS, ask, goes_on

SERVED = (
    WORKS
    + """
    import sonde_agent
    server = sonde_agent.DebugpyServer(port=0)

    def halt():
        server.breakpoint()
        return "went on"  # after the breakpoint

    def attempt(action):
        try:
            return action()
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def fork():
        pid = os.fork()
        if pid == 0:
            code = work(21)
            if server.is_active or attempt(server.start).client_connected:
                code = 1
            server.stop()
            os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
    + ANSWERS
)


@pytest.fixture
def sidecar() -> Iterator[FakeSidecar]:
    with fake_sidecar() as sidecar:
        yield sidecar


@contextmanager
def served(directory: Path, environment: dict[str, str] | None = None) -> Iterator[tuple[Program, int]]:
    """A program whose server is on, and its port."""
    with running(directory, SERVED, environment) as program:
        yield program, int(ask(program, "server.start().port"))


@contextmanager
def attached(program: Program, port: int, *tags: str) -> Iterator[Editor]:
    with editor(port) as client:
        client.hello()
        if tags:
            client.break_at(program.path, *(program.line_of(tag) for tag in tags))
        client.ready()
        yield client


def refuses(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) != 0


def adapters_of(program: Program) -> list[int]:
    """They are nobody's children, but have the program's environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            inherited = (entry / "environ").read_bytes()
        except (OSError, NotADirectoryError):
            continue
        if any(word.endswith(b"adapter_program.py") for word in words) and (
            f"TESTED={program.main}".encode() in inherited.split(b"\0")
        ):
            found.append(int(entry.name))
    return found


def test_an_editor_attaches_stops_looks_and_goes_on(tmp_path: Path) -> None:
    with served(tmp_path) as (program, port):
        assert ask(program, "server.info.client_connected") == "False"
        with attached(program, port, "stop here") as client:
            stopped = client.event("stopped")
            assert client.where(stopped) == ("work", program.line_of("stop here"))
            # the main thread answers while the other stands
            assert ask(program, "(server.is_active, server.info.client_connected)") == "(True, True)"
            client.go_on(stopped)
            client.go_on(client.event("stopped"))
        assert goes_on(program)
        assert eventually(
            lambda: ask(program, "server.info.client_connected") == "False", "the client to be gone"
        )
        with attached(program, port, "stop here") as client:  # the next one
            client.event("stopped")
        assert goes_on(program)


def test_off_is_off_and_on_again_any_number_of_times(tmp_path: Path) -> None:
    environment = {"TESTED": str(tmp_path / "program.py")}
    with running(tmp_path, SERVED, environment) as program:
        before = ask(program, "threading.active_count()"), program.descriptors()
        for _ in range(3):
            port = int(ask(program, "server.start().port"))
            assert len(adapters_of(program)) == 1
            assert ask(program, "tracing() is None") == "False"
            with attached(program, port, "stop here") as client:
                client.event("stopped")
                program.tell("server.stop()")
                assert client.hears_the_end()
                assert program.hear() == "None"
            assert goes_on(program)
            assert ask(program, "(server.is_active, tracing())") == "(False, None)"
            assert refuses(port)
            assert (adapters_of(program), program.children()) == ([], [])
            assert (ask(program, "threading.active_count()"), program.descriptors()) == before


def test_the_same_port_can_be_taken_again(tmp_path: Path) -> None:
    with served(tmp_path) as (program, port):
        with attached(program, port) as client:
            program.tell("server.stop()")
            assert client.hears_the_end()
            assert program.hear() == "None"
        assert ask(program, f"sonde_agent.DebugpyServer(port={port}).start().port") == str(port)


def test_starting_and_stopping_twice_is_once(tmp_path: Path) -> None:
    with served(tmp_path) as (program, port):
        assert ask(program, "server.start().port") == str(port)
        assert ask(program, "(server.stop(), server.stop())") == "(None, None)"


def test_a_lost_adapter_lets_the_program_run_and_the_server_starts_anew(tmp_path: Path) -> None:
    with served(tmp_path, {"TESTED": str(tmp_path / "program.py")}) as (program, port):
        with attached(program, port, "stop here") as client:
            client.event("stopped")
            [adapter] = adapters_of(program)
            os.kill(adapter, signal.SIGKILL)
            assert goes_on(program)
            assert ask(program, "server.is_active") == "False"
            assert ask(program, "attempt(lambda: server.info)").startswith("NotStarted: ")
        port = int(ask(program, "server.start().port"))
        with attached(program, port, "stop here") as client:
            client.event("stopped")
        assert ask(program, "(server.stop(), tracing())") == "(None, None)"


def test_a_deaf_adapter_is_ended(tmp_path: Path) -> None:
    with served(tmp_path, {"TESTED": str(tmp_path / "program.py")}) as (program, port):
        [adapter] = adapters_of(program)
        os.kill(adapter, signal.SIGSTOP)
        assert ask(program, "server.stop()") == "None"
        assert adapters_of(program) == []
        assert refuses(port)


def test_the_adapter_ends_with_a_program_that_is_killed(tmp_path: Path) -> None:
    with served(tmp_path, {"TESTED": str(tmp_path / "program.py")}) as (program, _):
        program.process.kill()
        program.process.wait()
        assert eventually(lambda: not adapters_of(program), "the adapter to end")


def test_waiting_for_a_client_ends_with_it_or_with_the_time_or_with_the_server(tmp_path: Path) -> None:
    with served(tmp_path) as (program, port):
        assert ask(program, "server.wait_for_client(0)") == "False"
        assert ask(program, "server.wait_for_client(timeout=0.05)") == "False"
        program.tell("server.wait_for_client()")
        with attached(program, port):
            assert program.hear() == "True"
        assert eventually(
            lambda: ask(program, "server.info.client_connected") == "False", "the client to be gone"
        )
        program.tell("(threading.Timer(0.05, server.stop).start(), server.wait_for_client())[1]")
        assert program.hear() == "False"
        assert "NotStarted" in ask(program, "attempt(server.wait_for_client)")


def test_a_breakpoint_in_the_code_stops_for_a_client_and_for_nobody_else(tmp_path: Path) -> None:
    with running(tmp_path, SERVED) as program:
        assert ask(program, "halt()") == "went on"
        port = int(ask(program, "server.start().port"))
        assert ask(program, "halt()") == "went on"
        with attached(program, port) as client:
            program.tell("halt()")
            stopped = client.event("stopped")
            assert client.where(stopped) == ("halt", program.line_of("after the breakpoint"))
            client.go_on(stopped)
            assert program.hear() == "went on"
        assert eventually(
            lambda: ask(program, "server.info.client_connected") == "False", "the client to be gone"
        )
        assert ask(program, "halt()") == "went on"


def test_a_port_in_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, running(tmp_path, SERVED) as program:
        port = taken.getsockname()[1]
        told = ask(program, f"attempt(sonde_agent.DebugpyServer(port={port}).start)")
        assert told.startswith(f"PortInUse: 127.0.0.1:{port} is in use: choose another port")
        assert ask(program, "tracing()") == "None"
        assert ask(program, "server.start().pid == os.getpid()") == "True"
        ask(program, "server.stop()")
        assert program.end()[2] == ""


def test_an_address_of_another_machine_is_told(tmp_path: Path) -> None:
    with running(tmp_path, SERVED) as program:
        told = ask(program, "attempt(sonde_agent.DebugpyServer('192.0.2.1').start)")
        assert told.startswith(
            "CannotListen: cannot listen on 192.0.2.1:5678: cannot assign requested address"
        )


@pytest.mark.parametrize("port", [-1, 65536, "5678"])
def test_what_cannot_be_a_port_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="is not a port"):
        sonde_agent.DebugpyServer(port=port)


def test_beyond_the_loopback_it_warns(tmp_path: Path) -> None:
    source = """
        import logging
        import sonde_agent
        logging.basicConfig(format="log: %(message)s")
        with sonde_agent.DebugpyServer("0.0.0.0", 0) as server:
            print(server.info.host)
        with sonde_agent.DebugpyServer("localhost", 0) as server:
            pass
        """
    with running(tmp_path, source) as program:
        code, output, errors = program.end()
    assert (code, output) == (0, "0.0.0.0\n")
    assert errors.count("anyone who can reach this port can run code in this process") == 2
    assert "ExposedServerWarning: the debugpy server listens on 0.0.0.0" in errors
    assert "\nlog: the debugpy server" in f"\n{errors}"


def test_two_servers_in_one_process_are_refused(tmp_path: Path) -> None:
    with served(tmp_path) as (program, port):
        told = ask(program, "attempt(sonde_agent.DebugpyServer(port=0).start)")
        assert told.startswith(
            f"DebuggerTaken: another DebugpyServer is active in this process, on 127.0.0.1:{port}"
        )
        assert "RuntimeError" in ask(
            program, "attempt(lambda: __import__('debugpy').listen(('127.0.0.1', 0)))"
        )


def test_sonde_and_the_server_do_not_take_the_debugger_from_one_another(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    source = SERVED.replace("import sonde_agent\n", "import sonde_agent; sonde_agent.start()\n")
    with running(tmp_path, source, sidecar.environment) as program:
        line, _ = sidecar.welcome()
        ask(program, "server.start().port")
        fault = line.call("debugger.connect", host="127.0.0.1", port=1, server_token="a", client_token="b")
        assert isinstance(fault, link.Fault)
        assert "already in use" in fault.message
        ask(program, "server.stop()")
        debugging = Debugging(line).open()
        assert "DebuggerTaken" in ask(program, "attempt(server.start)")
        debugging.close()
        assert ask(program, "server.start().client_connected") == "False"


def test_a_forked_child_is_not_debugged_and_can_have_its_own(tmp_path: Path) -> None:
    with served(tmp_path) as (program, port):
        ask(program, "go_on.set()")
        with attached(program, port, "stop here") as client:
            assert ask(program, "fork()") == "42"
            program.tell("work(1)")  # the parent's goes on
            client.go_on(client.event("stopped"))
            assert program.hear() == "2"


def test_two_threads_at_one_breakpoint_do_not_wedge_it(tmp_path: Path) -> None:
    """With all threads stopped at a time, this dead-locks debugpy's adapter within a few hits."""
    with served(tmp_path) as (program, port):
        ask(program, "[threading.Thread(target=worker, daemon=True).start() for _ in range(3)]")
        with attached(program, port, "stop here") as client:
            for _ in range(100):
                client.go_on(client.event("stopped"))
        assert goes_on(program)


ASYNC = """
    import asyncio
    import sonde_agent

    async def main():
        async with sonde_agent.DebugpyServer(port=0) as server:
            print(server.info.port, flush=True)
            print(await server.wait_for_client_async(timeout=0.01), flush=True)
            try:
                async with asyncio.timeout(0.05):
                    await server.wait_for_client_async()
            except TimeoutError:
                print("given up", flush=True)
            print(await server.wait_for_client_async(), flush=True)
        print(server.is_active, flush=True)

    asyncio.run(main())
    """


def test_asyncio_programs_wait_without_holding_the_loop_up(tmp_path: Path) -> None:
    with running(tmp_path, ASYNC) as program:
        port = int(program.hear())
        assert (program.hear(), program.hear()) == ("False", "given up")
        with editor(port) as client:
            client.hello()
            client.ready()
            assert program.hear() == "True"
            assert client.hears_the_end()
        assert program.end() == (0, "False\n", "")


@pytest.mark.parametrize("executable", ["/usr/bin/uwsgi", "", "/no/such/python3"])
def test_a_program_that_has_python_inside_is_told(monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(DebuggerUnavailable, match=r"interpreter|cannot be started"):
        Adapter.start("/nowhere", "127.0.0.1", 0)


def test_importing_the_package_imports_no_server() -> None:
    code = "import sys, sonde_agent; print([n for n in sys.modules if 'classic' in n or 'debugpy' in n])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "[]\n"
    assert all(hasattr(sonde_agent, name) for name in sonde_agent.__all__)


@pytest.mark.parametrize(
    ("command", "interpreter", "program"),
    [
        ("python app.py -m x", "python", "app.py -m x"),
        ("python -X dev -Wignore app.py", "python -X dev -Wignore", "app.py"),
        ("python -mshop.worker -c", "python", "-m shop.worker -c"),
        ("python -um shop", "python -u", "-m shop"),
        ("python -c print(1)", "python", "-c print(1)"),
        ("python", "python", ""),
    ],
)
def test_a_command_is_an_interpreter_and_a_program(command: str, interpreter: str, program: str) -> None:
    assert several.split(command.split()) == (interpreter.split(), program.split())


LAUNCHED = """
    import sys
    import __main__

    def work():
        return 42  # stop here

    assert __main__.work is work
    print(sys.argv[1:], flush=True)
    print(work(), flush=True)
    sys.stdin.readline()
    """


@pytest.fixture
def manager() -> Iterator[sonde_agent.DebugpyServerManager]:
    with sonde_agent.DebugpyServerManager() as manager:
        yield manager


def test_programs_are_launched_debugged_and_ended(tmp_path: Path) -> None:
    source = """
        import sys
        import sonde_agent
        with sonde_agent.DebugpyServerManager() as manager:
            own = manager.start("own", port=0)
            info = manager.launch("app", [sys.executable, "launched.py", "-v"], wait_for_client=True)
            print(own.port, info.port, sorted(manager.servers), flush=True)
            sys.stdin.readline()
        print(manager.servers)
        """
    (tmp_path / "launched.py").write_text("\n".join(line[4:] for line in LAUNCHED.splitlines()))
    launched = Program(None, tmp_path / "launched.py")  # type: ignore[arg-type]
    with running(tmp_path, source) as program:
        own, port, names = program.hear().split(" ", 2)
        assert names == "['app', 'own']"
        with editor(int(port)) as client:
            client.hello()
            client.break_at(launched.path, launched.line_of("stop here"))
            client.ready()
            stopped = client.event("stopped")
            assert client.where(stopped) == ("work", launched.line_of("stop here"))
            client.go_on(stopped)
            assert (program.hear(), program.hear()) == ("['-v']", "42")
        assert not refuses(int(own))
        program.tell()
        assert program.end() == (0, "{}\n", "")
        assert eventually(lambda: refuses(int(own)) and refuses(int(port)), "the ports to be closed")


def test_names_and_ports_are_taken_once(manager: sonde_agent.DebugpyServerManager) -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    environment = clean_environment()
    info = manager.launch("one", command, environment=environment)
    with pytest.raises(DuplicateServer, match="named 'one'"):
        manager.launch("one", command, environment=environment)
    with pytest.raises(DuplicateServer, match=f"on 127.0.0.1:{info.port}, named 'one',"):
        manager.launch("two", command, port=info.port, environment=environment)
    manager.process("one").kill()
    manager.process("one").wait()
    assert manager.servers == {}
    assert manager.launch("one", command, environment=environment).pid == manager.process("one").pid
    with pytest.raises(NotStarted):
        manager.server("one")


def test_a_program_that_cannot_be_served_is_told_and_gone(manager: sonde_agent.DebugpyServerManager) -> None:
    environment = clean_environment()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(sonde_agent.PortInUse, match=f"127.0.0.1:{port} is in use"):
            manager.launch("a", [sys.executable, "-c", "0"], port=port, environment=environment)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(CannotListen, match="cannot assign requested address"):
            manager.launch("a", [sys.executable, "-c", "0"], host="192.0.2.1", environment=environment)
    assert [each.category for each in warned] == [sonde_agent.ExposedServerWarning]
    with pytest.raises(LaunchFailed, match="name a program"):
        manager.launch("a", [sys.executable])
    with pytest.raises(LaunchFailed, match="'/no/such/python' cannot be started"):
        manager.launch("a", ["/no/such/python", "app.py"])
    with pytest.raises(LaunchFailed, match="ended or was silent"):
        manager.launch("a", ["/bin/true", "app.py"])
    assert manager.servers == {}


async def test_launching_from_asyncio_ends_with_the_block() -> None:
    async with sonde_agent.DebugpyServerManager() as manager:
        command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        info = await manager.launch_async("one", command, environment=clean_environment())
        process = manager.process("one")
        assert not refuses(info.port)
    assert process.returncode == -signal.SIGTERM
    await asyncio.to_thread(eventually, lambda: refuses(info.port), "the port to be closed")
