"""`sonde report`: what happened in a part of the fleet, and how it does."""

import argparse
import sys

import msgspec

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands import past
from sonde_viewer.commands.connection import add_connection, add_json, complain, number_of, with_viewer
from sonde_viewer.errors import ViewerError
from sonde_viewer.recorded import report
from sonde_viewer.untrusted import one_line
from sonde_wire import codec

DESCRIPTION = """\
Report on the processes that a selector matches: how many there are, how their operations go and which are slowest,
errors by kind, what they used at most, and what was debugged. It takes a second or two: they are listened to.

Events, sessions and processes that have ended are of the broker's history; operations and peaks are counted since each
process began."""
EXAMPLES = """\
  sonde report
  sonde report prod/shop --since 2h
  sonde report --json | jq '.operations[0]'
  sonde report --since 7d -o week.json
"""
_ROWS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "selector", nargs="?", default="*", help="shop, prod/shop, prod/shop/web-*; default: all"
    )
    past.add_since(parser, "from then on (the last 24 hours)")
    parser.add_argument(
        "--rows", type=number_of, default=_ROWS, metavar="N", help=f"of each table at most ({_ROWS})"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write all of it there as JSON, beside the summary here"
    )
    add_json(parser, "one JSON document with all of it")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    async def work(viewer: Viewer) -> int:
        made = await viewer.report(arguments.selector, since=arguments.since)
        text = msgspec.json.format(codec.encode(made), indent=2) + b"\n"
        if arguments.json:
            sys.stdout.write(codec.encode(made).decode() + "\n")
        else:
            report.show(screen.console(), made, arguments.rows)
        if arguments.output is None:
            return 0
        try:
            with past.written(arguments.output) as file:
                file.write(text)
        except (ViewerError, BrokenPipeError):
            raise
        except OSError as error:
            return complain(f"{arguments.output} cannot be written: {error.strerror}")
        if arguments.output != "-":
            sys.stderr.write(f"sonde: {one_line(arguments.output, 500)}: {screen.size(len(text))}\n")
        return 0

    return with_viewer(arguments, work)
