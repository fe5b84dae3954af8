"""`sonde log`: a line of text whenever a line of code is reached, without a restart."""

import argparse

from sonde_viewer.commands import actions, adding
from sonde_viewer.probes import places
from sonde_wire.probes import Log

DESCRIPTION = (
    "Log a text with values where a line is reached, in processes that run already. Nothing is stopped."
)
EXAMPLES = """\
  sonde log add shop/worker.py:33 "n={n} total={order.total}" --on service=checkout -f
  sonde log add shop.worker:charge "charging {order.number}" --if "order.total > 100" --rate 10/s
"""
_ADD = f"""\
Set a probe that logs a text.

{places.HELP}

TEMPLATE is text with {{expression}}, as in an f-string: `{{order.total:>8.2f}}`, and `{{{{` for a brace. The expressions
are of a safe language that runs nothing of the program's (docs/expressions.md), unless --python is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    action = actions.actions_of(parser)
    adder = action("add", _ADD, EXAMPLES)
    adder.add_argument("place", type=places.place, metavar="PLACE")
    adder.add_argument("template", metavar="TEMPLATE", help="such as 'n={n} total={order.total}'")
    adding.add_options(adder, values=True)


def run(arguments: argparse.Namespace) -> int:
    return adding.run(Log(template=arguments.template), arguments.place, arguments)
