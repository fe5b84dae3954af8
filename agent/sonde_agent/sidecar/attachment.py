"""One line to pydevd after another: made when the multiplexer says so, listened to, cleaned up after.

    attach --dialled, hands shaken--> DebuggerConnected, DebuggerSaid ... --LineLost, unless we let go--> DebuggerGone
       +-----not reached--> DebuggerFailed

Whatever happens, the tap is told to clean up before the last of these events, so that the next line finds
nothing of this one.
"""

import asyncio
import logging
from typing import Protocol

import msgspec

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.dap.debugger import Debugger, Dial, connected
from sonde_agent.sidecar.errors import DebuggerLost, TapFault, TapLost
from sonde_agent.sidecar.settings import SidecarSettings
from sonde_agent.sidecar.taps import TapLine
from sonde_wire import Failure

logger = logging.getLogger(__name__)

DIAL_WITHIN = 30.0
LEAVE_WITHIN = 5.0
"""Seconds for the tap to clean up after the debugger."""
TAP_BACK_WITHIN = 10.0
"""Seconds that a tap whose link is lost has to come back before it is dialled."""
_LATER = 1.0
"""Seconds by which the tap's own limit for evaluations is longer than ours: it is there for when we hang."""


class Owner(Protocol):
    """The process that is debugged."""

    def handle(self, event: e.Input) -> None: ...
    async def tap(self, within: float) -> TapLine:
        """Its line, which may have to come back first. Raises `TapLost`."""
        ...

    async def is_ending(self) -> bool:
        """Whether pydevd is gone because its process goes."""
        ...


class Attachment:
    """One task, `debug`, in the group that `attach` is given."""

    def __init__(self, name: str, settings: SidecarSettings, owner: Owner) -> None:
        self._name = name
        self._settings = settings
        self._owner = owner
        self._debugger: Debugger | None = None
        self._task: asyncio.Task[None] | None = None
        self._letting_go = False

    def attach(self, group: asyncio.TaskGroup) -> None:
        self._letting_go = False
        self._task = group.create_task(self._debug(), name=f"debug {self._name}")

    def send(self, body: bytes) -> None:
        if self._debugger:
            self._debugger.send(body)

    def let_go(self, *, at_once: bool) -> None:
        """`at_once`: of the attempt too, because the process has ended."""
        self._letting_go = True
        if self._debugger:
            self._debugger.close()
        elif self._task and at_once:
            self._task.cancel()

    async def end(self, within: float) -> None:
        """A moment for the tap to clean up, then no more waiting."""
        if self._task:
            _, running = await asyncio.wait({self._task}, timeout=within)
            for task in running:
                task.cancel()

    async def _debug(self) -> None:
        failure: Failure | None = None
        try:
            async with connected(self._dial) as debugger:
                self._debugger = debugger
                logger.info("%s: debugger attached", self._name)
                self._owner.handle(
                    e.DebuggerConnected(
                        debugpy=debugger.debugpy,
                        capabilities=debugger.capabilities,
                        early=tuple(debugger.early),
                    )
                )
                async for message in debugger.messages():
                    self._owner.handle(e.DebuggerSaid(message))
        except (DebuggerLost, TapLost, TapFault) as error:
            failure = error.failure
            logger.warning("%s: no debugger: %s", self._name, failure.message)
        was_there, self._debugger = self._debugger is not None, None
        if was_there and not self._letting_go:
            if await self._owner.is_ending():
                return
            self._owner.handle(e.LineLost())
        await self._clean_up()
        self._task = None
        if was_there or failure is None:
            self._owner.handle(e.DebuggerGone())
        else:
            self._owner.handle(e.DebuggerFailed(failure))

    async def _dial(self, dial: Dial) -> str:
        line = await self._owner.tap(TAP_BACK_WITHIN)
        value = await line.call(
            "debugger.connect",
            DIAL_WITHIN,
            **msgspec.structs.asdict(dial),
            lease=self._settings.lease,
            evaluation_limit=self._settings.evaluation_limit + _LATER,
        )
        version = value.get("debugpy") if isinstance(value, dict) else None
        return version if isinstance(version, str) else "unknown"

    async def _clean_up(self) -> None:
        try:
            line = await self._owner.tap(0.0)
            await line.call("debugger.disconnect", LEAVE_WITHIN)
        except (TapLost, TapFault) as error:
            logger.debug("%s: the tap did not clean up: %s", self._name, error.failure.message)
