"""`sonde snap`: the stack and the locals where a line is reached or an exception raised, without stopping anything."""

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from sonde_viewer import names, screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands import actions, adding
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    number_of,
    print_json,
    with_viewer,
)
from sonde_viewer.commands.following import as_document
from sonde_viewer.probes import places, sentences, snapshots, words
from sonde_viewer.probes.difference import diff
from sonde_viewer.untrusted import one_line
from sonde_wire import bus, codec, rpc
from sonde_wire.probes import OnException, Snapshot

DESCRIPTION = (
    "Take snapshots where a line is reached or an exception raised, and look at them. Nothing is stopped."
)
EXAMPLES = """\
  sonde snap add shop/worker.py:33 --on service=checkout
  sonde snap add shop/worker.py:33 "len(order.lines)" --if "order.total < 0" --count 1 --rm
  sonde snap add --exception ValueError --on service=checkout -f
  sonde snap ls
  sonde snap show 0123456789ab-42
"""
_ADD = f"""\
Set a probe that takes a snapshot: the stack, the locals of its innermost frames, and expressions.

{places.HELP}

Expressions stand behind PLACE. They are of a safe language that runs nothing of the program's
(docs/expressions.md), unless --python is given.

With --exception or --uncaught a snapshot is taken where an exception is raised; with a PLACE too, only there."""
_ADD_EXAMPLES = """\
  sonde snap add shop/worker.py:33 --on service=checkout
  sonde snap add shop/worker.py:33 "len(order.lines)" order.total --if "order.total < 0" --ttl 30m
  sonde snap add shop.worker:Order.total:exit --on 'prod/checkout/*' --canaries 2 -f
  sonde snap add --exception ValueError --exception shop.errors.OutOfStock --count 1 --rm
  sonde snap add --uncaught --on version=2
"""
_MOST_ROWS = 200
_LISTED = 20
"""A snapshot can have 64 KiB, and all of it comes here."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = actions.actions_of(parser)
    _add_add(action("add", _ADD, _ADD_EXAMPLES, late="expressions"))

    listing = action(
        "ls",
        "List the snapshots that are kept, the newest last.",
        "  sonde snap ls\n  sonde snap ls k3x7 --limit 5\n  sonde snap ls --json | jq -r .id\n",
    )
    listing.add_argument(
        "probes", nargs="*", metavar="PROBE", help="only of these: id, its beginning, or name"
    )
    listing.add_argument(
        "--limit",
        type=words.between(1, 1000),
        default=_LISTED,
        metavar="N",
        help=f"of each probe the newest so many ({_LISTED})",
    )
    add_json(listing, "each snapshot as it is on the wire with its id, one a line")
    add_connection(listing)

    showing = action(
        "show",
        "Show a snapshot: its stack, the innermost frame last, with locals and expressions.",
        "  sonde snap show 0123456789ab-42\n  sonde snap show 0123456789ab-42 --json | jq '.captured.frames[0].locals'\n",
    )
    showing.add_argument("snapshot", type=words.snapshot, metavar="ID")
    showing.add_argument("--frames", type=number_of, metavar="N", help="only the innermost so many")
    showing.add_argument(
        "--rows",
        type=number_of,
        default=_MOST_ROWS,
        metavar="N",
        help=f"of values in each frame ({_MOST_ROWS})",
    )
    add_json(showing, "it as it is on the wire, with its id")
    add_connection(showing)

    comparing = action(
        "diff",
        "Show what differs between two snapshots, frame by frame and name by name.",
        "  sonde snap diff 0123456789ab-42 0123456789ab-77\n",
    )
    comparing.add_argument("before", type=words.snapshot, metavar="ID")
    comparing.add_argument("after", type=words.snapshot, metavar="ID")
    add_json(comparing, "one document with what differs")
    add_connection(comparing)

    exporting = action(
        "export",
        "Write a snapshot to a file, as JSON.",
        "  sonde snap export 0123456789ab-42 -o snapshot.json\n",
    )
    exporting.add_argument("snapshot", type=words.snapshot, metavar="ID")
    exporting.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="where to; `-` is standard output"
    )
    add_connection(exporting)


def _add_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="?", type=places.place, metavar="PLACE")
    parser.add_argument(
        "expressions", nargs="*", metavar="EXPR", help="to be in the snapshot, such as len(order.lines)"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--exception",
        action="append",
        dest="exceptions",
        metavar="CLASS",
        help="where an exception of that class, or a subclass, is raised; can be repeated",
    )
    group.add_argument(
        "--uncaught", action="store_true", help="where an exception is raised that nobody catches"
    )
    adding.add_options(parser, values=True, stack=True)


def run(arguments: argparse.Namespace) -> int:
    match arguments.action:
        case "add":
            return _add(arguments)
        case "ls":
            return with_viewer(arguments, lambda viewer: _list(viewer, arguments))
        case "show":
            return with_viewer(arguments, lambda viewer: _show(viewer, arguments))
        case "diff":
            return with_viewer(arguments, lambda viewer: _diff(viewer, arguments))
        case _:
            return with_viewer(arguments, lambda viewer: _export(viewer, arguments))


def _add(arguments: argparse.Namespace) -> int:
    if arguments.exceptions or arguments.uncaught:
        if arguments.expressions:
            return complain("a snapshot of an exception has the locals, and takes no expressions", 2)
        return adding.run(OnException(types=tuple(arguments.exceptions or ())), arguments.place, arguments)
    if arguments.place is None:
        return complain("name a PLACE, or give --exception or --uncaught", 2)
    return adding.run(Snapshot(expressions=tuple(arguments.expressions)), arguments.place, arguments)


async def _list(viewer: Viewer, arguments: argparse.Namespace) -> int:
    known = await viewer.probes(ended=True)
    if arguments.probes:
        wanted = [names.probe(text, known) for text in arguments.probes]
    else:
        wanted = [each for each in known if isinstance(each.probe.spec.kind, Snapshot | OnException)]
    taken, more = await _taken(viewer, wanted, arguments.limit)
    if arguments.json:
        for event in taken:
            print_json(as_document(event))
        return 0
    table = screen.table("ID", "TIME", "PROCESS", "PROBE", "HIT", "WHERE", right=("HIT",))
    for event in taken:
        table.add_row(
            bus.snapshot_id(event),
            screen.clock(event.time),
            screen.cell(event.process),
            event.probe,
            str(event.hit),
            screen.cell(sentences.place(event.captured).removeprefix("at ")),
        )
    if taken:
        screen.console().print(table)
    else:
        complain("no snapshot is kept; `sonde snap add PLACE` takes some")
    if more:
        complain("there were more, which are not kept or not within --limit")
    return 0


async def _taken(
    viewer: Viewer, probes: list[rpc.ProbeInfo], limit: int
) -> tuple[list[bus.SnapshotTaken], bool]:
    taken: list[bus.SnapshotTaken] = []
    more = False
    for each in probes:
        results = await viewer.probe_results(each.probe.id, limit)
        taken += [event for event in results.events if isinstance(event, bus.SnapshotTaken)]
        more = more or results.more
    return sorted(taken, key=lambda event: event.time), more


async def _show(viewer: Viewer, arguments: argparse.Namespace) -> int:
    event = await viewer.snapshot(arguments.snapshot)
    if arguments.json:
        print_json(as_document(event))
    else:
        snapshots.show(screen.console(), event, rows=arguments.rows, frames=arguments.frames)
    return 0


async def _diff(viewer: Viewer, arguments: argparse.Namespace) -> int:
    before, after = await viewer.snapshot(arguments.before), await viewer.snapshot(arguments.after)
    difference = diff(before.captured, after.captured)
    if arguments.json:
        print_json({"before": arguments.before, "after": arguments.after, "difference": difference})
    elif difference:
        snapshots.show_difference(screen.console(), difference)
    else:
        sys.stdout.write("nothing differs in what was taken\n")
    return 0


async def _export(viewer: Viewer, arguments: argparse.Namespace) -> int:
    event = await viewer.snapshot(arguments.snapshot)
    text = msgspec.json.format(codec.encode(as_document(event)), indent=2).decode() + "\n"
    if arguments.output == "-":
        sys.stdout.write(text)
        return 0
    try:
        await asyncio.to_thread(Path(arguments.output).write_text, text, encoding="utf-8")
    except OSError as error:
        return complain(f"{arguments.output} cannot be written: {error.strerror}")
    sys.stdout.write(f"{one_line(arguments.output, 500)}: {len(text)} characters\n")
    return 0
