"""`sonde up`: a broker and its bus on this machine, for this user."""

import argparse
import sys
import webbrowser

from sonde_viewer import children, site, target
from sonde_viewer.children import ChildFailed
from sonde_viewer.commands import delegate
from sonde_viewer.commands.connection import told
from sonde_wire import local

DESCRIPTION = (
    "Start a broker with its bus here, for this user; Ctrl-C ends both. It remembers events in a file beside the site's, "
    "for a week and up to 1 GiB."
)
EXAMPLES = """\
  sonde up
  sonde up --open
  sonde up --listen 127.0.0.1:9000
  sonde up --bus mqtt://user:password@bus.example.com:1883
  sonde up --no-history
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", metavar="HOST:PORT", help="where viewers come in (the broker's default)")
    parser.add_argument("--bus", metavar="URL", help="an MQTT server to use, instead of the broker's own")
    history = parser.add_mutually_exclusive_group()
    history.add_argument("--history", metavar="FILE", help="remember events there")
    history.add_argument(
        "--no-history", dest="history", action="store_const", const="none", help="remember nothing"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(arguments: argparse.Namespace) -> int:
    running = local.read()
    if running is not None:
        sys.stdout.write(_already(running))
        if arguments.open:
            webbrowser.open(target.of_site(running).link)
        return 0

    async def work() -> int:
        with children.until_signalled():
            async with site.up(arguments.listen, arguments.bus, arguments.history) as up:
                link = target.of_site(up.site).link
                sys.stdout.write(_ready(link))
                sys.stdout.flush()
                if arguments.open:
                    webbrowser.open(link)
                raise ChildFailed("broker", f"ended by itself (exit code {await up.broker.wait()})")
        return 0

    return told(work)


def _ready(link: str) -> str:
    sonde = delegate.typed()
    return (
        f"\n  Sonde is up. Open this link; whoever has it can debug:\n\n    {link}\n\n"
        "  Then, in another terminal:\n\n"
        f"    {sonde} run --service shop -- app.py     run a program that can be debugged\n"
        f"    {sonde} ps                               see it\n\n"
        "  Ctrl-C ends the broker; programs run on.\n"
    )


def _already(running: local.Site) -> str:
    return (
        f"Sonde is up already, with pid {running.pid}. Its page:\n\n    {target.of_site(running).link}\n\n"
        f"To end it: kill {running.pid}\n"
    )
