"""The shell around one process: its tap's line, its multiplexer, its debugger, its journal, its line to the bus.

The cores decide, this performs. One process has one `Process`, from its first Hello until its end was
published; a tap that comes back (same boot) finds it again, with its name, numbers and sessions.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any, assert_never

import msgspec

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar import ending, metrics
from sonde_agent.sidecar.admission import Admitted, admit
from sonde_agent.sidecar.dap.debugger import Debugger, Dial, connected
from sonde_agent.sidecar.errors import DebuggerLost, TapFault, TapLost
from sonde_agent.sidecar.journal import Journal
from sonde_agent.sidecar.mux import Mux, State
from sonde_agent.sidecar.settings import SidecarSettings
from sonde_agent.sidecar.taps import TapLine
from sonde_agent.sidecar.uplink import Uplink
from sonde_wire import Address, Code, Failure, MalformedMessage, Reason, bus, codec

logger = logging.getLogger(__name__)

CALL_WITHIN = 10.0
LEAVE_WITHIN = 5.0
"""Seconds for the tap to clean up after the debugger."""
COMES_BACK_WITHIN = 10.0
"""Seconds that a lost tap has to come back where the process itself cannot be watched."""
PUBLISHED_WITHIN = 3.0
"""Seconds for the last words to reach the bus."""
DYING_WITHIN = 0.5
MOST_CALLS = 32

_CALLS: dict[type[bus.Operation], tuple[str, type[msgspec.Struct]]] = {
    bus.ReadStacks: ("stacks", bus.Stacks),
    bus.ReadSource: ("source", bus.Source),
    bus.ListSources: ("sources", bus.Sources),
}


class Process:
    def __init__(
        self, settings: SidecarSettings, address: Address, line: TapLine, watch: ending.Watch | None
    ) -> None:
        self.address = address
        self.hello = line.hello
        self.line = line
        self.watch = watch
        self.over = asyncio.Event()
        """Its end, or our leaving, is published (or could not be)."""
        self._labels = {**settings.labels, **line.hello.labels}
        self._mux = Mux(str(address), self.hello.boot)
        self._journal = Journal(str(address), self.hello.boot)
        self._uplink = Uplink(address, self.hello.boot, self._journal, self, settings.bus_url)
        self._asked: dict[str, bus.Command] = {}
        self._exit: bus.Exit | None = None
        self._state = "online"
        self._told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._leaving = asyncio.Event()
        self._dead = asyncio.Event()
        self._line_changed = asyncio.Event()
        self._debugger: Debugger | None = None
        self._debugging: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()

    # From the service -----------------------------------------------------------------------------------------

    def take(self, line: TapLine) -> None:
        """The tap came back on a new line."""
        old, self.line = self.line, line
        old.close()
        self._line_changed.set()

    def child_ended(self, returncode: int) -> None:
        """Its parent has the exact status."""
        if not self._told.done():
            self._told.set_result(returncode)

    def leave(self) -> None:
        """The sidecar ends, the process does not."""
        self._leaving.set()

    async def run(self, predecessor: "Process | None") -> None:
        """Tasks: `uplink` (the bus; ended by `finish`, or by us when that takes too long), `metrics`, `debug`
        (while pydevd is wanted), one `call` for each question to the tap. This coroutine itself waits for the
        end of the process or of the sidecar, says so, and ends the others."""
        try:
            if predecessor is not None:
                await predecessor.over.wait()
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._tell(bus.ProcessStarted, None, None, pid=self.hello.pid)
                uplink = group.create_task(self._uplink.run(), name=f"uplink {self.address}")
                sampling = group.create_task(self._sample(), name=f"metrics {self.address}")
                await self._until_over()
                sampling.cancel()
                await self._stop_debugging()
                self._uplink.finish()
                await asyncio.wait({uplink}, timeout=PUBLISHED_WITHIN)
                for task in (uplink, *self._calls):
                    task.cancel()
        finally:
            if self._timer:
                self._timer.cancel()
            if self.watch:
                self.watch.close()
            self.line.close()
            self.over.set()

    async def _until_over(self) -> None:
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(self._until_ended(), name="ended")
            left = group.create_task(self._leaving.wait(), name="left")
            await asyncio.wait({ended, left}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            left.cancel()
        if ended.cancelled():
            self._state = "lost"
            self._do(e.SidecarLeaves())
            return
        self._exit = ended.result()
        self._state = "ended"
        logger.info("%s %s", self.address, self._exit.message)
        self._do(e.ProcessGone())
        self._tell(bus.ProcessEnded, None, None, exit=self._exit)

    async def _until_ended(self) -> bus.Exit:
        if self.watch is not None:
            await self.watch.ended()
            self._dead.set()
            return await self._status(self.watch)
        while True:  # no pidfd: all that is known is its line
            line = self.line
            await line.lost.wait()
            if self.line is not line:  # it was replaced before it was lost
                continue
            self._line_changed.clear()
            if self._told.done():
                break
            try:
                async with asyncio.timeout(COMES_BACK_WITHIN if self.line.last_word is None else 0.5):
                    await self._line_changed.wait()
            except TimeoutError:
                break
        return ending.from_return_code(self._told.result()) if self._told.done() else self._last_word()

    async def _status(self, watch: ending.Watch) -> bus.Exit:
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(watch.status(), name="status")
            told: set[asyncio.Future[int | None]] = {asked, self._told}  # type: ignore[arg-type] # only waited for
            await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
            if self._told.done():
                asked.cancel()
        if self._told.done():
            return ending.from_return_code(self._told.result())
        code = asked.result()
        return ending.from_return_code(code) if code is not None else self._last_word()

    def _last_word(self) -> bus.Exit:
        word = self.line.last_word
        return (word and ending.from_last_word(word.code, word.message)) or ending.unknown()

    # The uplink's owner ---------------------------------------------------------------------------------------

    def presence(self) -> bus.Presence:
        hello = self.hello
        attached = self._mux.state is State.ATTACHED
        return bus.Presence(
            process=str(self.address),
            boot=hello.boot,
            state=self._state,  # type: ignore[arg-type] # one of its three words
            time=time.time(),
            started=hello.started,
            pid=hello.pid,
            host=hello.host,
            python=hello.python,
            implementation=hello.implementation,
            executable=hello.executable,
            argv=tuple(hello.argv),
            main=hello.main,
            directory=hello.directory,
            parent_pid=hello.parent_pid,
            labels=self._labels,
            debugger="attached" if attached else "detached",
            stopped_threads=self._mux.stopped_threads,
            sessions=self._mux.sessions,
            agent_version=hello.agent_version,
            exit=self._exit,
        )

    def broker_lost(self, broker: str) -> None:
        self._do(e.BrokerGone(broker))

    def bus_lost(self) -> None:
        self._do(e.BusGone())

    def command(self, command: bus.Command) -> None:
        admitted = admit(command, str(self.address), self.hello.boot)
        self._asked[command.id] = command
        if isinstance(admitted, Failure):
            logger.warning(
                "%s refused %s of %s: %s", self.address, command.id, command.viewer.subject, admitted.message
            )
            self._answer(e.Answer(command=command.id, failure=admitted))
        else:
            self._run(admitted)

    def _run(self, admitted: Admitted) -> None:
        command = admitted.command
        operation = command.operation
        viewer = command.viewer.subject
        match operation:
            case bus.OpenSession(session=session):
                logger.info("%s: %s opens a session (%s)", self.address, viewer, command.id)
                opening = e.OpenAsked(
                    command=command.id,
                    session=session,
                    viewer=viewer,
                    broker=command.broker,
                    time=time.time(),
                )
                self._do(opening)
            case bus.CloseSession(session=session):
                self._do(e.CloseAsked(command=command.id, session=session, viewer=viewer))
            case bus.Dap(session=session):
                asked = e.DapAsked(
                    command=command.id,
                    session=session,
                    viewer=viewer,
                    seq=admitted.seq,
                    request=admitted.request,
                    arguments=dict(admitted.arguments),
                    timeout=command.timeout,
                )
                self._do(asked)
            case bus.ReadStacks() | bus.ListSources():
                self._ask_tap(command)
            case bus.ReadSource(path=path):
                self._ask_tap(command, path=path)
            case _:
                assert_never(operation)

    # Questions to the tap -------------------------------------------------------------------------------------

    def _ask_tap(self, command: bus.Command, **arguments: Any) -> None:
        if len(self._calls) >= MOST_CALLS:
            failure = Failure(
                code=Code.RESOURCE_EXHAUSTED, reason=Reason.TOO_MANY, message="the process is asked too much"
            )
            self._answer(e.Answer(command=command.id, failure=failure))
            return
        task = self._group.create_task(self._call(command, arguments), name=f"call {command.id}")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, command: bus.Command, arguments: dict[str, Any]) -> None:
        operation, kind = _CALLS[type(command.operation)]
        try:
            value = await self.line.call(operation, min(command.timeout, CALL_WITHIN), **arguments)
            answer = e.Answer(command=command.id, result=codec.raw(msgspec.convert(value, kind)))
        except (TapFault, TapLost) as error:
            answer = e.Answer(command=command.id, failure=error.failure)
        except (msgspec.ValidationError, ValueError, OverflowError):
            logger.error("%s answered %s with something else", self.address, operation)
            failure = Failure(
                code=Code.INTERNAL, reason=Reason.BUG, message="the process's agent gave a malformed answer"
            )
            answer = e.Answer(command=command.id, failure=failure)
        self._answer(answer)

    # The multiplexer's effects --------------------------------------------------------------------------------

    def _do(self, event: e.Input) -> None:
        loop = asyncio.get_running_loop()
        for effect in self._mux.handle(event, loop.time()):
            match effect:
                case e.Answer():
                    self._answer(effect)
                case e.Tell(kind=kind, fields=fields, session=session, cause=cause):
                    self._tell(kind, session, cause, **fields)
                case e.Send(body):
                    if self._debugger:
                        self._debugger.send(body)
                case e.Connect():
                    self._debugging = self._group.create_task(self._debug(), name=f"debug {self.address}")
                case e.Disconnect():
                    self._let_go()
                case e.PresenceChanged():
                    self._uplink.presence_changed()
                case _:
                    assert_never(effect)
        if self._timer:
            self._timer.cancel()
        deadline = self._mux.next_deadline
        self._timer = None if deadline is None else loop.call_at(deadline, self._do, e.TimePassed())

    def _answer(self, answer: e.Answer) -> None:
        command = self._asked.pop(answer.command, None)
        if command is None:
            return
        reply = bus.Reply(
            process=str(self.address),
            cause=command.id,
            boot=self.hello.boot,
            result=msgspec.UNSET if answer.result is None else answer.result,
            failure=answer.failure,
        )
        self._uplink.reply(command, reply)

    def _tell(self, kind: type[bus.Event], session: str | None, cause: str | None, **fields: Any) -> None:
        self._journal.append(kind, time.time(), session=session, cause=cause, **fields)
        self._uplink.events_waiting()

    # The debugger ---------------------------------------------------------------------------------------------

    async def _debug(self) -> None:
        """From Connect until the tap has cleaned up after the line's end."""
        try:
            async with connected(self._dial) as debugger:
                self._debugger = debugger
                logger.info("%s: debugger attached", self.address)
                self._hear(
                    e.DebuggerConnected(
                        debugpy=debugger.debugpy,
                        capabilities=debugger.capabilities,
                        early=tuple(debugger.early),
                    )
                )
                async for message in debugger.messages():
                    self._hear(e.DebuggerSaid(message))
        except (DebuggerLost, TapLost, TapFault) as error:
            logger.warning("%s: no debugger: %s", self.address, error.failure.message)
            lost: e.Input = e.DebuggerGone() if self._debugger else e.DebuggerFailed(error.failure)
        else:
            lost = e.DebuggerGone()
        self._debugger = None
        if self._mux.state is State.ATTACHED:  # nobody asked for this end
            if await self._is_ending():
                return
            self._do(lost)
        try:
            await self.line.call("debugger.disconnect", LEAVE_WITHIN)
        except (TapLost, TapFault) as error:
            logger.debug("%s: the tap did not clean up: %s", self.address, error.failure.message)
        self._debugging = None
        self._do(lost)

    def _hear(self, event: e.DebuggerConnected | e.DebuggerSaid) -> None:
        """Raises `DebuggerLost` when the body, which only now is read, is none."""
        try:
            self._do(event)
        except MalformedMessage as error:
            raise DebuggerLost(str(error)) from None

    async def _is_ending(self) -> bool:
        """Whether pydevd is gone because its process goes: its socket is closed a moment before the end is known,
        and sessions are to hear the true reason."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DYING_WITHIN):
                await self._dead.wait()
        return self._dead.is_set()

    async def _dial(self, dial: Dial) -> str:
        value = await self.line.call("debugger.connect", CALL_WITHIN * 3, **msgspec.structs.asdict(dial))
        version = value.get("debugpy") if isinstance(value, dict) else None
        return version if isinstance(version, str) else "unknown"

    def _let_go(self) -> None:
        if self._debugger:
            self._debugger.close()
        elif self._debugging and self._exit is not None:
            self._debugging.cancel()

    async def _stop_debugging(self) -> None:
        """After the end was decided: a moment for the tap to clean up, then no more waiting."""
        if self._debugging:
            _, running = await asyncio.wait({self._debugging}, timeout=0.0 if self._exit else LEAVE_WITHIN)
            for task in running:
                task.cancel()

    # Metrics --------------------------------------------------------------------------------------------------

    async def _sample(self) -> None:
        if self.watch is None:  # the number that it gives itself may be another's here
            return
        sampler = metrics.Sampler(str(self.address), self.hello.boot, self.watch.pid)
        while sample := sampler.sample():
            self._uplink.metrics(sample)
            await asyncio.sleep(metrics.EVERY)
