"""`sonde probes`: which probes there are, how they fare in each process, and to take them away."""

import argparse
import asyncio
import time

from sonde_viewer import names, screen
from sonde_viewer.__main__ import FAILED
from sonde_viewer.client import Viewer
from sonde_viewer.commands import actions, following
from sonde_viewer.commands.connection import add_connection, add_json, complain, print_json, with_viewer
from sonde_viewer.errors import NoAnswer, Refused
from sonde_viewer.probes import tables
from sonde_wire import rpc

DESCRIPTION = "List the probes, show how one fares in each process, and remove them."
EXAMPLES = """\
  sonde probes ls
  sonde probes show k3x7
  sonde probes rm k3x7 negative-totals
  sonde probes rm --all
"""
_SHOW = """\
Show a probe: in each process its state and why, its hits, the CPU that it uses, and what it has measured.

States: pending (its code is not loaded yet), active (it is there, without a hit), hit, throttled (more often than its
rate), suspended (it used too much CPU), expired (its time or its hits are over), error (and why)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = actions.actions_of(parser)
    listing = action(
        "ls",
        "List the probes that mean some process of a selector.",
        "  sonde probes ls\n  sonde probes ls prod/shop --ended\n  sonde probes ls --json | jq '.probes[].totals'\n",
    )
    listing.add_argument(
        "selector", nargs="?", default="*", help="shop, prod/shop, prod/shop/web-*; default: all"
    )
    listing.add_argument("--ended", action="store_true", help="also what was removed or expired of late")
    add_json(listing, "one JSON document")
    add_connection(listing)

    showing = action("show", _SHOW, "  sonde probes show k3x7\n  sonde probes show k3x7 -f\n")
    showing.add_argument("probe", metavar="PROBE", help="its id, the beginning of it, or its name")
    following.add_options(showing)
    add_json(showing, "one JSON document; what is followed, one a line")
    add_connection(showing)

    removing = action(
        "rm",
        "Remove probes, in all processes.",
        "  sonde probes rm k3x7\n  sonde probes rm --all\n  sonde probes rm --all prod/shop\n",
        late="probes",
    )
    removing.add_argument(
        "probes",
        nargs="*",
        metavar="PROBE",
        help="id, its beginning, or name; with --all a selector or nothing",
    )
    removing.add_argument("--all", action="store_true", help="all that this token may see")
    add_json(removing, "the ids of those removed, as one document")
    add_connection(removing)


def run(arguments: argparse.Namespace) -> int:
    match arguments.action:
        case "ls":
            return with_viewer(arguments, lambda viewer: _list(viewer, arguments))
        case "show":
            return with_viewer(arguments, lambda viewer: _show(viewer, arguments))
        case _:
            if not (arguments.probes or arguments.all) or (arguments.all and len(arguments.probes) > 1):
                return complain("name the probes to remove, or give --all (and a selector, if you like)", 2)
            return with_viewer(arguments, lambda viewer: _remove(viewer, arguments))


async def _list(viewer: Viewer, arguments: argparse.Namespace) -> int:
    known = await viewer.probes(arguments.selector, ended=arguments.ended)
    if arguments.json:
        print_json(rpc.ProbeList(probes=tuple(known)))
    elif known:
        screen.console().print(tables.listed(known, time.time()))
    else:
        complain("no probe is there; set one with, for example: sonde snap add FILE:LINE")
    return 0


async def _show(viewer: Viewer, arguments: argparse.Namespace) -> int:
    known = await viewer.probes(ended=True)
    detail = await viewer.probe(names.probe(arguments.probe, known).probe.id)
    if arguments.json:
        print_json(detail)
    else:
        tables.show(screen.console(), detail, time.time())
    if arguments.follow or arguments.count:
        return await following.follow(viewer, detail, arguments)
    return 0


async def _remove(viewer: Viewer, arguments: argparse.Namespace) -> int:
    """The first that cannot be removed does not keep the others."""
    if arguments.all:
        wanted = await viewer.probes(*arguments.probes)
    else:
        known = await viewer.probes()
        wanted = [names.probe(text, known) for text in arguments.probes]
    ids = list(dict.fromkeys(each.probe.id for each in wanted))
    failures = await asyncio.gather(*(_removed(viewer, probe) for probe in ids))
    removed = [probe for probe, failure in zip(ids, failures, strict=True) if failure is None]
    if arguments.json:
        print_json({"removed": removed})
    elif removed:
        screen.console().print(f"removed {', '.join(removed)}", soft_wrap=True)
    elif not ids:
        complain("no probe is there")
    for probe, failure in zip(ids, failures, strict=True):
        if failure is not None:
            complain(f"{probe} was not removed: {failure}")
    return 0 if len(removed) == len(ids) else FAILED


async def _removed(viewer: Viewer, probe: str) -> str | None:
    """Why not, or None."""
    try:
        await viewer.remove_probe(probe)
    except (Refused, NoAnswer) as error:
        return str(error)
    return None
