"""One debug session on one process: DAP over the connection, and helpers for what is asked most.

    Viewer.debug opens it -> requests, events, stops -> it is closed (left, or `SessionClosed`)

Between the subscription and the answer to `session.open` its id is not known yet: events wait until then.
"""

import asyncio
import itertools
import time
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from sonde_viewer.driving import Call, Driving
from sonde_viewer.errors import DapError, NoAnswer, Refused, SessionClosed, ViewerError
from sonde_viewer.mailbox import LIMIT, Mailbox
from sonde_viewer.numbering import Numbers
from sonde_viewer.stops import Stop, Stops
from sonde_viewer.watch import Item
from sonde_wire import Selector, bus, codec, dap, rpc

_ON_THE_WAY = 5.0
"""Seconds on top of the sidecar's own deadline, so that its answer is seen rather than ours."""
_CHANGES = (bus.SeatChanged, bus.LeaseChanged, bus.DebuggerAttached, bus.DebuggerDetached)


class DebugSession(Driving):
    """Made by `Viewer.debug`. DAP's requests, events and bodies keep DAP's names and shapes
    (https://microsoft.github.io/debug-adapter-protocol/specification); which requests pass is in
    `sonde_wire.dap`. Every method raises `SessionClosed` once the session is over.

    It outlives the debugger: one that no longer answers is dropped and attached again, with the breakpoints.
    Everything ran on then; `standing` is empty, `events` has a `continued`, `changes` the whole story.

    Several sessions can debug one process. One of them drives, and only it may step, continue, pause and change
    values; the first that does takes the free seat. For the others that raises `NotDriver`.
    """

    topics: tuple[rpc.Topic, ...] = ("events", "output")

    def __init__(
        self, process: str, call: Call, tasks: asyncio.TaskGroup, *, keep_stopped: bool = True
    ) -> None:
        """`tasks` outlives the session, and gets at most one task of it (see `Keeper`)."""
        super().__init__(process, call, tasks, keep_stopped=keep_stopped)
        self.selector = Selector.parse(process)
        self.boot = ""
        self.capabilities: Mapping[str, Any] = {}
        self.joined: bus.SessionState | None = None
        """What there was when it was opened: also the threads, and the breakpoints of all sessions, as DAP has them."""
        self.lost = 0
        """Events that did not reach this viewer. When it grows, the picture of what stands may be old."""
        self._seq = itertools.count(1)
        self._stops = Stops()
        self._seen = Numbers()
        self._early: deque[bus.AnyEvent] = deque(maxlen=LIMIT)
        self._mailboxes: weakref.WeakSet[Mailbox[dict[str, Any]]] = weakref.WeakSet()
        """Those that somebody still reads."""
        self._changes: weakref.WeakSet[Mailbox[bus.AnyEvent]] = weakref.WeakSet()

    async def request(self, command: str, /, within: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Any DAP request; the body of its response. Raises `DapError` when DAP's `success` is false,
        `Refused` when the broker or the sidecar does not pass it on, `NotDriver` when somebody else drives."""
        self._check_open()
        rule = dap.RULES.get(command)
        seconds = within or (rule.deadline if rule else 10.0) + _ON_THE_WAY
        request = {"seq": next(self._seq), "type": "request", "command": command, "arguments": arguments}
        params = rpc.DapCall(session=self.id, request=codec.raw(request))
        try:
            response = await self._call("dap", params, dict[str, Any], seconds)
        except Refused as refusal:
            raise self._explained(refusal) from None
        self._company.heard()
        if not response.get("success"):
            raise DapError(command, response)
        body: dict[str, Any] = response.get("body") or {}
        return body

    # what stands

    @property
    def standing(self) -> tuple[Stop, ...]:
        """The threads that stand now, the one that has stood longest first."""
        return self._stops.standing

    async def stopped(
        self, *, thread: int | None = None, after: int = 0, within: float | None = 60.0, arm: bool = True
    ) -> Stop:
        """Waits until a thread stands (that one, if named), so many seconds at most; returns at once when it
        does already.

        `after` is the `number` of a stop that is known: only newer ones count. Breakpoints that sleep since a
        lapsed lease are armed again for it, unless `arm` is false. Raises `NoAnswer`.
        """
        try:
            async with asyncio.timeout(within):
                while True:
                    self._moved.clear()
                    for stop in self.standing:
                        if stop.number > after and thread in {None, stop.thread}:
                            return stop
                    self._check_open()
                    if arm and self.asleep:
                        await self.arm()
                        continue
                    await self._moved.wait()
        except TimeoutError:
            raise NoAnswer("stop", within or 0) from None

    def events(self) -> Mailbox[dict[str, Any]]:
        """DAP's events from now on, as an async iterator that ends with the session; its `lost` counts what
        a slow reader missed."""
        mailbox: Mailbox[dict[str, Any]] = Mailbox()
        if self._error is not None:
            mailbox.close()
        self._mailboxes.add(mailbox)
        return mailbox

    def changes(self) -> Mailbox[bus.AnyEvent]:
        """What changes from now on about seat, lease and debugger (`bus.SeatChanged`, `LeaseChanged`,
        `DebuggerDetached`, `DebuggerAttached`), as an async iterator that ends with the session."""
        mailbox: Mailbox[bus.AnyEvent] = Mailbox()
        if self._error is not None:
            mailbox.close()
        self._changes.add(mailbox)
        return mailbox

    # breakpoints

    async def arm(self) -> None:
        """Arms breakpoints that sleep since a lapsed lease; nothing happens otherwise."""
        if self.asleep:
            await self.threads()

    async def set_breakpoints(
        self, path: str, lines: Iterable[int] | Mapping[int, str | None]
    ) -> list[dict[str, Any]]:
        """Replaces this session's breakpoints in that file, as DAP has it; none clears them. With a mapping
        each line has a condition, or None. Returns DAP's Breakpoints in the same order."""
        conditions = lines if isinstance(lines, Mapping) else dict.fromkeys(lines)
        wanted = [
            {"line": line} if condition is None else {"line": line, "condition": condition}
            for line, condition in conditions.items()
        ]
        body = await self.request("setBreakpoints", source={"path": path}, breakpoints=wanted)
        breakpoints: list[dict[str, Any]] = body.get("breakpoints", [])
        return breakpoints

    # running

    async def continue_(self, thread: int | None = None) -> None:
        """Lets that thread run, or every thread that stands."""
        threads = [stop.thread for stop in self.standing] if thread is None else [thread]
        for each in threads:
            if thread is None and self._stops.of(each) is None:
                continue  # continuing another one let this one run too
            await self._resume("continue", each)

    async def next(self, thread: int | None = None) -> None:
        await self._resume("next", self._which(thread))

    async def step_in(self, thread: int | None = None) -> None:
        await self._resume("stepIn", self._which(thread))

    async def step_out(self, thread: int | None = None) -> None:
        await self._resume("stepOut", self._which(thread))

    async def pause(self, thread: int | None = None) -> None:
        """Stops that thread, or the first one; `stopped` tells when it stands."""
        if thread is None:
            thread = (await self.threads())[0]["id"]
        await self.request("pause", threadId=thread)

    async def _resume(self, command: str, thread: int) -> None:
        newest = self._stops.count
        stop = self._stops.resuming(thread)
        try:
            body = await self.request(command, threadId=thread)
        except ViewerError:
            if stop is not None:
                self._stops.not_resumed(stop)
            raise
        if command == "continue" and body.get("allThreadsContinued", True):
            self._stops.all_resumed(newest)

    def _which(self, thread: int | None) -> int:
        """The thread meant: the named one, or the newest that stands; 0 when none does, which is refused
        with the reason `not_stopped` where it can be told best."""
        if thread is not None:
            return thread
        return self.standing[-1].thread if self.standing else 0

    # looking

    async def threads(self) -> list[dict[str, Any]]:
        threads: list[dict[str, Any]] = (await self.request("threads")).get("threads", [])
        return threads

    async def stack(self, thread: int | None = None, levels: int = 100) -> list[dict[str, Any]]:
        """DAP's StackFrames, the innermost first."""
        body = await self.request("stackTrace", threadId=self._which(thread), startFrame=0, levels=levels)
        frames: list[dict[str, Any]] = body.get("stackFrames", [])
        return frames

    async def scopes(self, frame: int) -> list[dict[str, Any]]:
        scopes: list[dict[str, Any]] = (await self.request("scopes", frameId=frame)).get("scopes", [])
        return scopes

    async def variables(self, reference: int) -> list[dict[str, Any]]:
        """What is inside a scope or a variable, by its `variablesReference`."""
        body = await self.request("variables", variablesReference=reference)
        variables: list[dict[str, Any]] = body.get("variables", [])
        return variables

    async def evaluate(
        self, expression: str, frame: int | None = None, context: str = "watch"
    ) -> dict[str, Any]:
        """The body of DAP's `evaluate`: `result` is a text, `variablesReference` leads further. In the
        innermost frame of the newest stop unless told; the context `repl` also takes statements."""
        if frame is None and self.standing:
            frame = (await self.stack(levels=1))[0]["id"]
        where = {} if frame is None else {"frameId": frame}
        return await self.request("evaluate", expression=expression, context=context, **where)

    # what the client brings

    def opened(self, state: bus.SessionState) -> None:
        self.capabilities = codec.decode_any(state.capabilities)
        self.boot = state.boot
        self.joined = state
        self._stops.told(codec.decode_any(body) for body in state.stops)
        self._company.told(state, time.monotonic())
        self.id = state.session
        for event in self._early:
            self._handle(event)
        self._early.clear()
        self._tend()

    def deliver(self, item: Item) -> None:
        if not isinstance(item, bus.Event) or not self._seen.is_new(item):
            return
        if self.id:
            self._handle(item)
        else:
            self.lost += len(self._early) == LIMIT
            self._early.append(item)

    def miss(self, gap: rpc.Gap) -> None:
        count = gap.last - gap.first + 1
        self.lost += count
        for mailbox in self._mailboxes:
            mailbox.miss(count)
        for changes in self._changes:
            changes.miss(count)
        self._look_again()

    def fail(self, error: ViewerError) -> None:
        if self._error is None:
            self._error = error
            for mailbox in self._mailboxes:
                mailbox.close()
            for changes in self._changes:
                changes.close()
            self._tend()
            self._moved.set()

    def _handle(self, event: bus.AnyEvent) -> None:
        if event.boot != self.boot:
            return
        self._company.handle(event, time.monotonic())
        self._tend()
        if event.session not in {None, self.id}:
            return
        match event:
            case bus.DapEvent(message=message) | bus.Output(message=message):
                told = codec.decode_any(message)
                self._tell(told)
            case bus.DebuggerDetached():
                self._all_ran_on()
            case bus.SessionClosed(reason=reason) if event.session == self.id:
                self.fail(SessionClosed(self.process, reason))
            case bus.ProcessEnded():
                self.fail(SessionClosed(self.process, "process_ended"))
            case _:
                pass
        if isinstance(event, _CHANGES):
            for changes in self._changes:
                changes.put(event)
        self._moved.set()

    def _all_ran_on(self) -> None:
        """pydevd lets every thread run when its line is dropped. The sidecar says so in DAP; this is for who missed
        that."""
        if self.standing:
            body = {"threadId": self.standing[0].thread, "allThreadsContinued": True}
            self._tell({"type": "event", "event": "continued", "body": body})

    def _tell(self, event: dict[str, Any]) -> None:
        self._stops.handle(event.get("event", ""), event.get("body") or {})
        for mailbox in self._mailboxes:
            mailbox.put(event)
