"""`sonde source`: a source file as the process has it on its disk."""

import argparse
import re
import sys

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    document,
    print_json,
    with_viewer,
)
from sonde_viewer.prompt import paths
from sonde_viewer.untrusted import harmless, one_line
from sonde_wire import bus, looking

DESCRIPTION = """\
Print a source file of one process, as it is on that process's disk. Only files that it has imported, or that lie
below its directory, can be read."""
EXAMPLES = """\
  sonde source shop cart.py
  sonde source shop cart.py -n --lines 20-40
  sonde source shop cart.py --sha256
  sonde source shop --list
  diff <(sonde source shop cart.py) cart.py
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", help="its address, its service or instance, or the beginning of one")
    parser.add_argument("file", nargs="?", help="its path, or the end of it, such as shop/cart.py")
    parser.add_argument("--list", action="store_true", help="print which files the process has imported")
    parser.add_argument("--all", action="store_true", help="with --list: also those of installed packages")
    parser.add_argument("--sha256", action="store_true", help="print the hash of the file, and its path")
    parser.add_argument("-n", "--number", action="store_true", help="number the lines")
    parser.add_argument("--lines", type=_span, metavar="FROM-TO", help="only these lines")
    add_json(parser, "one JSON document")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.list == (arguments.file is not None):
        return complain("name one file, or give --list", 2)

    async def work(viewer: Viewer) -> int:
        process = await viewer.process(arguments.process)
        if arguments.list:
            _print_list(
                process, await viewer.sources(process), everything=arguments.all, as_json=arguments.json
            )
            return 0
        listed = () if arguments.file.startswith("/") else (await viewer.sources(process)).files
        source = await viewer.source(process, paths.find(arguments.file, listed))
        _print(process, source, arguments)
        return 0

    return with_viewer(arguments, work)


def _print(process: bus.Presence, source: looking.Source, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print_json({"process": process.process} | document(source))
    elif arguments.sha256:
        sys.stdout.write(f"{source.sha256}  {one_line(source.path, 4096)}\n")
    else:
        first, last = arguments.lines or (1, sys.maxsize)
        lines = source.text.removesuffix("\n").split("\n")
        width = len(str(min(len(lines), last)))
        for number, line in enumerate(lines[first - 1 : last], first):
            shown = harmless(line.removesuffix("\r"))
            sys.stdout.write(f"{number:>{width}}  {shown}\n" if arguments.number else f"{shown}\n")


def _print_list(process: bus.Presence, sources: looking.Sources, *, everything: bool, as_json: bool) -> None:
    files = sorted(
        (each for each in sources.files if everything or each.application), key=lambda each: each.path
    )
    if as_json:
        print_json({"process": process.process} | document(looking.Sources(files=tuple(files))))
        return
    table = screen.table("MODULE", "PATH")
    for each in files:
        table.add_row(screen.cell(each.module), one_line(each.path, 4096))
    screen.console().print(table)


def _span(text: str) -> tuple[int, int]:
    """For argparse: 20-40, 20-, -40 or 20."""
    found = re.fullmatch(r"(\d{0,9})(-?)(\d{0,9})", text)
    if found is None or not (found[1] or found[3]):
        raise argparse.ArgumentTypeError(f"{text!r} is no span of lines such as 20-40")
    first = int(found[1] or 1)
    last = int(found[3]) if found[3] else (sys.maxsize if found[2] else first)
    if not 1 <= first <= last:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of lines such as 20-40")
    return first, last
