"""What the verbs that talk to a broker share: the options that name it, and how a failure is told."""

import argparse
import asyncio
import math
import sys
from collections.abc import Awaitable, Callable, Coroutine

import msgspec

from sonde_viewer.__main__ import FAILED, USAGE
from sonde_viewer.client import Viewer, connect
from sonde_viewer.errors import InvalidProbe, InvalidTarget, ViewerError
from sonde_viewer.untrusted import harmless
from sonde_wire import MalformedMessage, codec
from sonde_wire.errors import InvalidAddress


def add_connection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the broker", "Without options: the one that `sonde up` started here.")
    group.add_argument("--url", help="its address, such as https://sonde.example.com (SONDE_URL)")
    group.add_argument(
        "--token", help="the token to show it; SONDE_TOKEN is better, for others can see a command line"
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what}, for programs")


def number_of(text: str) -> int:
    """For argparse: a number of things to wait for."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def seconds(text: str) -> float:
    """For argparse: a time to wait."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 30")
    return number


def with_viewer(arguments: argparse.Namespace, work: Callable[[Viewer], Awaitable[int]]) -> int:
    async def whole() -> int:
        async with connect(arguments.url, arguments.token) as viewer:
            return await work(viewer)

    return told(whole)


def told(work: Callable[[], Coroutine[None, None, int]]) -> int:
    """Runs it; what a person can do something about becomes a sentence on stderr and an exit code."""
    try:
        return asyncio.run(work())
    except (ViewerError, InvalidAddress, MalformedMessage) as error:
        return complain(str(error), _code(error))
    except ExceptionGroup as group:
        known, bugs = group.split((ViewerError, InvalidAddress, MalformedMessage, BrokenPipeError))
        if known is None or bugs is not None:
            raise
        first: Exception = known
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, BrokenPipeError):
            raise first from None
        return complain(str(first), _code(first))


def _code(error: Exception) -> int:
    return USAGE if isinstance(error, InvalidTarget | InvalidProbe | InvalidAddress) else FAILED


def complain(sentence: str, code: int = FAILED) -> int:
    sys.stderr.write(f"sonde: {harmless(sentence)}\n")
    return code


def print_json(value: object) -> None:
    """One document a line. JSON escapes control characters by itself (RFC 8259, section 7)."""
    sys.stdout.write(codec.encode(value).decode() + "\n")
    sys.stdout.flush()


def document(message: msgspec.Struct) -> dict[str, object]:
    """A wire message as a plain JSON object, to put something beside it."""
    plain: dict[str, object] = codec.decode_any(codec.encode(message))
    return plain
