"""Gets a few words of Python to run in another process.

The words only start a thread, which then waits for the interpreter as any thread does, and reads `inside.py`: the less
runs in a place that was interrupted, the better.

gdb stops the process wherever it is, most likely in the midst of an allocation. Whatever allocates there may wait for
a lock that the stopped thread holds, for ever: debugpy's own way in, which calls dlopen and runs Python on the spot,
wedged a busy program at the 21st of 21 attempts. So memory comes from mmap, which takes no lock, and the interpreter is
asked to run the words at its next safe point. Only a main thread that is parked in the kernel runs them on the spot,
because it may never come to one; there it holds nothing. Not one that waits for the interpreter itself: it would wait
twice on one condition variable, which never ends.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sonde_agent.attach import facts, symbols

INSIDE = str(Path(__file__).with_name("inside.py"))
_THREAD = """\
def sonde(told):
    try:
        with open(told["inside"], encoding="utf-8") as file:
            code = compile(file.read(), told["inside"], "exec")
        scope = {{"__name__": "sonde_agent.attach.inside"}}
        exec(code, scope)
        scope["begin"](told)
    except BaseException as error:
        import json, socket
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.connect("\\0" + told["report"])
                line.sendall(json.dumps({{"state": "failed", "problem": str(error)}}).encode() + b"\\n")
        except BaseException:
            pass
sonde({told!r})
"""
_WORDS = """\
try:
    import threading, _thread
    _thread.start_new_thread(exec, ({thread!r}, {{}}))
except BaseException:
    pass
"""
"""`threading` takes the thread that imports it first for the main one, so it is imported here, in the main one."""
_WAITING = frozenset(
    # read, poll, select, pause, nanosleep, connect, accept, recvfrom, recvmsg, wait4, flock, rt_sigtimedwait,
    # rt_sigsuspend, futex, restart_syscall, clock_nanosleep, epoll_wait, waitid, pselect6, ppoll, epoll_pwait,
    # accept4, epoll_pwait2
    (0, 7, 23, 34, 35, 42, 43, 45, 47, 61, 73, 128, 130, 202, 219, 230, 232, 247, 270, 271, 281, 288, 441)
)
"""System calls that only wait, on x86_64. Others, such as mmap, may be made while a lock is held."""
_GDB = """\
set $at = ((long (*)(long, long, int, int, int, long)){mmap})(0, {size}, 3, 0x22, -1, 0)
restore {file} binary $at
if {parked}
  set $state = ((int (*)(void)){PyGILState_Ensure})()
  set $result = ((int (*)(long)){PyRun_SimpleString})($at)
  call ((void (*)(int)){PyGILState_Release})($state)
else
  set $result = ((int (*)(long, long)){Py_AddPendingCall})({PyRun_SimpleString}, $at)
end
printf "sonde: done %d\\n", $result
detach
"""
_FUNCTIONS = (
    "mmap",
    "PyGILState_Ensure",
    "PyRun_SimpleString",
    "PyGILState_Release",
    "Py_AddPendingCall",
)
_DONE = "sonde: done 0"
_GDB_QUIETLY = (
    *("gdb", "-nx", "-nh", "-q", "-batch", "-readnever"),
    *("-iex", "set auto-load off", "-iex", "set auto-solib-add off"),
)
"""Without anything that it would read about the program, which would stand meanwhile: the addresses are known."""
_PAGE = 65536


class TracerHangs(Exception):
    """`pid` is gdb's. It was left alone, because a process that loses its tracer in the midst of a call crashes."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


class InjectionFailed(Exception):
    """`output` is what was said about it; not for people."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output


def words(told: Mapping[str, Any]) -> str:
    """Python source; `told` is for `inside.begin`, and JSON."""
    plain = json.loads(json.dumps({**told, "inside": INSIDE}))
    # in a namespace of its own: what runs them gives them that of `__main__`
    return f"exec({_WORDS.format(thread=_THREAD.format(told=plain))!r}, {{}})\n"


def gdb_script(file: str, length: int, parked: facts.Parked | None, functions: Mapping[str, int]) -> str:
    """Commands for a gdb that has attached; `file` holds the words and a zero byte, `length` in all. That the main
    thread was parked is looked at again: it may have gone on since."""
    size = (length + _PAGE - 1) // _PAGE * _PAGE
    on_the_spot = "0"
    if parked is not None and parked.call in _WAITING:
        on_the_spot = f"$orig_rax == {parked.call} && $rdi == {parked.argument}"
    return _GDB.format(size=size, file=file, parked=on_the_spot, **functions)


def by_gdb(pid: int, source: str, parked: facts.Parked | None, timeout: float) -> None:
    """The process runs `source` soon, or has run it. Raises `TracerHangs`, `InjectionFailed`."""
    try:
        functions = symbols.addresses(pid, _FUNCTIONS)
    except (OSError, symbols.NoSuchFunction) as error:
        raise InjectionFailed(f"No symbol {error}") from None
    environment = {
        name: value
        for name, value in os.environ.items()
        # gdb has a Python of its own inside; and it would ask the network for symbols
        if not name.startswith("PYTHON") and name != "DEBUGINFOD_URLS"
    }
    with tempfile.TemporaryDirectory(prefix="sonde-attach-") as directory, tempfile.TemporaryFile() as output:
        file, script = Path(directory, "words"), Path(directory, "script")
        data = source.encode() + b"\0"
        file.write_bytes(data)
        script.write_text(gdb_script(str(file), len(data), parked, functions))
        process = subprocess.Popen(
            [*_GDB_QUIETLY, "-p", str(pid), "-x", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,  # Ctrl-C must not end it in the midst of a call
        )
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TracerHangs(process.pid) from None
        output.seek(0)
        said = output.read().decode(errors="replace")
    if _DONE not in said:  # its exit code says little
        raise InjectionFailed(said)


def write_script() -> str:
    """The path of a new file that everybody can read: it holds nothing secret."""
    handle, path = tempfile.mkstemp(prefix="sonde-attach-", suffix=".py")
    os.fchmod(handle, 0o644)
    os.close(handle)
    return path


def by_remote_exec(pid: int, source: str, script: str) -> None:
    """The process reads `script` at its next safe point, which may be later. Raises `InjectionFailed`."""
    remote_exec = getattr(sys, "remote_exec")  # noqa: B009 - from 3.14 on
    Path(script).write_text(source)
    try:
        remote_exec(pid, script)
    except (OSError, RuntimeError, ValueError) as error:
        with suppress(OSError):
            Path(script).unlink()
        raise InjectionFailed(f"{type(error).__name__}: {error}") from None
