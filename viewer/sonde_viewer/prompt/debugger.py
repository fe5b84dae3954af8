"""What each command of the prompt does. One line in, one `Outcome` out, for people and for programs alike.

It looks at one thread and one of its frames. A stop moves both there; `thread`, `up` and `down` move them by
hand; whatever lets the thread run forgets them.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec.structs import asdict

from sonde_viewer.client import Viewer
from sonde_viewer.errors import DapError, NotDriver, Refused
from sonde_viewer.prompt import grammar, paths, show
from sonde_viewer.prompt.breakpoints import Breakpoint, Breakpoints
from sonde_viewer.prompt.errors import InvalidLine, NothingStands, OtherDrives, UnknownFile
from sonde_viewer.prompt.outcome import Outcome
from sonde_viewer.prompt.seat import Seat, lease_data, lease_text
from sonde_viewer.session import DebugSession
from sonde_viewer.stops import Stop
from sonde_wire import bus, codec, looking

_AROUND = 5
"""Lines of source before and after the current one in `list`; a stop shows fewer."""


class Debugger:
    """`patience` is how long a command waits for the next stop; None: until it is cancelled."""

    def __init__(self, viewer: Viewer, session: DebugSession, *, patience: float | None) -> None:
        self._viewer = viewer
        self._session = session
        self._patience = patience
        self._breakpoints = Breakpoints()
        self._files: tuple[looking.SourceFile, ...] | None = None
        self._texts: dict[str, list[str]] = {}
        self._stop: Stop | None = None
        self._frames: list[dict[str, Any]] = []
        self._at = 0
        self._commands: Mapping[str, Callable[[str], Awaitable[Outcome]]] = {
            "break": self._break,
            "tbreak": self._tbreak,
            "clear": self._clear,
            "breaks": self._breaks,
            "continue": self._continue,
            "next": self._next,
            "step": self._step,
            "out": self._out,
            "pause": self._pause,
            "where": self._where,
            "up": self._up,
            "down": self._down,
            "list": self._list,
            "print": self._print,
            "eval": self._eval,
            "locals": self._locals,
            "threads": self._threads,
            "thread": self._thread,
            **Seat(session).commands,
            "help": self._help,
            "quit": self._quit,
        }

    async def execute(self, text: str) -> Outcome:
        """Raises `ViewerError`, whose text is for whoever typed the line."""
        line = grammar.read(text)
        try:
            return await self._commands[line.command](line.rest)
        except NotDriver as refusal:
            raise OtherDrives(refusal.driver or "another session") from None

    @property
    def newest(self) -> int:
        """The number of the stop that was shown last."""
        return self._stop.number if self._stop else 0

    # breakpoints

    async def _break(self, rest: str) -> Outcome:
        return await self._add(rest, temporary=False) if rest else await self._breaks(rest)

    async def _tbreak(self, rest: str) -> Outcome:
        return await self._add(rest, temporary=True)

    async def _add(self, rest: str, *, temporary: bool) -> Outcome:
        place = grammar.read_place(rest)
        path = await self._path(place.file)
        added = self._breakpoints.add(path, place.line, place.condition, temporary=temporary)
        try:
            await self._send_breakpoints(path)
        except (Refused, DapError):
            self._breakpoints.remove(added.number)
            raise
        made = self._breakpoints.get(added.number)
        return Outcome("break", show.breakpoint(made), {"breakpoint": asdict(made)})

    async def _clear(self, rest: str) -> Outcome:
        if rest:
            gone = [self._breakpoints.remove(grammar.read_number(rest))]
        else:
            gone = [self._breakpoints.remove(each.number) for each in self._breakpoints.all]
        for path in sorted({each.path for each in gone}):
            await self._send_breakpoints(path)
        text = "\n".join(f"breakpoint {each.number} is gone" for each in gone) or "there was none"
        return Outcome("clear", text, {"cleared": [each.number for each in gone]})

    async def _breaks(self, rest: str) -> Outcome:
        listed = self._breakpoints.all
        others = self._session.others_breakpoints
        owners = [self._session.viewer_of(each.owner) for each in others]
        lines = [show.breakpoint(each) for each in listed] or ["there is none; set one with `break`"]
        for owner, each in zip(owners, others, strict=True):
            lines.append(show.others_breakpoints(owner, each.path, _lines_of(each)))
        told = [
            {"viewer": owner, "path": each.path, "lines": _lines_of(each)}
            for owner, each in zip(owners, others, strict=True)
        ]
        data = {"breakpoints": [asdict(each) for each in listed], "others": told}
        return Outcome("breaks", "\n".join(lines), data)

    async def _send_breakpoints(self, path: str) -> None:
        answers = await self._session.set_breakpoints(path, self._breakpoints.of(path))
        self._breakpoints.answered(path, answers)

    async def _path(self, file: str | None) -> str:
        if file is None:
            return str(self._path_of(self._frame()))
        try:
            return paths.find(file, await self.files())
        except UnknownFile:
            self._files = None  # it may have been imported since
            return paths.find(file, await self.files())

    async def files(self) -> tuple[looking.SourceFile, ...]:
        if self._files is None:
            self._files = (await self._viewer.sources(self._session.process)).files
        return self._files

    # running

    async def _continue(self, rest: str) -> Outcome:
        """Without a breakpoint of ours there is nothing to wait for."""
        await self._session.continue_()
        if self._breakpoints.all:
            return await self._wait("continue", after=0)
        self._stop, self._frames = None, []
        return Outcome("continue", "no breakpoint is set; the process runs", {"stopped": None})

    async def _next(self, rest: str) -> Outcome:
        return await self._advance("next", self._session.next)

    async def _step(self, rest: str) -> Outcome:
        return await self._advance("step", self._session.step_in)

    async def _out(self, rest: str) -> Outcome:
        return await self._advance("out", self._session.step_out)

    async def _advance(self, command: str, move: Callable[[int], Awaitable[None]]) -> Outcome:
        """Another thread may stop first, or this one may end: any new stop will do."""
        stop = self._standing()
        newest = max(each.number for each in self._session.standing)
        await move(stop.thread)
        return await self._wait(command, after=newest)

    async def _pause(self, rest: str) -> Outcome:
        newest = max((each.number for each in self._session.standing), default=0)
        await self._session.pause(grammar.read_number(rest) if rest else None)
        return await self._wait("pause", after=newest)

    async def _wait(self, command: str, after: int) -> Outcome:
        self._stop, self._frames = None, []
        return await self.arrive(command, await self._session.stopped(after=after, within=self._patience))

    async def arrive(self, command: str, stop: Stop) -> Outcome:
        """Look at that stop from now on."""
        self._stop, self._at = stop, 0
        self._frames = await self._session.stack(stop.thread)
        await self._drop_temporary()
        names = {each["id"]: each.get("name", "") for each in await self._session.threads()}
        frame = self._frame()
        lines = await self._lines(self._path_of(frame))
        text = show.stop(stop, names.get(stop.thread, ""), frame, lines)
        data = {"thread": stop.thread, "reason": stop.reason, "text": stop.text, "frame": frame}
        return Outcome(command, self._with_lease(text), {"stopped": data, "lease": lease_data(self._session)})

    def _with_lease(self, text: str) -> str:
        shown = lease_text(self._session)
        return f"{text}\n{shown}" if shown else text

    async def _drop_temporary(self) -> None:
        frame = self._frame()
        gone: Breakpoint | None = self._breakpoints.temporary_at(self._path_of(frame), frame["line"])
        if gone is not None:
            self._breakpoints.remove(gone.number)
            await self._send_breakpoints(gone.path)

    # looking

    async def _where(self, rest: str) -> Outcome:
        self._frame()
        return Outcome("where", show.stack(self._frames, self._at), {"frames": self._frames})

    async def _up(self, rest: str) -> Outcome:
        return await self._move("up", grammar.read_number(rest, 1))

    async def _down(self, rest: str) -> Outcome:
        return await self._move("down", -grammar.read_number(rest, 1))

    async def _move(self, command: str, by: int) -> Outcome:
        self._frame()
        self._at = min(max(self._at + by, 0), len(self._frames) - 1)
        frame = self._frame()
        lines = await self._lines(self._path_of(frame))
        return Outcome(command, show.place(frame, lines), {"frame": frame})

    async def _list(self, rest: str) -> Outcome:
        frame = self._frame()
        path = self._path_of(frame)
        lines = await self._lines(path)
        if not lines:
            raise InvalidLine(f"the source of {path} is not on the process's disk")
        middle = grammar.read_number(rest, frame["line"])
        first, last = max(middle - _AROUND, 1), min(middle + _AROUND, len(lines))
        data = {"path": path, "first": first, "lines": lines[first - 1 : last]}
        return Outcome("list", show.source(lines, first, last, frame["line"]), data)

    async def _print(self, rest: str) -> Outcome:
        return await self._evaluate("print", rest, "watch")

    async def _eval(self, rest: str) -> Outcome:
        return await self._evaluate("eval", rest, "repl")

    async def _evaluate(self, command: str, expression: str, context: str) -> Outcome:
        if not expression:
            raise InvalidLine(f"say what to {command}")
        body = await self._session.evaluate(expression, self._frame()["id"], context)
        data = {"expression": expression, "result": body.get("result", ""), "kind": body.get("type", "")}
        return Outcome(command, show.value(data["result"]), data)

    async def _locals(self, rest: str) -> Outcome:
        variables = await self._local_variables()
        data = [
            {"name": each["name"], "value": each.get("value", ""), "kind": each.get("type", "")}
            for each in variables
        ]
        return Outcome("locals", show.variables(data), {"variables": data})

    async def _local_variables(self) -> list[dict[str, Any]]:
        """Without pydevd's own groups, such as `special variables`, which are no variables."""
        scopes = await self._session.scopes(self._frame()["id"])
        if not scopes:
            return []
        variables = await self._session.variables(scopes[0]["variablesReference"])
        return [each for each in variables if each.get("evaluateName", each["name"]) and each.get("type")]

    async def local_names(self) -> list[str]:
        """For completion: nothing when no thread stands."""
        with contextlib.suppress(NothingStands, Refused):
            return [each["name"] for each in await self._local_variables()]
        return []

    def askers(self) -> list[str]:
        """For completion: who waits for the seat."""
        return [self._session.viewer_of(each) for each in self._session.asking]

    # threads

    async def _threads(self, rest: str) -> Outcome:
        standing = {stop.thread for stop in self._session.standing}
        current = self._stop.thread if self._stop else None
        data = [each | {"stopped": each["id"] in standing} for each in await self._session.threads()]
        return Outcome("threads", show.threads(data, current), {"threads": data})

    async def _thread(self, rest: str) -> Outcome:
        wanted = grammar.read_number(rest)
        for stop in self._session.standing:
            if stop.thread == wanted:
                return await self.arrive("thread", stop)
        raise InvalidLine(f"thread {wanted} does not stand; `threads` lists them, `pause {wanted}` stops it")

    async def _help(self, rest: str) -> Outcome:
        return Outcome("help", grammar.help_text(), {"commands": list(grammar.COMMANDS)})

    async def _quit(self, rest: str) -> Outcome:
        return Outcome("quit", "the process runs on", leave=True)

    # what is looked at

    def _standing(self) -> Stop:
        """The stop that is looked at, while its thread still stands: another viewer may have resumed it."""
        if self._stop is None or self._stop not in self._session.standing:
            raise NothingStands
        return self._stop

    def _frame(self) -> dict[str, Any]:
        self._standing()
        if not self._frames:
            raise NothingStands
        return self._frames[self._at]

    @staticmethod
    def _path_of(frame: Mapping[str, Any]) -> str:
        return str((frame.get("source") or {}).get("path", ""))

    async def _lines(self, path: str) -> list[str]:
        """The file's lines; none where it cannot be read, as for code that was made at run time."""
        if path not in self._texts:
            try:
                text = (await self._viewer.source(self._session.process, path)).text if path else ""
            except Refused:
                text = ""
            self._texts[path] = text.splitlines()
        return self._texts[path]


def _lines_of(others: bus.BreakpointSet) -> list[int]:
    told = (codec.decode_any(each).get("line") for each in others.breakpoints)
    return [line for line in told if isinstance(line, int)]
