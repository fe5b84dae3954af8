"""`os.fork`: each child that lasts is a process of its own, and a fork costs and disturbs nothing."""

import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.agent.kinds.family import Member, all_gone, are_children, come, comes
from tests.agent.tap.fakes import FakeSidecar, eventually, running

FORKS = """
    import os
    import sys
    import sonde_agent

    def price(count):
        return count * 3  # stop here

    sonde_agent.start("shop", instance="one")
    sys.stdin.readline()
    pid = os.fork()
    if pid == 0:
        for line in sys.stdin:
            print("child", price(int(line)), flush=True)
        os._exit(0)
    print("parent", price(1), flush=True)
    os.wait()
    print("parent", price(2), flush=True)
    sys.exit(3)
    """


def test_a_child_is_a_process_of_its_own(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, FORKS, sidecar.environment) as program:
        parent = comes(sidecar)
        program.tell()
        child = comes(sidecar)
        assert are_children(parent, child)
        assert parent.hello.parent_boot == ""
        assert (parent.hello.instance, child.hello.instance) == ("one", f"one-{child.pid}")
        assert child.hello.parent_pid == parent.pid
        assert child.hello.started >= parent.hello.started
        assert child.line.value("stacks")["threads"][0]["name"] == "MainThread"
        assert parent.line.value("stacks")["threads"]  # its line is its own as before
        assert program.end() == (3, "parent 3\nparent 6\n", "")
        all_gone(child)


def test_a_child_is_debugged_while_its_parent_is(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, FORKS, sidecar.environment) as program:
        parent = comes(sidecar)
        of_parent = parent.debugged()
        of_parent.stop_at(program.path, program.line_of("stop here"))
        program.tell()
        stopped = of_parent.event("stopped")
        child = comes(sidecar)
        program.tell("5")  # through its parent's breakpoint
        assert program.hear() == "child 15"
        of_child = child.debugged()
        of_child.stop_at(program.path, program.line_of("stop here"))
        program.tell("6")
        assert of_child.where(of_child.event("stopped")) == ("price", program.line_of("stop here"))
        assert of_parent.where(stopped) == ("price", program.line_of("stop here"))
        of_child.close()
        assert program.hear() == "child 18"
        of_parent.go_on(stopped)
        assert program.hear() == "parent 3"
        assert program.process.stdin is not None
        program.process.stdin.close()
        stopped = of_parent.event("stopped")  # and its debugger is what it was
        of_parent.go_on(stopped)
        program.process.stdin = None
        assert program.end() == (3, "parent 6\n", "")


