"""`sonde sessions`: debug sessions of the past: which there were, what happened in one, step by step, and as a file."""

import argparse
import math
import sys
import time
from collections.abc import Callable

from sonde_viewer import screen
from sonde_viewer.client import Viewer
from sonde_viewer.commands import actions, past
from sonde_viewer.commands.connection import (
    add_connection,
    add_json,
    complain,
    number_of,
    print_json,
    with_viewer,
)
from sonde_viewer.errors import ViewerError
from sonde_viewer.recorded import export, keys, player, sessions
from sonde_viewer.replay import Replay
from sonde_viewer.untrusted import one_line

DESCRIPTION = (
    "List the debug sessions that the broker's history remembers, show and replay one, or write it to a file."
)
EXAMPLES = """\
  sonde sessions ls
  sonde sessions show cart-bug
  sonde sessions replay cart-bug
  sonde sessions export cart-bug -o cart-bug.json
"""
_WHICH = "its id, the beginning of it, or its name (of several the newest)"
_REPLAY = f"""\
Go through a session step by step: what happened, what stood where, breakpoints, driver, and what was printed.

In a terminal by keys: {keys.HELP}.
Otherwise, or with --all, every step is a line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = actions.actions_of(parser)
    listing = action(
        "ls",
        "List the sessions, the newest last.",
        "  sonde sessions ls\n  sonde sessions ls prod/shop --since 2d --viewer ada\n"
        "  sonde sessions ls --json | jq -r '.sessions[].session'\n",
    )
    listing.add_argument(
        "selector", nargs="?", default="*", help="shop, prod/shop, prod/shop/web-*; default: all"
    )
    past.add_since(listing, "opened from then on")
    listing.add_argument("--viewer", metavar="WHO", help="opened by that viewer")
    listing.add_argument("--limit", type=number_of, default=100, metavar="N", help="the newest so many (100)")
    add_json(listing, "one JSON document")
    add_connection(listing)

    showing = action(
        "show",
        "Show a session: who and where, its metadata, statistics and breakpoints.",
        "  sonde sessions show cart-bug\n  sonde sessions show cart-bug --json | jq .statistics\n",
    )
    showing.add_argument("session", metavar="SESSION", help=_WHICH)
    add_json(showing, "it as it is on the wire")
    add_connection(showing)

    replaying = action(
        "replay",
        _REPLAY,
        "  sonde sessions replay cart-bug\n  sonde sessions replay cart-bug --all\n"
        "  sonde sessions replay cart-bug --speed 2\n",
    )
    replaying.add_argument("session", metavar="SESSION", help=_WHICH)
    how = replaying.add_mutually_exclusive_group()
    how.add_argument("--all", action="store_true", help="every step at once")
    how.add_argument(
        "--speed",
        type=_speed,
        metavar="FACTOR",
        help=f"in its own time, so many times as fast; no pause is longer than {player.LONGEST_PAUSE:g} s",
    )
    add_json(replaying, "each step with what there was then, one a line")
    add_connection(replaying)

    exporting = action(
        "export",
        "Write a session to a file, as one JSON document with all of its events.",
        "  sonde sessions export cart-bug -o cart-bug.json\n"
        "  sonde sessions export cart-bug | jq '.events[] | select(.type == \"dap\")'\n",
    )
    exporting.add_argument("session", metavar="SESSION", help=_WHICH)
    past.add_file(exporting)
    add_connection(exporting)


def _speed(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no factor such as 1 or 0.5")
    return number


def run(arguments: argparse.Namespace) -> int:
    match arguments.action:
        case "ls":
            return with_viewer(arguments, lambda viewer: _list(viewer, arguments))
        case "show":
            return with_viewer(arguments, lambda viewer: _show(viewer, arguments))
        case "replay":
            return _replay(arguments)
        case _:
            return with_viewer(arguments, lambda viewer: _export(viewer, arguments))


async def _list(viewer: Viewer, arguments: argparse.Namespace) -> int:
    found = await viewer.sessions(
        arguments.selector, since=arguments.since, viewer=arguments.viewer, limit=arguments.limit
    )
    if arguments.json:
        print_json({"sessions": found})
    elif found:
        screen.console().print(sessions.table(found, time.time()))
    else:
        complain("no session is remembered; `sonde debug PROCESS` makes one")
    return 0


async def _show(viewer: Viewer, arguments: argparse.Namespace) -> int:
    detail = await viewer.session((await sessions.named(viewer, arguments.session)).session)
    if arguments.json:
        print_json(detail)
    else:
        sessions.show(screen.console(), detail, time.time())
    return 0


def _replay(arguments: argparse.Namespace) -> int:
    """The connection is needed for reading only."""
    read: list[Replay] = []

    async def work(viewer: Viewer) -> int:
        session = await sessions.named(viewer, arguments.session)
        read.append(await viewer.replay(session.session))
        return 0

    code = with_viewer(arguments, work)
    if code or not read:
        return code
    replay = read[0]
    if replay.detail.statistics.missing:
        complain(sessions.missing(replay.detail.statistics.missing))
    if arguments.speed is not None:
        player.play(replay, player.pauses(arguments.speed), as_json=arguments.json)
    elif arguments.all or arguments.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        player.list_steps(replay, as_json=arguments.json)
    else:
        player.by_keys(replay)
    return 0


async def _export(viewer: Viewer, arguments: argparse.Namespace) -> int:
    detail = await viewer.session((await sessions.named(viewer, arguments.session)).session)
    size = 0
    try:
        with past.written(arguments.output) as file:
            async for part in export.document(
                viewer, detail, time.time(), _progress(detail.statistics.events)
            ):
                size += file.write(part)
    except (ViewerError, BrokenPipeError):
        raise
    except OSError as error:
        return complain(f"{arguments.output} cannot be written: {error.strerror}")
    finally:
        _progress_over()
    if arguments.output != "-":
        sys.stdout.write(f"{one_line(arguments.output, 500)}: {screen.size(size)}\n")
    return 0


def _progress(total: int) -> Callable[[int], None]:
    """On the terminal, where somebody waits for it."""
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda count: _say(f"\r\x1b[K{count} of {total} events")


def _progress_over() -> None:
    if sys.stderr.isatty():
        _say("\r\x1b[K")


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
