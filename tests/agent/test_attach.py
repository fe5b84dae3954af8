"""`sonde attach`: what is judged before a process is touched, and real processes that get the tap while they run."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sonde_agent import link
from sonde_agent.attach import command, facts, injection, symbols
from sonde_agent.attach.facts import Caller, Parked, Process
from sonde_agent.attach.judgement import Way, explanation, problems, way
from tests.agent.tap.fakes import (
    PATIENCE,
    FakeSidecar,
    Program,
    clean_environment,
    eventually,
    fake_sidecar,
    running,
)
from tests.support import parts

SONDE_ATTACH = (sys.executable, "-m", "sonde_agent", "attach")
PROCESS = Process(
    pid=4242,
    state="S",
    uid=1000,
    has_one_user=True,
    executable="/usr/bin/python3.13",
    implementation="python",
    version=(3, 13),
    machine="x86_64",
)
CALLER = Caller(uid=1000, can_trace_all=False, yama=None, version=(3, 13), machine="x86_64", has_gdb=True)
_ROOT_OR_FREE = facts.of_caller().can_trace_all or not facts.of_caller().yama
needs_gdb = pytest.mark.skipif(
    parts.GDB is None or not _ROOT_OR_FREE,
    reason="gdb is not here, or nobody may trace (kernel.yama.ptrace_scope)",
)


@pytest.fixture
def sidecar() -> Iterator[FakeSidecar]:
    with fake_sidecar() as sidecar:
        yield sidecar


def said(caller: Caller, process: Process, *out_of_reach: str) -> str:
    return "\n".join(map(str, problems(caller, process, out_of_reach)))


def test_a_process_of_ours_that_runs_python_can_be_attached_to() -> None:
    assert problems(CALLER, PROCESS, []) == []
    assert way(CALLER, PROCESS) is Way.GDB


def test_from_3_14_on_it_needs_no_gdb_but_the_same_python() -> None:
    caller, process = replace(CALLER, version=(3, 14), has_gdb=False), replace(PROCESS, version=(3, 14))
    assert (way(caller, process), problems(caller, process, [])) == (Way.REMOTE_EXEC, [])
    assert way(replace(caller, version=(3, 15)), process) is Way.GDB
    assert way(CALLER, process) is Way.GDB
    assert "apt-get install gdb" in said(replace(CALLER, has_gdb=False), process)


REFUSED = replace(PROCESS, may_trace=False)


@pytest.mark.parametrize(
    ("caller", "process", "words"),
    [
        (CALLER, replace(REFUSED, uid=1), ["belongs to user 1 and we are user 1000", "sudo sonde attach 4242", "SYS_PTRACE"]),
        (replace(CALLER, yama=1), REFUSED, ["only its own children", "ptrace_scope is 1", "sysctl kernel.yama.ptrace_scope=0"]),
        (replace(CALLER, yama=2), REFUSED, ["ptrace_scope is 2", "--cap-add SYS_PTRACE"]),
        (replace(CALLER, yama=3, can_trace_all=True), REFUSED, ["ptrace_scope is 3", "reboot", "sonde run"]),
        (replace(CALLER, can_trace_all=True), REFUSED, ["although we have CAP_SYS_PTRACE", "user namespace"]),
        (CALLER, replace(REFUSED, protects_itself=True), ["protects itself"]),
        (CALLER, replace(REFUSED, has_one_user=False), ["protects itself"]),
        (CALLER, REFUSED, ["the kernel refuses to trace it", "seccomp"]),
        (CALLER, replace(PROCESS, tracer=7), ["process 7 traces it already"]),
        (CALLER, replace(PROCESS, state="Z"), ["has ended"]),
        (CALLER, replace(PROCESS, state="T"), ["stopped by a signal", "kill -CONT 4242"]),
        (CALLER, replace(PROCESS, version=None, executable="/bin/cat"), ["/bin/cat is not Python"]),
        (CALLER, replace(PROCESS, version=(3, 9)), ["Python 3.9", "3.11 or newer"]),
        (CALLER, replace(PROCESS, implementation="pypy"), ["PyPy"]),
        (replace(CALLER, has_gdb=False), PROCESS, ["gdb is not installed", "apt-get install gdb"]),
        (CALLER, replace(PROCESS, machine="aarch64"), ["for aarch64, on x86_64"]),
        (CALLER, replace(PROCESS, same_network=False), ["network namespace", "--network container:NAME"]),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_with_what_gives_it(
    caller: Caller, process: Process, words: list[str]
) -> None:
    told = said(caller, process)
    assert [word for word in words if word not in told] == []
    assert told.count("\n") == 0


def test_files_out_of_reach_are_told_by_name() -> None:
    paths = [f"/opt/{name}" for name in "dcba"]
    assert "user 1000 cannot open: /opt/a, /opt/b, /opt/c and 1 more: install" in said(
        CALLER, PROCESS, *paths
    )
    elsewhere = said(CALLER, replace(PROCESS, same_mounts=False), "/opt/a")
    assert "in another container, where these are not: /opt/a" in elsewhere
    assert "on a volume that both have at the same path" in elsewhere


def test_what_gdb_says_is_translated() -> None:
    assert "SYS_PTRACE" in str(explanation("ptrace: Operation not permitted.\n"))
    assert "as by an upgrade" in str(explanation("No symbol mmap"))
    assert explanation("Inferior 1 detached") is None


def test_the_words_are_run_on_the_spot_only_where_the_main_thread_is_parked() -> None:
    functions = {name: number for number, name in enumerate(injection._FUNCTIONS, 4096)}
    waits = injection.gdb_script("/x/words", 70000, Parked(202, 4096), functions)
    assert "if $orig_rax == 202 && $rdi == 4096" in waits
    assert "4096)(0, 131072, 3" in waits
    assert "if 0\n" in injection.gdb_script("/x/words", 10, None, functions)
    assert "if 0\n" in injection.gdb_script(
        "/x/words", 10, Parked(9, 4096), functions
    )  # mmap: perhaps within malloc


def test_the_words_start_a_thread_and_nothing_else() -> None:
    source = injection.words({"report": "nobody's", "packages": {}})
    assert "\0" not in source
    code = f"before = set(globals()); exec({source!r}); print(set(globals()) - before)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "{'before'}\n"


def test_a_process_is_looked_at_without_touching_it(tmp_path: Path) -> None:
    with running(tmp_path, "import sys; print('up', flush=True); sys.stdin.read()") as program:
        program.hear()
        seen = facts.of_process(program.pid)
        assert (seen.version, seen.implementation) == (sys.version_info[:2], "python")
        assert (seen.uid, seen.has_one_user, seen.tracer) == (os.getuid(), True, 0)
        assert (seen.same_mounts, seen.same_network, seen.machine) == (True, True, os.uname().machine)
        assert eventually(lambda: facts.parked(program.pid), "the program to wait for its input") == Parked(
            0, 0
        )
    with pytest.raises(facts.NoSuchProcess, match=f"there is no process {program.pid} here"):
        facts.of_process(program.pid)


def test_functions_are_found_where_they_are(tmp_path: Path) -> None:
    source = """
        import ctypes
        import sys
        for name in ("PyRun_SimpleString", "mmap"):
            print(ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value, flush=True)
        sys.stdin.read()
        """
    with running(tmp_path, source) as program:
        real = {name: int(program.hear()) for name in ("PyRun_SimpleString", "mmap")}
        assert symbols.addresses(program.pid, real) == real
        with pytest.raises(symbols.NoSuchFunction, match="Py_NoSuchThing"):
            symbols.addresses(program.pid, ["mmap", "Py_NoSuchThing"])


def test_a_function_whose_code_is_not_what_its_file_says_is_not_found(tmp_path: Path) -> None:
    source = """
        import ctypes
        import sys
        code = ctypes.cast(ctypes.pythonapi.PyRun_SimpleString, ctypes.c_void_p).value
        page = code & ~4095
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), 8192, 7) == 0
        ctypes.memset(code, 0x90, 1)
        print("up", flush=True)
        sys.stdin.read()
        """
    with running(tmp_path, source) as program:
        assert program.hear() == "up"
        with pytest.raises(symbols.NoSuchFunction, match="PyRun_SimpleString"):
            symbols.addresses(program.pid, injection._FUNCTIONS)


def test_a_program_that_is_not_python_is_known_as_such() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
        assert eventually(lambda: facts.of_process(cat.pid).executable.endswith("/cat"), "cat")
        assert facts.of_process(cat.pid).version is None
        assert cat.stdin is not None
        cat.stdin.close()


def test_a_busy_main_thread_is_not_parked(tmp_path: Path) -> None:
    with running(tmp_path, "print('up', flush=True)\nwhile True: pass") as program:
        program.hear()
        assert facts.parked(program.pid) is None


def test_permissions_are_those_of_the_other_user(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    file, hidden = place / "file", place / "hidden"
    file.write_text("")
    file.chmod(0o644)
    hidden.write_text("")
    hidden.chmod(0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "socket"))
    (place / "socket").chmod(0o644)
    stranger = replace(PROCESS, uid=os.getuid() + 77777, pid=os.getpid())
    for directory in (place, *place.parents[:3]):
        directory.chmod(directory.stat().st_mode | 0o011) if directory.stat().st_uid == os.getuid() else None
    reach = [path for path in (file, hidden, place / "socket", place / "none") if not _out(stranger, path)]
    assert reach == [file]
    place.chmod(0o700)
    assert _out(stranger, file)
    assert not _out(replace(stranger, uid=os.getuid()), file)
    assert not _out(replace(stranger, uid=0), hidden)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a mount namespace")
def test_a_directory_of_the_same_name_in_another_container_is_not_the_same(tmp_path: Path) -> None:
    apart = "mount --make-rprivate / && mount -t tmpfs none /tmp && echo up && exec cat"
    words = ["unshare", "--mount", "sh", "-c", apart]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"up\n"
        seen = facts.of_process(process.pid)
        assert not seen.same_mounts
        assert facts.out_of_reach(seen, ["/tmp"], ["/usr"]) == []  # noqa: S108 - the name is in question
        assert facts.out_of_reach(seen, [], ["/tmp"]) == ["/tmp"]  # noqa: S108
        process.stdin.close()


def _out(process: Process, path: Path) -> bool:
    return bool(facts.out_of_reach(process, [str(path)]))


def attach(program: Program | int, *options: str) -> "subprocess.Popen[str]":
    pid = program if isinstance(program, int) else program.pid
    return subprocess.Popen(
        [*SONDE_ATTACH, str(pid), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean_environment(), "SONDE_SITE": "/nowhere"},
    )


def told(attaching: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = attaching.communicate(timeout=PATIENCE * 2)
    return attaching.returncode, out, err


def to(sidecar: FakeSidecar) -> tuple[str, ...]:
    return "--sidecar", sidecar.address, "--token-file", str(sidecar.token_file)


ASKED = """
    import sys
    before = list(sys.path), [type(each).__name__ for each in sys.meta_path]
    print("up", flush=True)
    for line in sys.stdin:
        print(eval(line), flush=True)
    """


@pytest.mark.parametrize(("parked", "used"), [(Parked(0, 0), "gdb"), (None, "sys.remote_exec")])
def test_a_parked_main_thread_is_reached_by_gdb_also_from_3_14_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, parked: Parked | None, used: str
) -> None:
    def fail(*_: object) -> None:
        raise injection.InjectionFailed("No such process")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(facts, "parked", lambda _: parked)
    monkeypatch.setattr(facts, "of_caller", lambda: CALLER)
    monkeypatch.setattr(injection, "by_gdb", fail)
    monkeypatch.setattr(injection, "by_remote_exec", fail)
    outcome = command.attach(PROCESS, "sys.remote_exec", command.Place("unix:/x", None), {}, 0.1)
    assert (outcome.state, outcome.way) == ("failed", used)
    assert "has ended meanwhile" in str(outcome.problems[0])


@needs_gdb
def test_a_program_that_waits_gets_the_tap_and_goes_on(sidecar: FakeSidecar, tmp_path: Path) -> None:
    """It has none of our packages, and finds these and nothing else."""
    with running(tmp_path, ASKED, command=(sys.executable, "-S")) as program:
        program.hear()
        attaching = attach(program, "--service", "shop", "--label", "a=b", *to(sidecar))
        line, hello = sidecar.welcome()
        assert (hello.pid, hello.service, hello.labels) == (program.pid, "shop", {"a": "b"})
        assert told(attaching) == (0, f"process {program.pid} can be seen now: default/shop/1\n", "")
        program.tell(
            "(sys.path == before[0], [type(each).__name__ for each in sys.meta_path][len(before[1]):])"
        )
        assert program.hear() == "(True, ['Finder'])"
        program.tell("(__import__('os').environ.get('SONDE_SIDECAR_TOKEN_FILE'), sorted(globals()))")
        named = [
            "__annotations__",
            "__builtins__",
            "__cached__",
            "__doc__",
            "__file__",
            "__loader__",
            "__name__",
        ]
        assert program.hear() == f"(None, {[*named, '__package__', '__spec__', 'before', 'line', 'sys']})"
        program.tell("[thread.name for thread in __import__('threading').enumerate()]")
        assert program.hear() == "['MainThread', 'sonde-tap']"
        assert line.value("stacks")["threads"]
        again = f"process {program.pid} has the tap already: default/shop/1\n"
        assert told(attach(program, *to(sidecar))) == (0, again, "")
        assert program.end() == (0, "", "")


@needs_gdb
def test_a_program_that_computes_in_threads_gets_it_at_a_safe_point(
    sidecar: FakeSidecar, tmp_path: Path
) -> None:
    source = """
        import json
        import threading
        def compute():
            while True:
                json.loads(json.dumps({str(each): [each] * 5 for each in range(100)}))
        for _ in range(2):
            threading.Thread(target=compute, daemon=True).start()
        print("up", flush=True)
        compute()
        """
    with running(tmp_path, source) as program:
        program.hear()
        attaching = attach(program, "--json", *to(sidecar))
        sidecar.welcome()
        code, output, _ = told(attaching)
        assert (code, json.loads(output)["state"]) == (0, "attached")
        assert program.process.poll() is None


@needs_gdb
def test_without_a_sidecar_one_is_started_that_ends_with_the_process(tmp_path: Path) -> None:
    with running(tmp_path, ASKED) as program:
        program.hear()
        code, output, errors = told(attach(program, "--json"))
        document = json.loads(output)
        assert (code, document["state"]) == (0, "attached")
        assert document["process"].startswith("default/program/")
        assert errors.startswith("sonde: no bus is known")
        directory = Path(document["sidecar"].removeprefix("unix:")).parent
        assert directory.stat().st_mode & 0o777 == 0o700
    assert eventually(lambda: not directory.exists(), "the sidecar to end")


@needs_gdb
def test_a_sidecar_that_refuses_or_is_not_there_is_told(sidecar: FakeSidecar, tmp_path: Path) -> None:
    with running(tmp_path, ASKED) as program:
        program.hear()
        attaching = attach(program, *to(sidecar))
        line, _ = sidecar.accept()
        line.send(link.Refusal(reason="bad_token", message="the token is another sidecar's"))
        code, _, errors = told(attaching)
        assert code == 1
        assert "the token is another sidecar's" in errors
    with running(tmp_path, ASKED) as program:
        program.hear()
        code, _, errors = told(attach(program, "--sidecar", "tcp:127.0.0.1:1", "--timeout", "0.2"))
        assert code == 3
        assert "the tap is there, but no sidecar knows it yet: the sidecar cannot be reached" in errors
        assert program.end() == (0, "", "")


@needs_gdb
def test_checking_touches_nothing(tmp_path: Path) -> None:
    with running(tmp_path, ASKED) as program:
        program.hear()
        assert told(attach(program, "--check")) == (
            0,
            f"process {program.pid} can be attached to, by {facts_way()}\n",
            "",
        )
        program.tell("'sonde_agent' in sys.modules")
        assert program.hear() == "False"


def facts_way() -> str:
    return "sys.remote_exec" if sys.version_info >= (3, 14) else "gdb"


def test_what_cannot_be_attached_to_is_told(tmp_path: Path) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as cat:
        assert eventually(lambda: facts.of_process(cat.pid).executable.endswith("/cat"), "cat")
        code, output, errors = told(attach(cat.pid))
        assert (code, output) == (1, "")
        assert errors.startswith(f"sonde: process {cat.pid} cannot be attached to\n")
        code, output, errors = told(attach(cat.pid, "--json", "--check"))
        assert (code, json.loads(output)["state"], errors) == (1, "impossible", "")
        assert cat.stdin is not None
        cat.stdin.close()
    assert told(attach(cat.pid))[::2] == (1, f"sonde: {facts.NoSuchProcess(cat.pid)}\n")


def test_the_command_line_passes_it_on() -> None:
    typed = [sys.executable, "-m", "sonde_viewer", "attach", "--help"]
    done = subprocess.run(typed, capture_output=True, text=True, timeout=30, check=True)
    assert "sonde attach 4242 --check" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["x"], "'x' is not a process id"),
        (["1", "--service", "Bad Name"], "cannot be the service"),
        (["1", "--sidecar", "http://x"], "is not a sidecar's address"),
        (["1", "--label", "x"], "key=value"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], problem: str) -> None:
    done = subprocess.run(
        [*SONDE_ATTACH, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=clean_environment(),
        check=False,
    )
    assert done.returncode == 2
    assert problem in done.stderr
