"""The command line: `sonde VERB ...`.

Nothing but the standard library is imported here, and a verb's module only when that verb was typed: `sonde
run` starts in images where only the tap's own dependencies are installed.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

FAILED = 1
USAGE = 2


@dataclass(frozen=True)
class Verb:
    summary: str
    extra: str
    """What must be installed for it: `pip install 'sonde[extra]'`. Empty: nothing."""
    module: str = ""
    """In `sonde_viewer.commands`; empty when it is named like the verb."""
    passes_on: bool = False
    """The rest of the line, `--help` included, is another program's."""


VERBS = {
    "demo": Verb("Start everything here with three processes to debug", "all"),
    "up": Verb("Start a broker with its bus here, for this user", "broker"),
    "run": Verb("Run a Python program so that it can be debugged", "", "delegate", passes_on=True),
    "attach": Verb("Bring Sonde into a Python process that runs already", "", "delegate", passes_on=True),
    "open": Verb("Open the page of the broker in a browser", "viewer"),
    "ps": Verb("List the processes, once or live", "viewer"),
    "metrics": Verb("Show what a process uses, and how its operations go", "viewer"),
    "events": Verb("Follow what happens in the processes, or see what has happened", "viewer"),
    "stack": Verb("Show what a process does now, without stopping it", "viewer"),
    "tasks": Verb("Show the asyncio tasks of a process and what awaits what", "viewer"),
    "source": Verb("Print a source file as a process has it", "viewer"),
    "snap": Verb("Take snapshots of a line or an exception, without stopping", "viewer"),
    "log": Verb("Log a text with values where a line is reached", "viewer"),
    "count": Verb("Count how often a line is reached, or measure something there", "viewer"),
    "time": Verb("Measure how long a function or a part of it takes", "viewer", "timing"),
    "watch": Verb("Tell when the value of an expression has changed", "viewer"),
    "probes": Verb("List and remove what snap, log, count, time and watch have set", "viewer"),
    "doctor": Verb("Find out why nothing is seen, or a breakpoint is not hit", "viewer"),
    "debug": Verb("Stop and step one process at a prompt like pdb's", "viewer"),
    "sessions": Verb("List, show, replay and export debug sessions of the past", "viewer"),
    "report": Verb("Report on a part of the fleet: operations, errors, peaks", "viewer"),
    "broker": Verb("Run a broker as a service", "broker", "delegate", passes_on=True),
    "sidecar": Verb(
        "Run the half of the agent that sits beside a process", "agent", "delegate", passes_on=True
    ),
    "token": Verb("Issue a token, or look into one", "broker", "delegate", passes_on=True),
}

_EPILOG = """\
to see it work:
  sonde demo

with a program of your own:
  sonde up                               in one terminal
  sonde run --service shop -- app.py     in another
  sonde debug shop                       in a third
"""


class Command(Protocol):
    """What a module in `sonde_viewer.commands` has."""

    DESCRIPTION: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, arguments: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed or refused (why is on stderr), 2 a usage error, 130 Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = VERBS.get(words[0]) if words else None
    if verb is None:
        return _no_verb(words)
    name, rest = words[0], words[1:]
    try:
        module = import_module(f"sonde_viewer.commands.{verb.module or name}")
    except ModuleNotFoundError as error:
        return missing(name, verb.extra, error)
    if verb.passes_on:
        return cast("int", module.run(name, verb.extra, rest))
    command = cast("Command", module)
    parser = argparse.ArgumentParser(
        prog=f"sonde {name}",
        description=command.DESCRIPTION,
        epilog=f"examples:\n{command.EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args(rest))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python flushes once more at exit and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def missing(verb: str, extra: str, error: ModuleNotFoundError) -> int:
    """Says what to install; an import that fails within Sonde itself is a bug and stays a traceback."""
    if (error.name or "").startswith("sonde_viewer"):
        raise error
    sys.stderr.write(f"sonde {verb}: {error.name} is not installed; pip install 'sonde[{extra}]'\n")
    return USAGE


def _no_verb(words: Sequence[str]) -> int:
    """Help, the version, or a usage error."""
    parser = argparse.ArgumentParser(
        prog="sonde",
        description="Live debugging for fleets of Python processes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="say which version this is")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", dest="verb")
    for name, verb in VERBS.items():
        verbs.add_parser(name, help=verb.summary, add_help=False)
    if not words:
        parser.print_help()
        return USAGE
    arguments = parser.parse_args(words)
    if arguments.version:
        sys.stdout.write(f"sonde {_version()}\n")
    return 0


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sonde")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
