"""What the verbs that set a probe share: their options, the probe that these ask for, and how its beginning is told."""

import argparse
import asyncio
import time

from rich.text import Text

from sonde_viewer import screen
from sonde_viewer.__main__ import FAILED
from sonde_viewer.client import Viewer
from sonde_viewer.commands import following
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    number_of,
    print_json,
    seconds,
    with_viewer,
)
from sonde_viewer.errors import ConnectionLost, InvalidProbe, NoAnswer, Refused
from sonde_viewer.probes import checking, places, tables, targets, words
from sonde_viewer.untrusted import one_line
from sonde_wire import MalformedMessage, Reason, codec, rpc
from sonde_wire.errors import InvalidAddress
from sonde_wire.probes import Capture, Kind, LinePlace, Place, ProbeSpec, title

_WAIT = 2.0
_LOOK_EACH = 0.1
_CAPTURE = {
    "depth": ("how deep values are taken (3)", words.between(0, 10)),
    "items": ("of a list or dict, so many (100)", words.between(0, 10_000)),
    "length": ("characters of one text (255)", words.between(1, 100_000)),
    "fields": ("of an object, so many (20)", words.between(0, 1000)),
    "size": ("bytes of one snapshot (65536)", words.between(256, 262_144)),
    "seconds": ("of one snapshot at most (0.05)", words.capture_time),
    "frames": ("of the stack, so many (20)", words.between(1, 200)),
    "frames-with-locals": ("of these, so many with their locals (5)", words.between(0, 50)),
}
_OF_VALUES = ("depth", "items", "length", "fields")


def add_options(parser: argparse.ArgumentParser, *, values: bool = False, stack: bool = False) -> None:
    """`values`: it shows some. `stack`: it takes snapshots."""
    which = parser.add_argument_group("which processes", "Without --on: all that this token may see.")
    which.add_argument(
        "--on",
        action="append",
        default=[],
        metavar="KEY=VALUE|SELECTOR",
        help="service=checkout, namespace=, instance=, a label such as version=2, or prod/checkout/*; can be repeated",
    )
    which.add_argument(
        "--canaries", type=words.between(1, 10_000), metavar="N", help="only so many of them at a time"
    )
    when = parser.add_argument_group("when, and how often")
    when.add_argument("--if", dest="condition", metavar="EXPR", help="only when this holds")
    when.add_argument(
        "--ttl", type=words.lifetime, metavar="TIME", help="it expires after that, such as 30m (1h)"
    )
    when.add_argument("--hits", type=number_of, metavar="N", help="in each process, it ends after so many")
    when.add_argument("--rate", type=words.rate, metavar="N/s", help="in each process, so many hits a second")
    when.add_argument("--burst", type=words.between(1, 10_000), metavar="N", help="so many of them at once")
    when.add_argument(
        "--sample", type=words.share, metavar="SHARE", help="only that share of the hits, such as 10%%"
    )
    what = parser.add_argument_group("what")
    what.add_argument("--name", default="", help="what to call it, in place of its id")
    what.add_argument("--python", action="store_true", help="expressions are any Python (scope execute)")
    if values:
        what.add_argument(
            "--repr", action="store_true", help="show values by the program's own __repr__ (scope execute)"
        )
    for name, (text, kind) in _CAPTURE.items():
        if stack or (values and name in _OF_VALUES):
            what.add_argument(f"--{name}", type=kind, metavar="N", help=text)
    then = parser.add_argument_group("then")
    then.add_argument(
        "--wait",
        type=_patience,
        default=_WAIT,
        metavar="SECONDS",
        help="for the processes to say what they did (2)",
    )
    following.add_options(then)
    then.add_argument("--rm", action="store_true", help="with -f or --count: remove it at the end")
    add_json(parser, "the probe in each process as one document; what is followed, one a line")
    add_connection(parser)


def _patience(text: str) -> float:
    return 0.0 if text == "0" else seconds(text)


