"""`sonde debug`: a prompt like pdb's on a process that runs elsewhere."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    print_json,
    seconds,
    with_viewer,
)
from sonde_viewer.errors import ViewerError
from sonde_viewer.prompt import notices
from sonde_viewer.prompt.debugger import Debugger
from sonde_viewer.prompt.lines import lines
from sonde_viewer.session import DebugSession
from sonde_viewer.untrusted import harmless
from sonde_wire import MalformedMessage

DESCRIPTION = """\
Stop and step one process, at a prompt with pdb's commands (`help` lists them).

Without a terminal the commands come from -c, or from stdin a line each; the first that fails ends it with
exit code 1. Leaving lets the process run on.

What stands goes on standing while this runs and drives, or nobody does. One viewer of a process drives at a time:
the first that steps, continues or pauses takes the free seat (`seat`, `take`, `release`, `ask`, `grant`)."""
EXAMPLES = """\
  sonde debug shop
  sonde debug shop -c "break shop.py:72" -c continue -c locals
  sonde debug shop --name cart-bug --metadata ticket=X-1
  sonde debug shop --json --timeout 120 -c "break shop.py:72 if total < 0" -c continue -c "print cart"
"""
_PATIENCE = 30.0
_MOST_METADATA = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", help="its address, its service or instance, or the beginning of one")
    parser.add_argument(
        "-c", dest="commands", action="append", metavar="COMMAND", help="do this; can be repeated"
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help=f"wait for a stop at most so long (without a terminal: {_PATIENCE:g})",
    )
    parser.add_argument(
        "--name", type=_name, default="", help="what to call the session, for `sonde sessions`"
    )
    parser.add_argument(
        "--metadata",
        type=_pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="what else to remember of it, such as ticket=X-1; can be repeated",
    )
    add_json(parser, "one object for each command, and one with `notice` when others do something")
    add_connection(parser)


def _name(text: str) -> str:
    if len(text) > 100:
        raise argparse.ArgumentTypeError("a name has at most 100 characters")
    return text


def _pair(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not 0 < len(key) <= 50 or len(value) > 200:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no KEY=VALUE such as ticket=X-1 (at most 50 and 200 characters)"
        )
    return key, value


def run(arguments: argparse.Namespace) -> int:
    if len(arguments.metadata) > _MOST_METADATA:
        return complain(f"a session has at most {_MOST_METADATA} pieces of metadata", 2)
    commands: AsyncIterable[str] | None = None
    if arguments.commands is not None:
        commands = _each(arguments.commands)
    elif not (sys.stdin.isatty() and sys.stdout.isatty() and not arguments.json):
        commands = lines(sys.stdin.fileno())

    async def work(viewer: Viewer) -> int:
        process = await viewer.process(arguments.process)
        metadata = dict(arguments.metadata)
        async with viewer.debug(process, name=arguments.name, metadata=metadata) as session:
            if commands is not None:
                debugger = Debugger(viewer, session, patience=arguments.timeout or _PATIENCE)
                return await _run_script(debugger, session, commands, as_json=arguments.json)
            from sonde_viewer.prompt import terminal

            debugger = Debugger(viewer, session, patience=arguments.timeout)
            sys.stdout.write(f"{process.process}, pid {process.pid} on {harmless(process.host)}\n")
            await terminal.converse(debugger, session)
            return 0

    return with_viewer(arguments, work)


async def _each(commands: Iterable[str]) -> AsyncIterator[str]:
    for line in commands:
        yield line


async def _run_script(
    debugger: Debugger, session: DebugSession, commands: AsyncIterable[str], *, as_json: bool
) -> int:
    """Beside the commands runs a task that tells what others do."""
    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(_tell(session, as_json=as_json), name="tell what others do")
        try:
            return await _script(debugger, commands, as_json=as_json)
        finally:
            telling.cancel()


async def _tell(session: DebugSession, *, as_json: bool) -> None:
    """For people on stderr, so that what the commands print stays theirs."""
    async for notice in notices.arriving(session):
        if as_json:
            print_json({"notice": notice.kind, "text": notice.text} | dict(notice.data))
        else:
            complain(notice.text)


async def _script(debugger: Debugger, commands: AsyncIterable[str], *, as_json: bool) -> int:
    async for line in commands:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            outcome = await debugger.execute(line)
        except (ViewerError, MalformedMessage) as error:
            if as_json:
                print_json({"line": line.strip(), "error": str(error)})
            return complain(str(error))
        if as_json:
            print_json({"line": line.strip(), "command": outcome.command} | dict(outcome.data))
        else:
            sys.stdout.write(f"{outcome.text}\n")
            sys.stdout.flush()
        if outcome.leave:
            break
    return 0
