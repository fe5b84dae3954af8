"""What the watched process uses, read from outside once a second.

A field that cannot be read (missing rights, a process of another user) is absent and `unavailable` says why.
"""

import time
from collections.abc import Callable
from typing import Any

import psutil

from sonde_wire import bus

EVERY = 1.0
"""Seconds between samples."""


class Sampler:
    """Of one process. Its first sample has no CPU figure: that needs two points in time."""

    def __init__(self, process: str, boot: str, pid: int) -> None:
        self._process = process
        self._boot = boot
        self._pid = pid
        self._watched: psutil.Process | None = None
        self._cpu: tuple[float, float] | None = None

    def sample(self) -> bus.Metrics | None:
        """None when the process is gone."""
        try:
            self._watched = self._watched or psutil.Process(self._pid)
            if self._watched.status() == psutil.STATUS_ZOMBIE:
                return None
            return self._read(self._watched)
        except psutil.NoSuchProcess:
            return None

    def _read(self, watched: psutil.Process) -> bus.Metrics:
        fields: dict[str, Any] = {}
        unavailable: dict[str, str] = {}

        def read(names: tuple[str, ...], how: Callable[[], tuple[float | None, ...]]) -> None:
            try:
                values = how()
            except psutil.AccessDenied:
                unavailable.update(
                    dict.fromkeys(names, "the sidecar may not read it: it needs the same user")
                )
                return
            except OSError as error:
                unavailable.update(
                    dict.fromkeys(names, f"the system does not tell it ({type(error).__name__})")
                )
                return
            for name, value in zip(names, values, strict=True):
                if value is not None:
                    fields[name] = value

        with watched.oneshot():
            read(("cpu_percent",), lambda: (self._cpu_percent(watched),))
            read(("memory_rss",), lambda: (watched.memory_info().rss,))
            read(("threads",), lambda: (watched.num_threads(),))
            read(("open_fds",), lambda: (watched.num_fds(),))
            read(
                ("context_switches_voluntary", "context_switches_involuntary"),
                lambda: tuple(watched.num_ctx_switches()),
            )
        read(("children",), lambda: (len(watched.children()),))
        if "cpu_percent" not in fields:
            unavailable.setdefault("cpu_percent", "it is known from the second sample on")
        return bus.Metrics(
            process=self._process, boot=self._boot, time=time.time(), unavailable=unavailable, **fields
        )

    def _cpu_percent(self, watched: psutil.Process) -> float | None:
        times = watched.cpu_times()
        now, used = time.monotonic(), times.user + times.system
        before, self._cpu = self._cpu, (now, used)
        if before is None or now <= before[0]:
            return None
        return round(max(0.0, used - before[1]) / (now - before[0]) * 100, 1)
