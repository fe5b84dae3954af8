"""`sonde open`: the page, in the browser of this machine."""

import argparse
import os
import sys
import webbrowser

from sonde_viewer import target
from sonde_viewer.commands.connection import add_connection, complain
from sonde_viewer.errors import InvalidTarget
from sonde_wire import local

DESCRIPTION = "Open the broker's page in a browser, signed in."
EXAMPLES = """\
  sonde open
  sonde open --print
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print", action="store_true", help="print the link and open nothing")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    try:
        place = target.find(arguments.url, arguments.token, environment=os.environ, site=local.read())
    except InvalidTarget as error:
        return complain(str(error), 2)
    sys.stdout.write(f"{place.link}\n")
    if not arguments.print and not webbrowser.open(place.link):
        return complain("no browser could be opened here; follow the link above")
    return 0
