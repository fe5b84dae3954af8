"""What `sonde attach` must know before it touches a process, as the kernel tells it (proc(5)). Nothing is changed."""

import os
import platform
import re
import shutil
import stat
import struct
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CAP_SYS_PTRACE = 19
_PARKED_FOR = 0.15
"""Seconds."""
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
_PYTHON = re.compile(r"/(?:lib)?(python|pypy)(\d+\.\d+)")
_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
"""elf(5), e_machine; the names are uname's."""


class NoSuchProcess(Exception):
    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid

    def __str__(self) -> str:
        return f"there is no process {self.pid} here; in a container it has another number than outside"


@dataclass(frozen=True, kw_only=True)
class Process:
    """The one to attach to. What cannot be read for want of rights is None or empty."""

    pid: int
    state: str
    """One letter, as in proc_pid_stat(5)."""
    uid: int
    """Its real one, which is also its effective and saved one unless `has_one_user` is false."""
    has_one_user: bool
    gids: frozenset[int] = frozenset()
    protects_itself: bool = False
    """Not dumpable, as after setuid: only CAP_SYS_PTRACE may look into it."""
    tracer: int = 0
    """The process that traces it now."""
    may_trace: bool = True
    """What the kernel says to us, all things considered."""
    executable: str = ""
    implementation: str | None = None
    """python or pypy."""
    version: tuple[int, int] | None = None
    machine: str = ""
    same_mounts: bool = True
    same_network: bool = True


@dataclass(frozen=True, kw_only=True)
class Caller:
    """This process and its tools."""

    uid: int
    can_trace_all: bool
    """CAP_SYS_PTRACE, as root has it outside of containers."""
    yama: int | None
    """ptrace_scope, 0 to 3; None where the kernel has no Yama."""
    version: tuple[int, int]
    machine: str
    has_gdb: bool


def of_process(pid: int) -> Process:
    """Raises `NoSuchProcess`."""
    place = Path(f"/proc/{pid}")
    try:
        status = _status(place)
        owner = place.stat().st_uid
    except OSError:
        raise NoSuchProcess(pid) from None
    uids = [int(word) for word in status["Uid"].split()]
    gids = {int(word) for word in (status["Gid"] + " " + status.get("Groups", "")).split()}
    executable = _link(place / "exe")
    implementation, version = _python(executable, place)
    return Process(
        pid=pid,
        state=status["State"][:1],
        uid=uids[0],
        has_one_user=len({*uids[:3]}) == 1,
        gids=frozenset(gids),
        protects_itself=owner != uids[1],
        tracer=int(status.get("TracerPid", "0")),
        may_trace=_may_trace(place),
        executable=executable,
        implementation=implementation,
        version=version,
        machine=_machine(place / "exe"),
        same_mounts=_same_namespace(place, "mnt"),
        same_network=_same_namespace(place, "net"),
    )


def of_caller() -> Caller:
    capabilities = int(_status(Path("/proc/self")).get("CapEff", "0"), 16)
    return Caller(
        uid=os.geteuid(),
        can_trace_all=bool(capabilities >> CAP_SYS_PTRACE & 1),
        yama=_number(_YAMA),
        version=sys.version_info[:2],
        machine=platform.machine(),
        has_gdb=shutil.which("gdb") is not None,
    )


@dataclass(frozen=True)
class Parked:
    """What a main thread waits for, in the kernel."""

    call: int
    argument: int
    """The first of the call: a descriptor, or an address."""


def parked(pid: int) -> Parked | None:
    """None when it runs, or has run within the time of this look. Whoever waits for the interpreter looks for it each
    5 ms, which the kernel counts."""
    place = Path(f"/proc/{pid}")
    before = _standing(place)
    time.sleep(_PARKED_FOR)
    try:
        words = before[0].split()
        same = len(words) > 2 and before == _standing(place)
        return Parked(int(words[0]), int(words[1], 16)) if same else None
    except ValueError:
        return None


def _standing(place: Path) -> tuple[str, ...]:
    try:
        status = _status(place)
        return (
            (place / "syscall").read_text(),
            status.get("voluntary_ctxt_switches", ""),
            status.get("nonvoluntary_ctxt_switches", ""),
        )
    except OSError:
        return ("",)


def packages() -> dict[str, str]:
    """Where the two packages are that the tap needs."""
    from importlib.util import find_spec

    places = {"sonde_agent": str(Path(__file__).parent.parent.parent)}
    spec = find_spec("debugpy")
    if spec is not None and spec.origin:
        places["debugpy"] = str(Path(spec.origin).parent.parent)
    return places


def out_of_reach(process: Process, needed: Iterable[str], shared: Iterable[str] = ()) -> list[str]:
    """Those that the process cannot open: they are not there in its container, or not for its user. Those that are
    `shared` must be the same there, not only of the same name."""
    root = Path(f"/proc/{process.pid}/root") if not process.same_mounts else Path("/")
    found = [path for path in needed if not _can_read(process, root, Path(path))]
    return found + [
        path for path in shared if not _is_same(root, path) or not _can_read(process, root, Path(path))
    ]


def _is_same(root: Path, path: str) -> bool:
    try:
        return (root / path.lstrip("/")).samefile(path)
    except OSError:
        return False


def _can_read(process: Process, root: Path, path: Path) -> bool:
    """By the permissions of it and of each directory on the way, as path_resolution(7) has it."""
    steps = [*reversed(path.parents), path]
    try:
        modes = [(root / step.relative_to("/")).stat() for step in steps]
    except OSError:
        return False
    if process.uid == 0:
        return True
    wanted = [0o1 if stat.S_ISDIR(mode.st_mode) else 0o4 for mode in modes]
    if stat.S_ISSOCK(modes[-1].st_mode):
        wanted[-1] = 0o2
    return all(_bits(process, mode) & bit for mode, bit in zip(modes, wanted, strict=True))


def _bits(process: Process, mode: os.stat_result) -> int:
    if mode.st_uid == process.uid:
        return mode.st_mode >> 6
    return mode.st_mode >> 3 if mode.st_gid in process.gids else mode.st_mode


def _status(place: Path) -> dict[str, str]:
    lines = (place / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _may_trace(place: Path) -> bool:
    """Opening the memory is allowed by exactly the rules that ptrace(2) goes by, and changes nothing."""
    try:
        os.close(os.open(place / "mem", os.O_RDONLY))
    except OSError:
        return False
    return True


def _link(path: Path) -> str:
    try:
        return str(path.readlink()).removesuffix(" (deleted)")
    except OSError:
        return ""


def _python(executable: str, place: Path) -> tuple[str | None, tuple[int, int] | None]:
    """From the executable's name, else from the files that it has mapped: a program may have Python inside."""
    candidates = [executable]
    with suppress(OSError):
        candidates += (place / "maps").read_text(errors="replace").splitlines()
    for text in candidates:
        if found := _PYTHON.search(text):
            major, _, minor = found[2].partition(".")
            return found[1], (int(major), int(minor))
    return None, None


def _machine(executable: Path) -> str:
    """elf(5): e_machine, in the byte order that e_ident says."""
    try:
        with executable.open("rb") as file:
            head = file.read(20)
    except OSError:
        return ""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    number = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0]
    return _MACHINES.get(number, f"machine {number}")


def _same_namespace(place: Path, name: str) -> bool:
    """True also where that may not be read; it fails for that reason then."""
    theirs = _link(place / "ns" / name)
    return not theirs or theirs == _link(Path("/proc/self/ns") / name)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
