"""What the operating system says of a process, and where it lets it run."""

import contextlib
import os
import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

SERVER_CPU = 0
LOAD_CPU = 1
_MIB = 1024 * 1024


@contextlib.contextmanager
def on_cpu(number: int) -> Iterator[None]:
    """What is started inside runs on this core alone, with all its threads and children; with one core, anywhere."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(before)[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def open_many_files() -> None:
    """As many as this user may, also for the programs started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def busy(pids: Iterable[int]) -> float:
    """CPU seconds of these processes, user and system, to the nanosecond where Linux counts them."""
    return sum(_busy(pid) for pid in pids)


def _busy(pid: int) -> float:
    total = 0
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    except FileNotFoundError:
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return total / 1e9


def memory(pids: Iterable[int]) -> float:
    """MiB in use (RSS)."""
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / _MIB


def family(pid: int) -> tuple[int, ...]:
    """A process and what it has started."""
    return (pid, *(child.pid for child in psutil.Process(pid).children(recursive=True)))
