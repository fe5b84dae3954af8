"""Whether a process can be attached to, and how. A pure core: facts in, a way or problems out.

    REMOTE_EXEC  the process and we run the same Python, 3.14 or newer: it runs our words itself, at its next safe
                 point (PEP 768)
    GDB          gdb stops the process for a moment, and asks its interpreter to run them

Both need the right to trace the process. Each problem says what is missing and what gives it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from sonde_agent.attach.facts import Caller, Process

OLDEST = (3, 11)
FIRST_WITH_REMOTE_EXEC = (3, 14)


class Way(Enum):
    REMOTE_EXEC = "sys.remote_exec"
    GDB = "gdb"


@dataclass(frozen=True)
class Problem:
    missing: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.missing}: {self.remedy}"


def way(caller: Caller, process: Process) -> Way:
    """gdb also for a 3.14 that is not ours: the layout that `remote_exec` reads must be the same."""
    same = process.version == caller.version
    return Way.REMOTE_EXEC if same and caller.version >= FIRST_WITH_REMOTE_EXEC else Way.GDB


def problems(caller: Caller, process: Process, out_of_reach: Collection[str]) -> list[Problem]:
    """None: it can be tried. `out_of_reach` are the files that the process would need but cannot open."""
    if process.state in {"Z", "X"}:
        return [Problem(f"process {process.pid} has ended", "its parent has not collected it yet")]
    found = _about_rights(caller, process)
    if not process.may_trace:
        return found  # what else could be said was not to be seen
    found += _about_python(process)
    if process.state in {"T", "t"} and not process.tracer:
        found.append(Problem("it is stopped by a signal", f"let it run first: kill -CONT {process.pid}"))
    if way(caller, process) is Way.GDB:
        found += _about_tools(caller, process)
    if not process.same_network:
        found.append(
            Problem(
                "it is in another network namespace, from which it cannot report",
                "run this in its pod, or with `docker run --network container:NAME --pid container:NAME`",
            )
        )
    if out_of_reach:
        found.append(_about_reach(process, sorted(out_of_reach)))
    return found


def _about_rights(caller: Caller, process: Process) -> list[Problem]:
    if process.tracer:
        return [
            Problem(
                f"process {process.tracer} traces it already, and there can be one tracer only",
                "end that debugger or strace first",
            )
        ]
    if process.may_trace:
        return []
    root = f"run it as root (sudo sonde attach {process.pid})"
    capability = "in a container add the capability SYS_PTRACE (docker run --cap-add SYS_PTRACE; in Kubernetes securityContext.capabilities.add)"
    if caller.yama == 3:
        return [
            Problem(
                "the kernel allows nobody to trace anything (kernel.yama.ptrace_scope is 3)",
                "only a reboot with another value changes that; start the program with `sonde run` instead",
            )
        ]
    if caller.can_trace_all:
        return [
            Problem(
                "the kernel refuses to trace it, although we have CAP_SYS_PTRACE",
                "it is in another user namespace or under a security module (AppArmor, SELinux): run this "
                "outside of the container, or start the program with `sonde run`",
            )
        ]
    if caller.uid != process.uid:
        return [
            Problem(
                f"it belongs to user {process.uid} and we are user {caller.uid}",
                f"run this as that user, or {root}; {capability}",
            )
        ]
    if caller.yama == 2:
        return [
            Problem(
                "only who has CAP_SYS_PTRACE may trace (kernel.yama.ptrace_scope is 2)",
                f"{root}; {capability}",
            )
        ]
    if caller.yama == 1:
        return [
            Problem(
                "a process may trace only its own children here (kernel.yama.ptrace_scope is 1)",
                f"{root}, or allow it until the next boot: sudo sysctl kernel.yama.ptrace_scope=0; {capability}",
            )
        ]
    if not process.has_one_user or process.protects_itself:
        return [
            Problem(
                "it protects itself, as programs do that have changed their user",
                f"{root}; {capability}",
            )
        ]
    return [
        Problem(
            "the kernel refuses to trace it",
            f"{root}; {capability}; a seccomp profile must allow ptrace and process_vm_readv",
        )
    ]


def _about_python(process: Process) -> list[Problem]:
    program = process.executable or "its program"
    if process.implementation == "pypy":
        return [Problem(f"{program} is PyPy", "only CPython can be attached to; start it with `sonde run`")]
    if process.version is None:
        return [
            Problem(f"{program} is not Python, nor has it Python inside", "look for the process with `ps`")
        ]
    if process.version < OLDEST:
        version = ".".join(map(str, process.version))
        return [Problem(f"it runs Python {version}", f"Sonde needs {'.'.join(map(str, OLDEST))} or newer")]
    return []


def _about_tools(caller: Caller, process: Process) -> list[Problem]:
    if not caller.has_gdb:
        return [
            Problem(
                "gdb is not installed",
                "install it where you run this (apt-get install gdb); where both run Python 3.14 it is not needed",
            )
        ]
    if process.machine and process.machine != caller.machine:
        return [
            Problem(f"it is a program for {process.machine}, on {caller.machine}", "gdb cannot call into it")
        ]
    return []


def _about_reach(process: Process, paths: list[str]) -> Problem:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    named = ", ".join(paths[:3]) + more
    if not process.same_mounts:
        return Problem(
            f"it is in another container, where these are not: {named}",
            "put Sonde, debugpy, TMPDIR and the sidecar's socket on a volume that both have at the same path "
            "(pip install --target)",
        )
    return Problem(
        f"user {process.uid} cannot open: {named}",
        "install Sonde where that user can read it, or run this as that user",
    )


def explanation(output: str) -> Problem | None:
    """What the output of gdb or `remote_exec` means."""
    for sign, problem in _SIGNS.items():
        if sign in output:
            return problem
    return None


_SIGNS: Mapping[str, Problem] = {
    "Operation not permitted": Problem(
        "the kernel refuses ptrace",
        "a seccomp profile or a security module forbids it: in a container add the capability SYS_PTRACE",
    ),
    "No such process": Problem("the process has ended meanwhile", "look for it with `ps`"),
    "No symbol": Problem(
        "the interpreter is not found in the process",
        "its files were replaced since it began, as by an upgrade, or are out of sight, as in a chroot: run this "
        "where the program runs, or start it anew with `sonde run`",
    ),
}
