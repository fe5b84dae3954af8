"""What the watched process uses, once a second: read from outside, and as its tap reports it.

A field that cannot be read (missing rights, a process of another user or another namespace, a tap that is silent or
speaks nonsense) is absent, and `unavailable` says why. Without a pid the tap's part is all there is.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psutil
from msgspec import Meta

from sonde_agent import link
from sonde_wire import MalformedMessage, bus, codec

EVERY = 1.0
"""Seconds between samples."""
SILENT_AFTER = 5.0
"""Seconds after which the last report no longer says how things are."""
MOST_OPERATION_BYTES = 96 * 1024
"""Brokers take a little more for the whole message. The busiest operations are told."""
_SCAN_EVERY = 5
"""Samples. Where the kernel does not list a process's children, all processes must be looked through."""

_FROM_OUTSIDE = (
    "cpu_percent",
    "memory_rss",
    "threads",
    "open_fds",
    "context_switches_voluntary",
    "context_switches_involuntary",
    "children",
)
_PEAKS = tuple(bus.Peaks.__struct_fields__)
_Count = Annotated[int, Meta(ge=0, le=2**53)]
_FROM_TAP: Mapping[str, Any] = {
    "gc_collections": _Count,
    "gc_collected": _Count,
    "gc_uncollectable": _Count,
    "event_loop_lag": Annotated[float, Meta(ge=0, lt=1e9)],
    "operations_dropped": _Count,
}
_NO_PID = "the sidecar cannot see the process from where it runs: share the pod's process namespace"
_HIDDEN = "the system does not show the sidecar this process (hidepid), or it has ended"
_DENIED = "the sidecar may not read it: it needs the same user"
_MALFORMED = "the process's agent reported something malformed"
_NO_REPORT = "the process's agent has not reported yet"

Report = tuple[float, link.Report]
"""When it came (monotonic), and what it says."""


class Sampler:
    """Of one process. Its first sample has no CPU figure: that needs two points in time. `pid` is None when it is
    not known here."""

    def __init__(self, process: str, boot: str, pid: int | None) -> None:
        self._process = process
        self._boot = boot
        self._pid = pid
        self._watched: psutil.Process | None = None
        self._cpu: tuple[float, float] | None = None
        self._children: int | None = None
        self._scanned = 0
        self._peaks: dict[str, Any] = {}
        self._outside: tuple[dict[str, Any], dict[str, str]] | None = None
        """What was last read from outside, and what could not be."""

    def sample(self, report: Report | None, now: float) -> bus.Metrics | None:
        """`report` is the newest, `now` monotonic. None when the process has ended and waits for its parent."""
        fields: dict[str, Any] = {}
        unavailable: dict[str, str] = {}
        try:
            watched = self._watched = self._watched or (psutil.Process(self._pid) if self._pid else None)
            if watched is None:
                unavailable.update(dict.fromkeys(_FROM_OUTSIDE, _NO_PID))
            elif watched.status() == psutil.STATUS_ZOMBIE:
                return None
            else:
                self._read(watched, now, fields, unavailable)
        except psutil.NoSuchProcess:
            fields.clear()
            unavailable = dict.fromkeys(_FROM_OUTSIDE, _HIDDEN)
        except psutil.AccessDenied:
            fields.clear()
            unavailable = dict.fromkeys(_FROM_OUTSIDE, _DENIED)
        if fields or self._outside is None:  # else it may just have ended
            self._outside = dict(fields), dict(unavailable)
        _read_report(report, now, fields, unavailable)
        return self._made(fields, unavailable)

    def last(self, report: Report | None) -> bus.Metrics | None:
        """What is left to be told of a process that has ended: what was last read of it from outside, and its tap's newest
        report, however old. None when nothing was ever read."""
        if self._outside is None:
            return None
        fields, unavailable = dict(self._outside[0]), dict(self._outside[1])
        _read_report(report, report[0] if report else 0.0, fields, unavailable)
        return self._made(fields, unavailable)

    def _made(self, fields: dict[str, Any], unavailable: dict[str, str]) -> bus.Metrics:
        for name in _PEAKS:
            if (value := fields.get(name)) is not None:
                self._peaks[name] = max(value, self._peaks.get(name, value))
        return bus.Metrics(
            process=self._process,
            boot=self._boot,
            time=time.time(),
            peaks=bus.Peaks(**self._peaks) if self._peaks else None,
            unavailable=unavailable,
            **fields,
        )

    def _read(
        self, watched: psutil.Process, now: float, fields: dict[str, Any], unavailable: dict[str, str]
    ) -> None:
        def read(names: tuple[str, ...], how: Callable[[], tuple[float | None, ...]]) -> None:
            try:
                values = how()
            except psutil.AccessDenied:
                unavailable.update(dict.fromkeys(names, _DENIED))
                return
            except OSError as error:
                why = f"the system does not tell it ({type(error).__name__})"
                unavailable.update(dict.fromkeys(names, why))
                return
            for name, value in zip(names, values, strict=True):
                if value is not None:
                    fields[name] = value

        with watched.oneshot():
            read(("cpu_percent",), lambda: (self._cpu_percent(watched, now),))
            read(("memory_rss",), lambda: (watched.memory_info().rss,))
            read(("threads",), lambda: (watched.num_threads(),))
            read(("open_fds",), lambda: (watched.num_fds(),))
            read(
                ("context_switches_voluntary", "context_switches_involuntary"),
                lambda: tuple(watched.num_ctx_switches()),
            )
        read(("children",), lambda: (self._count_children(watched),))
        if "cpu_percent" not in fields:
            unavailable.setdefault("cpu_percent", "it is known from the second sample on")

    def _cpu_percent(self, watched: psutil.Process, now: float) -> float | None:
        times = watched.cpu_times()
        used = times.user + times.system
        before, self._cpu = self._cpu, (now, used)
        if before is None or now <= before[0]:
            return None
        return round(max(0.0, used - before[1]) / (now - before[0]) * 100, 1)

    def _count_children(self, watched: psutil.Process) -> int | None:
        try:
            return count_children(watched.pid)
        except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
            if self._scanned % _SCAN_EVERY == 0:
                self._children = len(watched.children())
            self._scanned += 1
            return self._children


