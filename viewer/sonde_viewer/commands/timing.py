"""`sonde time`: how long it takes from one line to another, or a call to end."""

import argparse

from sonde_viewer.commands import actions, adding
from sonde_viewer.commands.connection import complain
from sonde_viewer.probes import places, words
from sonde_wire.probes import FunctionPlace, Timer

DESCRIPTION = "Measure how long a function, or a part of one, takes. Nothing is stopped."
EXAMPLES = """\
  sonde time add shop.worker:charge --on service=checkout -f
  sonde time add shop/worker.py:33 --until 41
  sonde time add shop/worker.py:33 --if "order.total > 100" --count 3 --rm
"""
_ADD = f"""\
Set a probe that takes the time from PLACE to a line of the same function, or to the end of the call. What it has come
to is told once a second: see -f, or `sonde probes show`.

{places.HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = actions.actions_of(parser)
    adder = action("add", _ADD, EXAMPLES)
    adder.add_argument("place", type=places.place, metavar="PLACE")
    adder.add_argument(
        "--until",
        type=words.between(1, 10_000_000),
        metavar="LINE",
        help="up to there; else to the end of the call",
    )
    adding.add_options(adder)


def run(arguments: argparse.Namespace) -> int:
    place, until = arguments.place, arguments.until
    if isinstance(place, FunctionPlace) and place.on == "exit":
        return complain("a time begins where a call does, or at a line; leave out `:exit`", 2)
    if until is not None and (isinstance(place, FunctionPlace) or place.line == until):
        return complain("a time until a line begins at another one: name PLACE as FILE:LINE", 2)
    return adding.run(Timer(until=until), place, arguments)
