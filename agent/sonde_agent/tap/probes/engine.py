"""The probes of the process: put and dropped by the sidecar, hit by the program, told about by the tap's thread.

    put      its code is looked for; while some is not loaded, each new code is looked at before it runs
    tick     in the tap's thread, when `due_at` has come or somebody woke it: what is over ends, what was closed for a while opens
             and is armed again, the budget is judged, and what has another state than before is told
    take     what there is to send
    close    nothing is left in the interpreter

The program's threads come here by hits, which take no lock, and by new code, which takes one and waits for it no longer than
a moment: what it could not bind then is bound in the next tick.
"""

from _thread import allocate_lock, get_ident
from collections import deque
from collections.abc import Callable, Mapping
from math import inf
from time import monotonic, time
from types import CodeType, FrameType
from typing import Any

from sonde_agent.tap import redacting
from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.probes import binding, finding, making, specification
from sonde_agent.tap.probes.budget import Budget
from sonde_agent.tap.probes.gate import Gate
from sonde_agent.tap.probes.kinds.tools import Unreadable, check_shown
from sonde_agent.tap.probes.outbox import Outbox
from sonde_agent.tap.probes.probe import Probe

MOST_PROBES = 64
PATIENCE = 1.0
"""Seconds that new code waits for the lock."""
SENT_EVERY = 0.05
"""Seconds between what is sent; the first after a pause goes at once."""