def test_children_that_are_gone_at_once_are_never_seen(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import os
        import sys
        import sonde_agent
        sonde_agent.start()
        sys.stdin.readline()
        for _ in range(20):
            if os.fork() == 0:
                os._exit(0)
            os.wait()
        if os.fork() == 0:
            os.execv("/bin/sh", ["sh", "-c", "exit 0"])
        os.wait()
        if os.fork() == 0:
            sys.exit(0)  # with all that an interpreter does at its end
        os.wait()
        print("done", flush=True)
        sys.stdin.readline()
        """
    with running(tmp_path, source, sidecar.environment) as program:
        parent = comes(sidecar)
        program.tell()
        assert program.hear() == "done"
        assert sidecar.nobody_comes(within=0.5)
        assert parent.line.value("stacks")
        assert program.end() == (0, "", "")


def test_a_daemon_is_the_child_of_who_started_it(sidecar: FakeSidecar, tmp_path: Path) -> None:
    """Twice forked, with every descriptor closed, and files of its own under the same numbers."""
    source = """
        import os
        import sys
        import sonde_agent
        sonde_agent.start("shop")
        sys.stdin.readline()
        if os.fork() == 0:
            os.setsid()
            if os.fork() > 0:
                os._exit(0)
            os.closerange(3, 100)
            files = [open(f"file-{number}", "w+") for number in range(20)]
            for line in sys.stdin:
                for file in files:
                    file.write("mine")
                    file.flush()
                print([file.seek(0) or file.read() for file in files] == ["mine"] * 20, flush=True)
            os._exit(0)
        os.wait()
        """
    with running(tmp_path, source, sidecar.environment) as program:
        parent = comes(sidecar)
        program.tell()
        daemon = comes(sidecar)
        assert are_children(parent, daemon)
        assert daemon.line.value("stacks")
        program.tell()
        assert program.hear() == "True"
        assert program.end()[0] == 0
        all_gone(daemon)


def test_a_process_that_closes_all_descriptors_comes_back(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import os
        import sys
        import sonde_agent
        sonde_agent.start("shop")
        sys.stdin.readline()
        os.closerange(3, 100)
        files = [open(f"file-{number}", "w+") for number in range(20)]
        print("closed", flush=True)
        sys.stdin.readline()
        for file in files:
            file.write("mine")
            file.flush()
        print([file.seek(0) or file.read() for file in files] == ["mine"] * 20, flush=True)
        if os.fork() == 0:
            sys.stdin.readline()
            os._exit(0)
        os.wait()
        """
    with running(tmp_path, source, sidecar.environment) as program:
        before = comes(sidecar)
        assert before.line.value("stacks")
        program.tell()
        assert program.hear() == "closed"
        with suppress(BrokenPipeError):  # it has looked already
            before.line.socket.sendall(b"\n")  # anything, so that its thread looks again
        after = comes(sidecar)
        assert after.boot == before.boot
        program.tell()
        assert program.hear() == "True"
        assert are_children(after, comes(sidecar))
        assert program.end() == (0, "", "")


@pytest.mark.parametrize("where", ["thread", "signal handler"])
def test_a_fork_in_odd_places(sidecar: FakeSidecar, tmp_path: Path, where: str) -> None:
    source = f"""
        import os
        import signal
        import sys
        import threading
        import sonde_agent
        sonde_agent.start("shop")

        def fork(*_):
            if os.fork() == 0:
                sys.stdin.readline()
                os._exit(0)

        sys.stdin.readline()
        if {where!r} == "thread":
            thread = threading.Thread(target=fork)
            thread.start()
            thread.join()
        else:
            signal.signal(signal.SIGUSR1, fork)
            os.kill(os.getpid(), signal.SIGUSR1)
        os.wait()
        """
    with running(tmp_path, source, sidecar.environment) as program:
        parent = comes(sidecar)
        program.tell()
        child = comes(sidecar)
        assert are_children(parent, child)
        assert child.line.value("stacks") and parent.line.value("stacks")
        assert program.end() == (0, "", "")


def test_children_of_children_name_their_own_parent(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import os
        import sys
        import sonde_agent
        sonde_agent.start("shop")
        sys.stdin.readline()
        if os.fork() == 0:
            sys.stdin.readline()
            if os.fork() == 0:
                sys.stdin.readline()
                os._exit(0)
        os.wait()
        """
    with running(tmp_path, source, sidecar.environment) as program:
        first = comes(sidecar)
        program.tell()
        second = comes(sidecar)
        assert second.line.value("stacks")
        program.tell()
        third = comes(sidecar)
        assert are_children(first, second) and are_children(second, third)
        assert program.end() == (0, "", "")
        all_gone(second, third)


@pytest.mark.skipif(
    (3, 13) <= sys.version_info < (3, 13, 10) or sys.version_info[:3] == (3, 14, 0),
    reason="this interpreter counts the threads too late",
)
def test_a_program_of_one_thread_is_not_warned_of_ours(sidecar: FakeSidecar, tmp_path: Path) -> None:
    source = """
        import os
        import sys
        import sonde_agent
        sonde_agent.start("shop")
        for line in sys.stdin:
            if os.fork() == 0:
                os._exit(0)
            os.wait()
            print("forked", flush=True)
        """
    command = (sys.executable, "-W", "always")
    with running(tmp_path, source, sidecar.environment, command=command) as program:
        member = comes(sidecar)
        for _ in range(20):
            assert member.line.value("stacks")
            program.tell()
            assert program.hear() == "forked"
        assert program.end() == (0, "", "")


@pytest.mark.parametrize("switch", ["0", "no"])
def test_children_are_left_alone_when_nobody_wants_them(
    sidecar: FakeSidecar, tmp_path: Path, switch: str
) -> None:
    environment = {**sidecar.environment, "SONDE_CHILDREN": switch}
    with running(tmp_path, FORKS, environment) as program:
        assert comes(sidecar).hello.service == "shop"
        program.tell()
        assert program.hear() == "parent 3"
        assert sidecar.nobody_comes(within=0.5)
        assert program.end() == (3, "parent 6\n", "")


@pytest.mark.parametrize("moment", ["before it starts", "while it starts"])
def test_a_family_shares_the_sidecar_that_the_first_has_started(tmp_path: Path, moment: str) -> None:
    """It lives as long as the last of them."""
    source = f"""
        import os
        import sys
        import time
        import sonde_agent
        sonde_agent.start("shop")
        while {moment == "while it starts"} and not os.listdir(os.environ["TMPDIR"]):
            pass
        if os.fork() == 0:
            os.setsid()
            sys.stdin.readline()
            while sonde_agent.status().state != "serving":
                time.sleep(0.01)  # nobody tells
            print(sonde_agent.status().process, flush=True)
            sys.stdin.readline()
            os._exit(0)
        while sonde_agent.status().state != "serving":
            time.sleep(0.01)  # nobody tells
        print(sonde_agent.status().process, flush=True)
        """
    environment = {"SONDE_SITE": str(tmp_path / "none"), "TMPDIR": str(tmp_path)}
    with running(tmp_path, source, environment) as program:
        names = [program.hear()]
        program.tell()
        names.append(program.hear())
        assert len(set(names)) == 2
        assert program.process.wait(20) == 0
        (socket,) = tmp_path.glob("sonde-*/sidecar.sock")
        program.tell()
        eventually(lambda: not socket.parent.exists(), "the sidecar to follow the last of them")


def test_a_lone_fork_leaves_the_sidecar_in_peace(sidecar: FakeSidecar, tmp_path: Path) -> None:
    """Each of many children that last has a line, and none is another's."""
    source = """
        import os
        import sys
        import sonde_agent
        sonde_agent.start("shop")
        sys.stdin.readline()
        for _ in range(5):
            if os.fork() == 0:
                sys.stdin.readline()
                os._exit(0)
        for _ in range(5):
            os.wait()
        """
    with running(tmp_path, source, sidecar.environment) as program:
        parent = comes(sidecar)
        program.tell()
        members: list[Member] = come(sidecar, 5)
        assert are_children(parent, *members)
        for member in (parent, *members):
            assert member.line.value("stacks")
        assert program.end() == (0, "", "")