def count_children(pid: int, proc: Path = Path("/proc")) -> int:
    """As the kernel lists them, by the thread that made each: a tenth of what looking through all processes costs.
    Raises `FileNotFoundError` when it does not list them, or the process is gone."""
    found = 0
    threads = os.listdir(proc / str(pid) / "task")  # noqa: PTH208 - only their names
    for thread in threads:
        try:
            found += len((proc / str(pid) / "task" / thread / "children").read_bytes().split())
        except (FileNotFoundError, ProcessLookupError):
            if len(threads) == 1 or thread == str(pid):
                raise FileNotFoundError(pid) from None  # else it is a thread that has just ended
    return found


def _read_report(
    report: Report | None, now: float, fields: dict[str, Any], unavailable: dict[str, str]
) -> None:
    """Each field by itself: one that is malformed costs no other."""
    silent = "" if report else _NO_REPORT
    if report is not None and now - report[0] > SILENT_AFTER:
        silent = (
            f"the process's agent has been silent for {now - report[0]:.0f} s: it may be busy in native code"
        )
    if report is None or silent:
        unavailable.update(dict.fromkeys((*_FROM_TAP, "operations"), silent))
        return
    told = report[1].metrics
    for name, kind in _FROM_TAP.items():
        if name in told:
            try:
                fields[name] = msgspec.convert(told[name], kind)
            except msgspec.ValidationError:
                unavailable[name] = _MALFORMED
    if "operations" in told:
        _read_operations(told["operations"], fields, unavailable)


def _read_operations(told: Any, fields: dict[str, Any], unavailable: dict[str, str]) -> None:
    try:
        operations = msgspec.convert(told, tuple[bus.OperationMetrics, ...])
        sizes = [_size(each) for each in operations]
    except (msgspec.ValidationError, MalformedMessage, OverflowError, ValueError, TypeError):
        unavailable["operations"] = _MALFORMED
        return
    left = MOST_OPERATION_BYTES
    kept = set()
    for index in sorted(range(len(operations)), key=lambda each: -operations[each].total.ended):
        if sizes[index] > left:
            break
        left -= sizes[index]
        kept.add(index)
    fields["operations"] = tuple(each for index, each in enumerate(operations) if index in kept)
    if len(kept) < len(operations):
        unavailable["operations"] = (
            f"only the {len(kept)} busiest of {len(operations)} are told: all of them would be too long to send"
        )


def _size(operation: bus.OperationMetrics) -> int:
    """Of its JSON, which can be read again: an infinite number, say, could not."""
    encoded = codec.encode(operation)
    codec.decode(encoded, bus.OperationMetrics)
    return len(encoded) + 1