def spec(kind: Kind, place: Place | None, arguments: argparse.Namespace) -> ProbeSpec:
    """Raises `InvalidProbe` or `InvalidAddress`."""
    given = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_"), None) for name in _CAPTURE}
    limits = {"sample": arguments.sample, "max_hits": arguments.hits, "rate": arguments.rate}
    limits |= {"burst": arguments.burst, "ttl": arguments.ttl}
    wanted = ProbeSpec(
        kind=kind,
        place=place,
        target=targets.target(arguments.on, arguments.canaries),
        name=arguments.name,
        condition=arguments.condition,
        python=arguments.python,
        calls_user_code=getattr(arguments, "repr", False),
        capture=Capture(**{name: value for name, value in given.items() if value is not None}),
        **{name: value for name, value in limits.items() if value is not None},
    )
    checking.check(wanted)
    try:
        return codec.decode(codec.encode(wanted), ProbeSpec)
    except MalformedMessage as error:
        raise InvalidProbe(f"this cannot be a probe: {error.problem}") from None


def run(kind: Kind, place: Place | None, arguments: argparse.Namespace) -> int:
    if arguments.rm and not (arguments.follow or arguments.count):
        return complain("--rm needs -f or --count: without these the probe stays", 2)
    try:
        wanted = spec(kind, place, arguments)
    except (InvalidProbe, InvalidAddress) as error:
        return complain(str(error), 2)

    async def work(viewer: Viewer) -> int:
        added = await viewer.add_probe(wanted)
        try:
            detail = await _begun(viewer, added, arguments.wait)
            if arguments.json:
                print_json(detail)
            else:
                _say_begun(detail)
            if arguments.follow or arguments.count:
                return await following.follow(viewer, detail, arguments)
            return FAILED if _failed_everywhere(detail) else 0
        except asyncio.CancelledError:
            if not arguments.rm:
                complain(f"the probe stays; to remove it: sonde probes rm {added.probe.id}")
            raise
        finally:
            if arguments.rm:
                await _remove(viewer, added.probe.id)

    return with_viewer(arguments, work)


async def _remove(viewer: Viewer, probe: str) -> None:
    """What is told beside it, such as a lost connection, says more than that this failed too."""
    try:
        await viewer.remove_probe(probe)
    except (ConnectionLost, Refused, NoAnswer) as error:
        if not (isinstance(error, Refused) and error.reason is Reason.UNKNOWN_PROBE):
            complain(f"probe {probe} was not removed: {error}")


async def _begun(viewer: Viewer, added: rpc.ProbeInfo, patience: float) -> rpc.ProbeDetail:
    """What the processes say of it once all have, or when nobody waits any longer."""
    end = time.monotonic() + patience
    while True:
        detail = await viewer.probe(added.probe.id)
        if not any(each.status is None for each in detail.processes) or time.monotonic() >= end:
            return detail
        await asyncio.sleep(_LOOK_EACH)


def _failed_everywhere(detail: rpc.ProbeDetail) -> bool:
    totals = detail.info.totals
    return 0 < totals.processes == totals.error


def _say_begun(detail: rpc.ProbeDetail) -> None:
    console = screen.console()
    probe = detail.info.probe
    where = probe.spec.place
    if isinstance(where, LinePlace) and (here := places.line_here(where)) is not None:
        console.print(
            Text.assemble((one_line(f"{where.path}:{where.line}", 500), "cyan"), "  ", one_line(here)),
            soft_wrap=True,
        )
    lasts = screen.span(probe.expires - probe.created)
    said = f"{title(probe.spec)} on {targets.shown(probe.spec.target)}, for {lasts}"
    console.print(Text.assemble("probe ", (probe.id, "bold"), f"  {one_line(said, 1000)}"), soft_wrap=True)
    console.print(Text(tables.installed(detail)), soft_wrap=True)
    for line, style in tables.reasons(detail.processes):
        console.print(Text(f"  {one_line(line, 1000)}", style=style), soft_wrap=True)
