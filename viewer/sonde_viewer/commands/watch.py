"""`sonde watch`: the value of an expression, whenever it has changed."""

import argparse

from sonde_viewer.commands import actions, adding
from sonde_viewer.probes import places
from sonde_wire.probes import Watch

DESCRIPTION = (
    "Tell when the value of an expression at a line is another than the last time. Nothing is stopped."
)
EXAMPLES = """\
  sonde watch add shop/worker.py:33 len(queue) --on service=checkout -f
  sonde watch add shop.worker:charge discounts --canaries 1 -f --rm
"""
_ADD = f"""\
Set a probe that tells the value of EXPR at PLACE, the first time and whenever it is another one.

{places.HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = actions.actions_of(parser)
    adder = action("add", _ADD, EXAMPLES)
    adder.add_argument("place", type=places.place, metavar="PLACE")
    adder.add_argument("expression", metavar="EXPR", help="such as len(queue)")
    adding.add_options(adder, values=True)


def run(arguments: argparse.Namespace) -> int:
    return adding.run(Watch(expression=arguments.expression), arguments.place, arguments)
