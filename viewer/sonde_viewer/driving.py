"""The seat and the lease of a debug session: who drives, and how long what stands goes on standing."""

import asyncio
import time
from typing import Protocol, TypeVar

from sonde_viewer.company import Company
from sonde_viewer.errors import NoAnswer, NotDriver, Refused, ViewerError
from sonde_viewer.keeper import Keeper
from sonde_viewer.lease import Lease
from sonde_wire import Reason, bus, rpc

T = TypeVar("T")

_UNKNOWN = 60.0
"""Seconds, in place of a lease's length that was not told."""


class Call(Protocol):
    """Asks the broker, as `Viewer` does it."""

    async def __call__(
        self, method: str, params: rpc.Params, result: type[T], seconds: float | None = None
    ) -> T: ...


class Driving:
    """The half of `DebugSession` that is about the others, and about time."""

    def __init__(self, process: str, call: Call, tasks: asyncio.TaskGroup, *, keep_stopped: bool) -> None:
        self.process = process
        self.id = ""
        self._call = call
        self._keeper = Keeper(tasks, f"sonde keeps what stands in {process}", self._renew)
        self._keep_stopped = keep_stopped
        self._company = Company()
        self._moved = asyncio.Event()
        """Set when anything has changed that somebody may wait for."""
        self._error: ViewerError | None = None
        """Why the session is over."""
        self._unsure = False
        """Events were lost, and that something stands may have been among them."""

    # how long it stands

    @property
    def lease(self) -> Lease | None:
        """While something stands: `lease.left(time.monotonic())` are the seconds until it runs on by itself, unless
        somebody renews it."""
        return self._company.lease

    @property
    def asleep(self) -> bool:
        """The lease lapsed: no breakpoint is armed, of any session, until somebody asks something."""
        return self._company.asleep

    @property
    def renews(self) -> bool:
        """Whether this session renews the lease by itself now: nobody else drives, and it was not told not to."""
        return self._keep_stopped and self._company.renews

    async def renew(self) -> bool:
        """Lets what stands go on standing for another lease's length; any request does that too. The session does
        this by itself unless it was opened with `keep_stopped=False`. False when it is not ours to renew (another
        session drives), when it has lapsed, or when nobody asked anything for so long that only a request helps.
        """
        return await self._renew(None)

    async def _renew(self, seconds: float | None) -> bool:
        self._check_open()
        params, since = rpc.OfSession(session=self.id), self._company.lease_changes
        state = await self._call("session.renew", params, bus.LeaseState, seconds)
        if self._error is None:
            self._unsure = False
            self._company.leased(state, since, time.monotonic())
            self._tend()
        return state.renewed

    def _look_again(self) -> None:
        """The answer to a renewal tells whether something stands."""
        self._unsure = self._keep_stopped
        self._tend()

    def _tend(self) -> None:
        """After anything that may have changed whose the lease is to renew, or whether there is one."""
        if self._error is not None or not self.id:
            self._keeper.keep(None)
        elif self._unsure:
            self._keeper.keep(Lease(length=_UNKNOWN, ends=time.monotonic()))
        else:
            self._keeper.keep(self.lease if self.renews else None)

    # who drives

    @property
    def driver(self) -> str | None:
        """The session in the driver's seat; None while it is free."""
        return self._company.driver

    @property
    def driver_name(self) -> str | None:
        """The subject of its viewer."""
        return self._company.driver_name

    @property
    def drives(self) -> bool:
        """Whether this session has the seat."""
        return self._company.drives

    @property
    def asking(self) -> tuple[str, ...]:
        """Sessions that wait for the seat, the longest first; `viewer_of` has their names."""
        return self._company.asking

    @property
    def others_breakpoints(self) -> tuple[bus.BreakpointSet, ...]:
        """The breakpoints of the other sessions; the process stops at them for everybody."""
        return self._company.others_breakpoints

    def viewer_of(self, session: str) -> str:
        """The subject of that session's viewer; the session itself where it is not known."""
        return self._company.name(session)

    def sessions_of(self, viewer: str) -> tuple[str, ...]:
        """The other sessions of that viewer, or the one that is called so; those that ask for the seat first."""
        return self._company.named(viewer)

    async def take_seat(self) -> None:
        """Raises `NotDriver` while somebody else has it."""
        await self._seat("take")

    async def release_seat(self) -> None:
        await self._seat("release")

    async def ask_for_seat(self, within: float | None = None) -> None:
        """Asks the driver for it; a free one is taken. A driver who does nothing for 30 s loses it to who has
        asked; `release_seat` takes the question back. With `within` it also waits so many seconds until this session drives, and raises `NoAnswer`."""
        await self._seat("ask")
        if within is None:
            return
        try:
            async with asyncio.timeout(within):
                while not self.drives:
                    self._moved.clear()
                    self._check_open()
                    await self._moved.wait()
        except TimeoutError:
            raise NoAnswer("seat", within) from None

    async def grant_seat(self, to: str | None = None) -> None:
        """Gives it to that session; to the one that has asked longest unless told."""
        await self._seat("grant", to)

    async def _seat(self, action: bus.SeatAction, to: str | None = None) -> None:
        self._check_open()
        params, since = rpc.SeatCall(session=self.id, action=action, to=to), self._company.seat_changes
        try:
            state = await self._call("session.seat", params, bus.SeatState)
        except Refused as refusal:
            raise self._explained(refusal) from None
        self._company.seated(state, since)
        self._tend()
        self._moved.set()

    def _explained(self, refusal: Refused) -> Refused:
        if refusal.reason is not Reason.NOT_DRIVER or isinstance(refusal, NotDriver):
            return refusal
        return NotDriver(refusal.failure, self.driver_name)

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)
