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

from sonde_agent import link
from sonde_agent.redaction import Redaction
from sonde_agent.sidecar import commands, ending, metrics
from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.admission import Admitted, admit
from sonde_agent.sidecar.attachment import Attachment
from sonde_agent.sidecar.errors import TapLost
from sonde_agent.sidecar.journal import Journal
from sonde_agent.sidecar.line import State
from sonde_agent.sidecar.mux import Mux
from sonde_agent.sidecar.probing import Probing
from sonde_agent.sidecar.questions import Questions
from sonde_agent.sidecar.settings import SidecarSettings
from sonde_agent.sidecar.taps import TapLine
from sonde_agent.sidecar.uplink import Uplink
from sonde_wire import Address, Failure, bus, codec, logs

logger = logging.getLogger(__name__)

COMES_BACK_WITHIN = 10.0
"""Seconds that a lost tap has to come back where the process itself cannot be watched."""
PUBLISHED_WITHIN = 3.0
"""Seconds for the last words to reach the bus."""
DYING_WITHIN = 0.5
LEAVE_WITHIN = 5.0
"""Seconds for the tap to clean up after the debugger, when the sidecar leaves."""


class Process:
    def __init__(
        self,
        settings: SidecarSettings,
        address: Address,
        line: TapLine,
        watch: ending.Watch | None,
        *,
        parent: str | None = None,
    ) -> None:
        """`parent` is the name of the process that made this one, where that is known."""
        self.address = address
        self.hello = line.hello
        self.line = line
        self.watch = watch
        self.over = asyncio.Event()
        """Its end, or our leaving, is published (or could not be)."""
        self._labels = {**settings.labels, **line.hello.labels}
        hello = line.hello
        asked = Redaction.said(hello.redaction, hello.redact_names, hello.show_names)
        self._redaction = settings.to_redaction().joined(asked)
        self._mux = Mux(
            str(address),
            self.hello.boot,
            lease=settings.lease,
            longest_stop=settings.longest_stop,
            evaluation_limit=settings.evaluation_limit,
            redaction=self._redaction,
        )
        self._journal = Journal(str(address), self.hello.boot, after=self.hello.numbered)
        self._parent = parent
        self._probing = Probing(
            address, self.hello.boot, self._labels, self._tell_hit, lambda: self._uplink.probes_changed()
        )
        self._uplink = Uplink(address, self.hello.boot, self._journal, self, settings.bus_url, self._probing)
        self._asked: dict[str, bus.Command] = {}
        self._exit: bus.Exit | None = None
        self._state = "online"
        self._told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._leaving = asyncio.Event()
        self._replaced = asyncio.Event()
        self._dead = asyncio.Event()
        self._line_changed = asyncio.Event()
        self._attachment = Attachment(str(address), settings, self)
        # without a watch: the number that it gives itself may be another's here
        self._sampler = metrics.Sampler(str(address), self.hello.boot, watch.pid if watch else None)
        self._questions = Questions(str(address), lambda: self.line, self._answer)
        self._timer: asyncio.TimerHandle | None = None
        self._probing.take(line)

    # From the service -----------------------------------------------------------------------------------------

    def take(self, line: TapLine) -> None:
        """The tap came back on a new line."""
        old, self.line = self.line, line
        old.close()
        self._probing.take(line)
        self._line_changed.set()

    @property
    def numbered(self) -> int:
        """The tap is to bring it to the next sidecar of this boot."""
        return self._journal.set_aside

    def adopted(self, parent: str) -> None:
        """The name of its parent has become known."""
        self._parent = parent
        self._uplink.presence_changed()

    def child_ended(self, returncode: int) -> None:
        """Its parent has the exact status."""
        if not self._told.done():
            self._told.set_result(returncode)

    def leave(self) -> None:
        """The sidecar ends, the process does not."""
        self._leaving.set()

    def replaced(self) -> None:
        """The same process has come with another boot: it became another program, or started its tap anew."""
        self._replaced.set()

    async def run(self, predecessor: "Process | None") -> None:
        """Tasks: `uplink` (the bus; ended by `finish`, or by us when that takes too long), `metrics`, `probes`, `debug`
        (while pydevd is wanted), one `question` or `order` for each thing that the tap is asked. This coroutine itself waits for the
        end of the process or of the sidecar, says so, and ends the others."""
        try:
            if predecessor is not None:
                await predecessor.over.wait()
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._questions.begin(group)
                self._probing.begin(group)
                if not self.hello.numbered:  # else an earlier sidecar has told it
                    self._tell(bus.ProcessStarted, None, None, pid=self.hello.pid)
                uplink = group.create_task(self._uplink.run(), name=f"uplink {self.address}")
                sampling = group.create_task(self._sample(), name=f"metrics {self.address}")
                await self._until_over()
                sampling.cancel()
                await self._attachment.end(0.0 if self._exit else LEAVE_WITHIN)
                self._probing.end(gone=self._exit is not None)
                self._uplink.finish()
                await asyncio.wait({uplink}, timeout=PUBLISHED_WITHIN)
                uplink.cancel()
                self._questions.end()
        finally:
            if self._timer:
                self._timer.cancel()
            if self.watch:
                self.watch.close()
            self.line.tell(link.Numbered(upto=self._journal.last))  # the rest of the block was not used
            self.line.close()
            self.over.set()

    async def _until_over(self) -> None:
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(self._until_ended(), name="ended")
            left = group.create_task(self._leaving.wait(), name="left")
            replaced = group.create_task(self._replaced.wait(), name="replaced")
            await asyncio.wait({ended, left, replaced}, return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, left, replaced):
                task.cancel()
        if ended.cancelled() and not self._replaced.is_set():
            self._state = "lost"
            self.handle(e.SidecarLeaves())
            return
        self._exit = ending.replaced() if ended.cancelled() else ended.result()
        self._state = "ended"
        logger.info("%s %s", self.address, self._exit.message)
        self.handle(e.ProcessGone())
        last = self._sampler.last(self.line.report)
        self._tell(bus.ProcessEnded, None, None, exit=self._exit, metrics=last)

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
        return (
            word and ending.from_last_word(word.code, self._redaction.text(word.message))
        ) or ending.unknown()

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
            argv=tuple(self._redaction.arguments(hello.argv)[0]),
            main=hello.main,
            directory=hello.directory,
            parent_pid=hello.parent_pid,
            parent=self._parent,
            labels=self._labels,
            debugger="attached" if attached else "detached",
            stopped_threads=self._mux.stopped_threads,
            sessions=self._mux.sessions,
            driver=self._mux.driver,
            agent_version=hello.agent_version,
            exit=self._exit,
        )

    def broker_lost(self, broker: str) -> None:
        self.handle(e.BrokerGone(broker))

    def bus_lost(self) -> None:
        self.handle(e.BusGone())

    def command(self, command: bus.Command) -> None:
        admitted = admit(command, str(self.address), self.hello.boot)
        if isinstance(admitted, Failure):
            self._log(command, logging.WARNING, "refused to %s: %s", command.viewer.subject, admitted.message)
            self._reply(command, None, admitted)
            return
        self._asked[command.id] = command
        asked = commands.name_of(admitted)
        self._log(command, commands.level(command), "%s asks for %s", command.viewer.subject, asked)
        self._run(admitted)

    def _run(self, admitted: Admitted) -> None:
        command = admitted.command
        operation = command.operation
        match operation:
            case bus.ReadSource(path=path):
                self._questions.ask(command, path=path)
            case bus.Diagnose(path=path, line=line, sha256=sha256):
                self._questions.ask(command, path=path, line=line, sha256=sha256)
            case (
                bus.ReadStacks() | bus.ListSources() | bus.ReadTasks() | bus.ListModules() | bus.ReadRuntime()
            ):
                self._questions.ask(command)
            case bus.ReadEvents(after=after, upto=upto):  # also of a process that hangs
                read = codec.raw(self._journal.read(after, upto))
                self._answer(e.Answer(command=command.id, result=read))
            case _:
                self.handle(commands.to_input(operation, admitted, time.time()))

    def _log(self, command: bus.Command, level: int, text: str, *arguments: object) -> None:
        log = logs.of_process(logger, str(self.address), command.id)
        log.log(level, text, *arguments, extra=commands.facts_of(command))

    # The multiplexer's effects --------------------------------------------------------------------------------

    def handle(self, event: e.Input) -> None:
        loop = asyncio.get_running_loop()
        for effect in self._mux.handle(event, loop.time()):
            match effect:
                case e.Answer():
                    self._answer(effect)
                case e.Tell(kind=kind, fields=fields, session=session, cause=cause):
                    self._tell(kind, session, cause, **fields)
                case e.Send(body):
                    self._attachment.send(body)
                case e.Connect():
                    self._attachment.attach(self._group)
                case e.Disconnect():
                    self._attachment.let_go(at_once=self._exit is not None)
                case e.Hold(seconds=seconds):
                    self._questions.order("debugger.hold", seconds=seconds)
                case e.Interrupt(seq=seq):
                    self._questions.order("debugger.interrupt", seq=seq)
                case e.PresenceChanged():
                    self._uplink.presence_changed()
                case _:
                    assert_never(effect)
        if self._timer:
            self._timer.cancel()
        deadline = self._mux.next_deadline
        self._timer = None if deadline is None else loop.call_at(deadline, self.handle, e.TimePassed())

    def _answer(self, answer: e.Answer) -> None:
        command = self._asked.pop(answer.command, None)
        if command is None:
            return
        if answer.failure is not None and command.trace is not None:
            self._log(command, logging.INFO, "not done: %s", answer.failure.message)
        self._reply(command, answer.result, answer.failure)

    def _reply(self, command: bus.Command, result: msgspec.Raw | None, failure: Failure | None) -> None:
        reply = bus.Reply(
            process=str(self.address),
            cause=command.id,
            boot=self.hello.boot,
            result=msgspec.UNSET if result is None else result,
            failure=failure,
        )
        self._uplink.reply(command, reply)

    def _tell(self, kind: type[bus.Event], session: str | None, cause: str | None, **fields: Any) -> None:
        self._note(kind, time.time(), session=session, cause=cause, **fields)

    def _tell_hit(self, kind: type[bus.Event], at: float, fields: dict[str, Any]) -> None:
        self._note(kind, at, **fields)

    def _note(self, kind: type[bus.Event], at: float, **fields: Any) -> None:
        if self._journal.reserve():  # before the event that needs it can be published
            self.line.tell(link.Numbered(upto=self._journal.set_aside))
        self._journal.append(kind, at, **fields)
        self._uplink.events_waiting()

    # The attachment's owner -----------------------------------------------------------------------------------

    async def tap(self, within: float) -> TapLine:
        """Its line, which may have to come back first. Raises `TapLost`."""
        try:
            async with asyncio.timeout(within):
                while self.line.lost.is_set():
                    self._line_changed.clear()
                    await self._line_changed.wait()
        except TimeoutError:
            raise TapLost from None
        return self.line

    async def is_ending(self) -> bool:
        """Whether pydevd is gone because its process goes: its socket is closed a moment before the end is known,
        and sessions are to hear the true reason."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DYING_WITHIN):
                await self._dead.wait()
        return self._dead.is_set()

    # Metrics --------------------------------------------------------------------------------------------------

    async def _sample(self) -> None:
        while True:
            if sample := self._sampler.sample(self.line.report, time.monotonic()):
                self._uplink.metrics(sample)
            await asyncio.sleep(metrics.EVERY)
