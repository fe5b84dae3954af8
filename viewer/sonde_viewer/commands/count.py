"""`sonde count`: how often a line is reached, or how large something is there."""

import argparse

from sonde_viewer.commands import actions, adding
from sonde_viewer.commands.connection import complain
from sonde_viewer.probes import places
from sonde_wire.probes import Counter, Gauge, Histogram, Kind

DESCRIPTION = "Count how often a line is reached, or measure an expression there. Nothing is stopped."
EXAMPLES = """\
  sonde count add shop/worker.py:33 --on service=checkout -f
  sonde count add shop/worker.py:33 "len(order.lines)"
  sonde count add shop.worker:charge order.total --histogram --if "order.country == 'is'"
"""
_ADD = f"""\
Set a probe that counts hits, or adds up EXPR. With --gauge the last value of EXPR is kept, with --histogram its
distribution. What they have come to is told once a second: see -f, or `sonde probes show`.

{places.HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = actions.actions_of(parser)
    adder = action("add", _ADD, EXAMPLES, late="expression")
    adder.add_argument("place", type=places.place, metavar="PLACE")
    adder.add_argument("expression", nargs="?", metavar="EXPR", help="a number; without it each hit counts 1")
    group = adder.add_mutually_exclusive_group()
    group.add_argument("--gauge", action="store_true", help="the last value of EXPR, and its extremes")
    group.add_argument("--histogram", action="store_true", help="percentiles of EXPR")
    adding.add_options(adder)


def run(arguments: argparse.Namespace) -> int:
    kind = _kind(arguments)
    if kind is None:
        return complain("--gauge and --histogram measure an expression; name one behind PLACE", 2)
    return adding.run(kind, arguments.place, arguments)


def _kind(arguments: argparse.Namespace) -> Kind | None:
    expression: str | None = arguments.expression
    if not (arguments.gauge or arguments.histogram):
        return Counter(expression=expression)
    if expression is None:
        return None
    return Gauge(expression=expression) if arguments.gauge else Histogram(expression=expression)