class Engine:
    """`wake` brings the tap's thread to `tick`. `share` of one core is what all probes together may take."""

    def __init__(self, wake: Callable[[], None], share: float) -> None:
        self.budget = Budget(share)
        self.outbox = Outbox()
        self._probes: dict[str, Probe] = {}
        self._wake = wake
        self._binder = binding.Binder()
        self._lock = allocate_lock()
        self._owner = 0
        self._late: deque[tuple[CodeType, str | None]] = deque(maxlen=1000)
        self._has_news = False
        self._told: dict[str, tuple[str, str]] = {}
        self._reported: Any = None
        self._must_report = False
        self._sent_at = -inf
        self._redaction = redacting.current()

    def put(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The status as it is then. Raises `CallRefused`."""
        spec, left = specification.read(arguments)
        now = monotonic()
        known = self._probes.get(spec.id)
        if known is not None:
            known.gate.prolong(now, left)
            if not known.is_wired and known.gate.is_open:  # its time was over
                known.spots = ()
                with _Claim(self):
                    self._binder.add(known, self._saw)
                    self._check_shown(known)
            return self._status(known, now)
        self._make_room()
        gate = Gate(now, left, spec.max_hits, spec.rate, spec.burst, spec.sample)
        probe = making.make(spec, gate, self._emit, self._news)
        probe.allowed = int(self.budget.left * 1e9)
        with _Claim(self):
            self._probes[spec.id] = probe
            self._binder.add(probe, self._saw)
            self._check_shown(probe)
        self._must_report = True
        self._told[spec.id] = probe.gate.state(now)
        return self._status(probe, now)

    def drop(self, probe: str) -> None:
        found = self._probes.pop(probe, None)
        self._told.pop(probe, None)
        self.budget.forget(probe)
        if found is not None:
            found.gate.time_out()
            with _Claim(self):
                self._binder.remove(found)
                if not self._probes:
                    self._binder.close()
            self._must_report = True

    def close(self) -> None:
        """When the tap stops, or in a forked child, whose parent keeps its own."""
        for probe in self._probes.values():
            probe.gate.time_out()
        self._probes.clear()
        self._lock = allocate_lock()
        self._binder.close()

    def due_at(self) -> float:
        """Monotonic; inf while nothing is."""
        times = [inf]
        for probe in self._probes.values():
            gate = probe.gate
            if not gate.is_ended:
                times.append(min(gate.opens_at, gate.expires_at))
        if self._has_news:
            times.append(0.0)
        return min(times)

    def tick(self, now: float) -> None:
        """In the tap's thread."""
        self._has_news = False
        while self._late:
            code, module = self._late.popleft()
            with _Claim(self):
                self._binder.bind_new(code, module)
        if redacting.current() is not self._redaction:
            self._redaction = redacting.current()
            for probe in self._probes.values():
                self._check_shown(probe)
        self._judge(now)
        for probe in list(self._probes.values()):
            gate = probe.gate
            if now >= gate.expires_at and not gate.is_ended:
                gate.time_out()
            if gate.open_again(now):
                self._binder.arm(probe)
            if not gate.is_open:
                probe.rest()
            if gate.is_ended and probe.is_wired:
                with _Claim(self):
                    self._binder.unwire(probe)
            self._tell_state(probe, now)
        self._binder.refresh(now)

    def send_at(self) -> float:
        """When what there is to be sent may be; inf while there is nothing."""
        return self._sent_at + SENT_EVERY if self.outbox or self._must_report else inf

    def take(self, now: float) -> list[dict[str, Any]]:
        self._sent_at = now
        return self.outbox.take()

    def report(self, now: float, *, anew: bool) -> dict[str, Any] | None:
        """Fields of the wire's `ProbeReport`; None when it is as the last one said. `anew` for a sidecar that has heard
        nothing yet."""
        self._must_report = False
        report: dict[str, Any] = {
            "probes": [self._status(probe, now) for probe in self._probes.values()],
            "budget": self.budget.share,
            "cpu": round(self.budget.used(), 6),
            "lost": self.outbox.lost,
        }
        if report == self._reported and not anew:
            return None
        self._reported = report
        return report

    @property
    def must_report(self) -> bool:
        return self._must_report

    def _status(self, probe: Probe, now: float) -> dict[str, Any]:
        return probe.status(now, self.budget.used(probe.spec.id), self._binder.engine)

    def _judge(self, now: float) -> None:
        probes = self._probes
        totals = {number: probe.spent / 1e9 for number, probe in probes.items()}
        for suspension in self.budget.judge(now, totals):
            probe = probes[suspension.id]
            if not probe.gate.is_ended:
                probe.gate.suspend(now, suspension.seconds, suspension.message)
                self._binder.silence(probe)
        left = int(self.budget.left * 1e9)
        for probe in probes.values():
            probe.allowed = probe.spent + left
            if probe.gate.is_held:
                probe.gate.release()
                if probe.gate.is_open:
                    self._binder.arm(probe)

    def _tell_state(self, probe: Probe, now: float) -> None:
        state = probe.gate.state(now)
        told = self._told.get(probe.spec.id)
        if told is None or told[0] != state[0] or (told[1] != state[1] and state[0] != "error"):
            self._told[probe.spec.id] = state
            self._must_report = True
            if told is None or told[0] != state[0]:
                status = self._status(probe, now)
                self._emit({"type": "probe_changed", "time": time(), "status": status}, 1000)

    def _check_shown(self, probe: Probe) -> None:
        try:
            check_shown(redacting.current(), probe.telling)
        except Unreadable as refusal:
            probe.gate.refuse(refusal.message)

    def _make_room(self) -> None:
        if len(self._probes) < MOST_PROBES:
            return
        ended = next((number for number, probe in self._probes.items() if probe.gate.is_ended), None)
        if ended is None:
            raise CallRefused(
                "resource_exhausted",
                "too_many",
                f"this process has {MOST_PROBES} probes already: remove one of them first",
            )
        self.drop(ended)

    def _emit(self, event: dict[str, Any], size: int) -> None:
        if self.outbox.put(event, size):
            self._wake()

    def _news(self) -> None:
        if not self._has_news:
            self._has_news = True
            self._wake()

    def _saw(self, code: CodeType, frame: FrameType) -> None:
        """Before it first runs, in the program's thread."""
        if not self._binder.is_of_interest(code, frame):
            return
        module = finding.module_of(frame)
        if self._owner == get_ident() or not self._lock.acquire(True, PATIENCE):
            self._late.append((code, module))
            self._news()
            return
        self._owner = get_ident()
        try:
            self._binder.bind_new(code, module)
        finally:
            self._owner = 0
            self._lock.release()
        self._news()


class _Claim:
    """The lock, for the tap's thread. A thread of the program that is stopped while it has it (its debugger does not stop
    there; its signal handlers do) must not hold up the tap for ever: it then goes on without."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = engine._lock

    def __enter__(self) -> None:
        self._has_it = self._lock.acquire(True, 5 * PATIENCE)
        self._engine._owner = get_ident()

    def __exit__(self, *_: object) -> None:
        self._engine._owner = 0
        if self._has_it:
            self._lock.release()
