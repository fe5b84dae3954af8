"""`sonde debug`: a prompt like pdb's on a process that runs elsewhere."""

import argparse
import sys
from collections.abc import Iterable

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
from sonde_viewer.prompt.debugger import Debugger
from sonde_viewer.untrusted import harmless
from sonde_wire import MalformedMessage

DESCRIPTION = """\
Stop and step one process, at a prompt with pdb's commands (`help` lists them).

Without a terminal the commands come from -c, or from stdin a line each; the first that fails ends it with
exit code 1. Leaving lets the process run on."""
EXAMPLES = """\
  sonde debug shop
  sonde debug shop -c "break shop.py:72" -c continue -c locals
  sonde debug shop --json --timeout 120 -c "break shop.py:72 if total < 0" -c continue -c "print cart"
"""
_PATIENCE = 30.0


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
    add_json(parser, "one object for each command")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    commands: Iterable[str] | None = arguments.commands
    if commands is None and not (sys.stdin.isatty() and sys.stdout.isatty() and not arguments.json):
        commands = sys.stdin

    async def work(viewer: Viewer) -> int:
        process = await viewer.process(arguments.process)
        async with viewer.debug(process) as session:
            if commands is not None:
                debugger = Debugger(viewer, session, patience=arguments.timeout or _PATIENCE)
                return await _script(debugger, commands, as_json=arguments.json)
            from sonde_viewer.prompt import terminal

            debugger = Debugger(viewer, session, patience=arguments.timeout)
            sys.stdout.write(f"{process.process}, pid {process.pid} on {harmless(process.host)}\n")
            await terminal.converse(debugger, session)
            return 0

    return with_viewer(arguments, work)


async def _script(debugger: Debugger, commands: Iterable[str], *, as_json: bool) -> int:
    for line in commands:
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
