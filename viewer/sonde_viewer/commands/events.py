"""`sonde events`: what happens in the processes, as it happens, and what has happened."""

import argparse
import asyncio
import time
from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.text import Text

from sonde_viewer import screen, telling
from sonde_viewer.client import connect
from sonde_viewer.commands import past
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    number_of,
    print_json,
    seconds,
    told,
)
from sonde_viewer.numbering import Numbers
from sonde_viewer.recorded import sessions
from sonde_viewer.resuming import Interrupted, Missing, Notice, follow
from sonde_viewer.untrusted import one_line
from sonde_wire import bus, codec, rpc
from sonde_wire.history import Cursor

DESCRIPTION = """\
Follow the events of the processes that a selector matches, until Ctrl-C. A connection that breaks is made again, and
what was missed meanwhile is told then.

With --since, --until or --session, or with --kind or --text and without -f, what has happened is shown, the newest
last, of the broker's history. With -f as well, it goes on from there."""
EXAMPLES = """\
  sonde events -f
  sonde events shop -f --output without
  sonde events shop --since 10m --kind probe_logged --kind dap.stopped
  sonde events --since 14:30 --until 14:35 --text timeout
  sonde events shop --since 5m -f
  sonde events --json --count 10 | jq .type
"""
_NEWEST = 1000
_TOPICS: dict[str, tuple[Literal["events", "output"], ...]] = {
    "with": ("events", "output"),
    "without": ("events",),
    "only": ("output",),
}
_WHY_MISSING = {
    "slow_viewer": "this program reads too slowly",
    "bus": "the broker did not get them",
    "lost": "nobody has them any more",
    "too_many": "more was missed than is told again; `sonde events --since` may have it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "selector", nargs="?", default="*", help="shop, prod/shop, prod/shop/web-*; default: all"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="wait for more; what it does when no past is asked for"
    )
    parser.add_argument(
        "--output",
        choices=tuple(_TOPICS),
        default="with",
        help="with what programs print while they are debugged (default), without it, or only that",
    )
    group = parser.add_argument_group("what has happened")
    past.add_since(group, "from then on")
    group.add_argument("--until", type=past.time_of, metavar="TIME", help="before that")
    group.add_argument("--session", metavar="ID", help="what that debug session was told")
    which = parser.add_argument_group("which")
    which.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="KIND",
        help="only such, as --json has their type: probe_logged, dap, dap.stopped; can be repeated",
    )
    which.add_argument(
        "--text", default="", metavar="TEXT", help="only those with that in their JSON, whatever its case"
    )
    parser.add_argument(
        "--count",
        type=number_of,
        metavar="N",
        help=f"end after so many; of what has happened the newest so many ({_NEWEST})",
    )
    parser.add_argument("--for", type=seconds, dest="seconds", metavar="SECONDS", help="end after so long")
    add_json(parser, "each event as it is on the wire, one a line")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.follow and arguments.until is not None:
        return complain("--until and --follow exclude each other", 2)
    asked = arguments.since is not None or arguments.until is not None or arguments.session is not None
    history = asked or bool((arguments.kind or arguments.text) and not arguments.follow)

    async def work() -> int:
        printer = _Printer(arguments)
        cursors: tuple[Cursor, ...] = ()
        try:
            async with asyncio.timeout(arguments.seconds):
                if history:
                    cursors = await _past(arguments, printer)
                if arguments.follow or not history:
                    await _follow(arguments, printer, cursors)
        except TimeoutError:
            return 0
        return 0

    return told(work)


class _Printer:
    """Prints what is wanted of it; `done` once there were as many as were asked for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._console = screen.console()
        self._arguments = arguments
        self._shown = 0
        self._interrupted = False

    @property
    def done(self) -> bool:
        most: int | None = self._arguments.count
        return self._shown == most

    def show(self, event: bus.AnyEvent) -> None:
        if self.done or not wanted(
            event, self._arguments.kind, self._arguments.text, self._arguments.session
        ):
            return
        self._shown += 1
        if self._arguments.json:
            print_json(event)
        else:
            _show(self._console, event)

    def tell(self, notice: Notice) -> None:
        """One line for each time that the connection is lost, however often it is tried."""
        match notice:
            case Interrupted(error=error):
                if not self._interrupted:
                    complain(f"{error}; trying again")
                self._interrupted = True
            case Missing(gap=gap):
                complain(missing(gap))
            case _:
                self._interrupted = False
                complain("connected again")


async def _past(arguments: argparse.Namespace, printer: _Printer) -> tuple[Cursor, ...]:
    """How far it goes. The newest are read first, so that `--count` means these."""
    kinds: Sequence[str] = arguments.kind or (("output",) if arguments.output == "only" else ())
    async with connect(arguments.url, arguments.token) as viewer:
        if arguments.session is not None:
            record = await sessions.named(viewer, arguments.session)
            arguments.session, arguments.selector = record.session, record.process
        remembered = viewer.history(
            arguments.selector,
            since=arguments.since,
            until=arguments.until,
            kinds=kinds,
            text=arguments.text,
            session=arguments.session,
            limit=arguments.count or _NEWEST,
        )
        events = [event async for event in remembered]
    numbers = Numbers()
    for event in reversed(events):
        numbers.is_new(event)
        if ("output" if isinstance(event, bus.Output) else "events") in _TOPICS[arguments.output]:
            printer.show(event)
    if remembered.more and arguments.count is None:
        complain(f"there are more than these {_NEWEST}; --count N shows more")
    if remembered.withheld:
        complain("events with values of programs are left out: this token has not the scope `inspect`")
    if remembered.unreadable:
        complain(f"{remembered.unreadable} events are of kinds that this version does not know")
    if not events and not arguments.follow:
        complain("nothing like that is remembered")
    return numbers.cursors()


async def _follow(arguments: argparse.Namespace, printer: _Printer, cursors: Sequence[Cursor]) -> None:
    if printer.done:
        return
    dropped = 0
    async with follow(
        arguments.selector,
        topics=_TOPICS[arguments.output],
        cursors=cursors,
        url=arguments.url,
        token=arguments.token,
        tell=printer.tell,
    ) as events:
        async for event in events:
            if events.dropped > dropped:
                complain(f"{events.dropped - dropped} events were lost here: they are not read fast enough")
                dropped = events.dropped
            printer.show(event)
            if printer.done:
                return


def wanted(event: bus.AnyEvent, kinds: Sequence[str], text: str, session: str | None) -> bool:
    """As the history judges it; of another session's process, though, nobody knows here which events were for all."""
    kind = telling.kind(event)
    if kinds and not any(kind == each or kind.startswith(f"{each}.") for each in kinds):
        return False
    if text and text.lower() not in codec.encode(event).decode().lower():
        return False
    return session is None or event.session in {None, session}


def missing(gap: rpc.Gap) -> str:
    count = gap.last - gap.first + 1
    which = f"event {gap.first}" if count == 1 else f"{count} events ({gap.first} to {gap.last})"
    return f"{which} of {gap.process} did not get here: {_WHY_MISSING[gap.reason]}"


def _show(console: Console, event: bus.AnyEvent) -> None:
    line = Text.assemble(
        (screen.moment(event.time, now=time.time()), "dim"),
        "  ",
        (event.process, "bold"),
        "  ",
        one_line(telling.sentence(event)),
    )
    console.print(line, soft_wrap=True)
