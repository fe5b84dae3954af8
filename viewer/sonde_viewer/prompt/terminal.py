"""The prompt for people: history, completion, Ctrl-C, and a word when something happens in between.

Tasks: one says what others do (`notices`), as long as the conversation lasts. While a line is typed: the prompt,
and one that waits for the next stop and says it above the prompt. While a command runs: the command, which Ctrl-C
cancels alone; a process that is waited for runs on.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import CompleteStyle

from sonde_viewer.errors import ConnectionLost, SessionClosed, ViewerError
from sonde_viewer.prompt import grammar, notices, show
from sonde_viewer.prompt.debugger import Debugger
from sonde_viewer.prompt.errors import InvalidLine
from sonde_viewer.session import DebugSession
from sonde_viewer.untrusted import harmless

_MENU = 6
"""Lines for what Tab offers."""
_REPEATED_BY_ENTER = {"continue", "next", "step", "out", "up", "down"}


async def converse(debugger: Debugger, session: DebugSession) -> None:
    """Until `quit`, Ctrl-D, or the end of the session, which is raised (in a group)."""
    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(_tell(session), name="say what others do")
        try:
            await _converse(debugger, session)
        finally:
            telling.cancel()


async def _tell(session: DebugSession) -> None:
    async for notice in notices.arriving(session):
        _say(f"-- {notice.text}")


async def _converse(debugger: Debugger, session: DebugSession) -> None:
    prompt: PromptSession[str] = PromptSession(
        "(sonde) ",
        history=FileHistory(str(_history())),
        completer=_Words(debugger),
        complete_while_typing=False,
        complete_style=CompleteStyle.COLUMN,  # READLINE_LIKE asks only the synchronous half of a completer
        reserve_space_for_menu=_MENU,
    )
    again = ""
    while True:
        line = await _read(prompt, debugger, session)
        if line is None:
            return
        line = line.strip() or again
        if line and not await _do(debugger, line):
            return
        again = _to_repeat(line)


async def _read(prompt: PromptSession[str], debugger: Debugger, session: DebugSession) -> str | None:
    """None for Ctrl-D; Ctrl-C gives an empty line."""
    with patch_stdout():
        async with asyncio.TaskGroup() as tasks:
            announcer = tasks.create_task(_announce(debugger, session), name="say when a thread stops")
            try:
                return await prompt.prompt_async()
            except KeyboardInterrupt:
                return ""
            except EOFError:
                return None
            finally:
                announcer.cancel()
    return None


async def _announce(debugger: Debugger, session: DebugSession) -> None:
    newest = max((stop.number for stop in session.standing), default=debugger.newest)
    while True:
        try:
            stop = await session.stopped(after=newest, within=None, arm=False)
            newest = stop.number
            _say((await debugger.arrive("stopped", stop)).text)
        except ViewerError as error:
            _say(harmless(str(error)))
            return


async def _do(debugger: Debugger, line: str) -> bool:
    """False when it was the last. Raises what ends the session."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        doing = tasks.create_task(_told(debugger, line), name="command at the prompt")
        loop.add_signal_handler(signal.SIGINT, doing.cancel)
        try:
            await asyncio.wait((doing,))
        finally:
            loop.remove_signal_handler(signal.SIGINT)
    if doing.cancelled():
        _say(f"\n{show.abandoned(grammar.read(line).command)}")
        return True
    outcome = doing.result()
    if isinstance(outcome, ViewerError):
        raise outcome
    return outcome


async def _told(debugger: Debugger, line: str) -> bool | ViewerError:
    """An error that ends the session is returned, because raised it would come out in a group."""
    try:
        outcome = await debugger.execute(line)
    except (ConnectionLost, SessionClosed) as error:
        return error
    except ViewerError as error:
        _say(f"*** {harmless(str(error))}")
        return True
    _say(outcome.text)
    return not outcome.leave


def _to_repeat(line: str) -> str:
    try:
        return line if line and grammar.read(line).command in _REPEATED_BY_ENTER else ""
    except InvalidLine:
        return ""


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _history() -> Path:
    """The user's alone: what is typed at a debugger can hold secrets."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    file = Path(home) / "sonde" / "debug_history"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    return file


class _Words(Completer):
    """Commands; after `break` the program's files; after `print` the names in this frame."""

    def __init__(self, debugger: Debugger) -> None:
        self._debugger = debugger

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Completion]:
        """The prompt is asynchronous and uses the other one."""
        return []

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        word, space, rest = document.text_before_cursor.lstrip().partition(" ")
        typed = rest.rpartition(" ")[2] if space else word
        try:
            offered = await self._offered(grammar.read(word).command) if space else list(grammar.COMMANDS)
        except ViewerError:
            return
        for each in sorted(set(offered)):
            if each.startswith(typed):
                yield Completion(each, start_position=-len(typed))

    async def _offered(self, command: str) -> list[str]:
        match command:
            case "break" | "tbreak":
                files = await self._debugger.files()
                return [f"{Path(file.path).name}:" for file in files if file.application]
            case "print" | "eval":
                return await self._debugger.local_names()
            case "grant":
                return self._debugger.askers()
            case _:
                return []
