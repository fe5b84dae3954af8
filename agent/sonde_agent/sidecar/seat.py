"""Who drives: one session at a time pauses, steps, continues, jumps and changes values. Pure.

    FREE --take, ask, or its first request that drives--> DRIVEN --release, or it left--> the longest waiting, or FREE
      ^                                                    |  ^
      +------------ the lease lapsed: nobody waits --------+  +--grant, or an ask UNHEARD for so long--> another drives

 * Only a free seat can be taken. Who finds it taken is told by whom, and can ask.
 * An ask is remembered until the seat comes to it, its session takes it back (`release`) or goes, or the lease
   lapses.
 * A driver that works, with any DAP request, or answers asks, is heard. When it was not heard for `UNHEARD`
   seconds while somebody waits, the longest waiting gets the seat: an absent driver blocks nobody.
 * Two sessions of one viewer are two sessions.

Each method returns what changed, to be told to everybody, and raises `Refused` before it changes anything.
"""

from typing import Literal

from msgspec import Struct

from sonde_wire import Code, Reason, Refused, bus

UNHEARD = 30.0
"""Seconds that an ask may wait for a driver that does nothing."""


class Change(Struct, frozen=True):
    reason: Literal["taken", "released", "asked", "granted", "left", "lapsed"]
    driver: str | None
    viewer: str | None
    asking: tuple[str, ...]


class Seat:
    def __init__(self) -> None:
        self.driver: str | None = None
        self._viewers: dict[str, str] = {}
        """Every open session, with its viewer's name."""
        self._asking: dict[str, float] = {}
        """Since when, the longest waiting first."""
        self._heard = 0.0

    @property
    def viewer(self) -> str | None:
        return None if self.driver is None else self._viewers[self.driver]

    @property
    def asking(self) -> tuple[str, ...]:
        return tuple(self._asking)

    @property
    def state(self) -> bus.SeatState:
        return bus.SeatState(driver=self.driver, viewer=self.viewer, asking=self.asking)

    @property
    def next_deadline(self) -> float | None:
        """When the driver counts as absent; None while nobody waits."""
        if self.driver is None or not self._asking:
            return None
        return max(self._heard, next(iter(self._asking.values()))) + UNHEARD

    def is_open_to(self, session: str) -> bool:
        """Whether it drives, or could at once."""
        return self.driver in (None, session)

    # Sessions -------------------------------------------------------------------------------------------------

    def came(self, session: str, viewer: str) -> None:
        self._viewers[session] = viewer

    def gone(self, session: str, now: float) -> list[Change]:
        self._viewers.pop(session, None)
        asked = self._asking.pop(session, None) is not None
        if self.driver == session:
            return self._vacate("left", now)
        return [self._change("left")] if asked else []

    def worked(self, session: str, now: float) -> None:
        """It asked anything of the debugger."""
        if session == self.driver:
            self._heard = now

    # What can be done with the seat ---------------------------------------------------------------------------

    def act(self, session: str, action: bus.SeatAction, to: str | None, now: float) -> list[Change]:
        match action:
            case "take":
                return self.take(session, now)
            case "release":
                return self._release(session, now)
            case "ask":
                return self._ask(session, now)
            case "grant":
                return self._grant(session, to, now)

    def take(self, session: str, now: float) -> list[Change]:
        """Also by the first request that drives."""
        if self.driver == session:
            return []
        if self.driver is not None:
            raise self.not_driver("take")
        return self._seat(session, "taken", now)

    def _release(self, session: str, now: float) -> list[Change]:
        if self.driver == session:
            return self._vacate("released", now)
        if self._asking.pop(session, None) is not None:
            return [self._change("released")]
        return []

    def _ask(self, session: str, now: float) -> list[Change]:
        if self.driver is None:
            return self._seat(session, "taken", now)
        if self.driver == session or session in self._asking:
            return []
        self._asking[session] = now
        return [self._change("asked")]

    def _grant(self, session: str, to: str | None, now: float) -> list[Change]:
        if self.driver != session:
            raise self.not_driver("grant")
        heir = to or next(iter(self._asking), None)
        if heir is None:
            raise Refused(
                Code.INVALID_ARGUMENT,
                Reason.INVALID_PARAMS,
                "nobody asks for the seat: name the session to give it to, or release it",
            )
        if heir not in self._viewers:
            raise Refused(
                Code.NOT_FOUND, Reason.UNKNOWN_SESSION, "there is no such session to give the seat to"
            )
        return [] if heir == session else self._seat(heir, "granted", now)

    def lapsed(self) -> list[Change]:
        """Nobody was there: neither the driver nor who waits for it."""
        if self.driver is None:
            return []
        self.driver = None
        self._asking.clear()
        return [self._change("lapsed")]

    def due(self, now: float) -> list[Change]:
        deadline = self.next_deadline
        if deadline is None or now < deadline:
            return []
        return self._seat(next(iter(self._asking)), "granted", now)

    def not_driver(self, action: str) -> Refused:
        """Why `action`, a DAP request or one of the seat's own, is not this session's to do."""
        if self.viewer is None:
            return Refused(
                Code.FAILED_PRECONDITION,
                Reason.NOT_DRIVER,
                f"{action} is for the driver, and nobody drives: take the seat first",
            )
        return Refused(
            Code.FAILED_PRECONDITION,
            Reason.NOT_DRIVER,
            f"{action} is for the driver, and {self.viewer} drives this process: ask for the seat, "
            "or wait until it is free",
        )

    def _seat(self, session: str, reason: Literal["taken", "granted"], now: float) -> list[Change]:
        self.driver = session
        self._asking.pop(session, None)
        self._heard = now
        return [self._change(reason)]

    def _vacate(self, reason: Literal["released", "left"], now: float) -> list[Change]:
        self.driver = None
        changes = [self._change(reason)]
        if self._asking:
            changes += self._seat(next(iter(self._asking)), "granted", now)
        return changes

    def _change(self, reason: Literal["taken", "released", "asked", "granted", "left", "lapsed"]) -> Change:
        return Change(reason, self.driver, self.viewer, self.asking)
