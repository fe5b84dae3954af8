"""One debug session on one process: DAP over the connection, and helpers for what is asked most.

    Viewer.debug opens it -> requests, events, stops -> it is closed (left, or `SessionClosed`)

Between the subscription and the answer to `session.open` its id is not known yet: events wait until then.
"""

import asyncio
import itertools
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from sonde_viewer.errors import DapError, NoAnswer, SessionClosed, ViewerError
from sonde_viewer.mailbox import LIMIT, Mailbox
from sonde_viewer.stops import Stop, Stops
from sonde_viewer.watch import Item, SeenOnce
from sonde_wire import Selector, bus, codec, dap, rpc

_ON_THE_WAY = 5.0
"""Seconds on top of the sidecar's own deadline, so that its answer is seen rather than ours."""

Send = Callable[[rpc.DapCall, float], Awaitable[Any]]


class DebugSession:
    """Made by `Viewer.debug`. DAP's requests, events and bodies keep DAP's names and shapes
    (https://microsoft.github.io/debug-adapter-protocol/specification); which requests pass is in
    `sonde_wire.dap`. Every method raises `SessionClosed` once the session is over.
    """

    topic: rpc.Topic = "events"

    def __init__(self, process: str, send: Send) -> None:
        self.process = process
        self.selector = Selector.parse(process)
        self.id = ""
        self.boot = ""
        self.capabilities: Mapping[str, Any] = {}
        self.lost = 0
        """Events that did not reach this viewer. When it grows, the picture of what stands may be old."""
        self._send = send
        self._seq = itertools.count(1)
        self._stops = Stops()
        self._seen = SeenOnce()
        self._early: deque[bus.AnyEvent] = deque(maxlen=LIMIT)
        self._moved = asyncio.Event()
        self._mailboxes: weakref.WeakSet[Mailbox[dict[str, Any]]] = weakref.WeakSet()
        """Those that somebody still reads."""
        self._error: ViewerError | None = None

    async def request(self, command: str, /, within: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Any DAP request; the body of its response. Raises `DapError` when DAP's `success` is false,
        `Refused` when the broker or the sidecar does not pass it on."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        rule = dap.RULES.get(command)
        seconds = within or (rule.deadline if rule else 10.0) + _ON_THE_WAY
        request = {"seq": next(self._seq), "type": "request", "command": command, "arguments": arguments}
        response = await self._send(rpc.DapCall(session=self.id, request=codec.raw(request)), seconds)
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
        self, *, thread: int | None = None, after: int = 0, within: float | None = 60.0
    ) -> Stop:
        """Waits until a thread stands (that one, if named), so many seconds at most; returns at once when it
        does already.

        `after` is the `number` of a stop that is known: only newer ones count. Raises `NoAnswer`.
        """
        try:
            async with asyncio.timeout(within):
                while True:
                    self._moved.clear()
                    for stop in self.standing:
                        if stop.number > after and thread in {None, stop.thread}:
                            return stop
                    if self._error is not None:
                        raise self._error.with_traceback(None)
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

    # breakpoints

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
        self._stops.told(codec.decode_any(body) for body in state.stops)
        self.id = state.session
        for event in self._early:
            self._handle(event)
        self._early.clear()

    def deliver(self, item: Item) -> None:
        if not isinstance(item, bus.Event) or not self._seen.is_new(item):
            return
        if self.id:
            self._handle(item)
        else:
            self.lost += len(self._early) == LIMIT
            self._early.append(item)

    def miss(self, count: int) -> None:
        self.lost += count
        for mailbox in self._mailboxes:
            mailbox.miss(count)

    def fail(self, error: ViewerError) -> None:
        if self._error is None:
            self._error = error
            for mailbox in self._mailboxes:
                mailbox.close()
            self._moved.set()

    def _handle(self, event: bus.AnyEvent) -> None:
        if event.boot != self.boot or event.session not in {None, self.id}:
            return
        match event:
            case bus.DapEvent(message=message):
                told = codec.decode_any(message)
                self._stops.handle(told.get("event", ""), told.get("body") or {})
                for mailbox in self._mailboxes:
                    mailbox.put(told)
                self._moved.set()
            case bus.SessionClosed(reason=reason) if event.session == self.id:
                self.fail(SessionClosed(self.process, reason))
            case bus.ProcessEnded():
                self.fail(SessionClosed(self.process, "process_ended"))
            case _:
                return
