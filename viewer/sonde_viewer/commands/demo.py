"""`sonde demo`: a broker, three processes to debug and somebody who keeps them busy."""

import argparse
import asyncio
import contextlib
import random
import re
import sys
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path

from sonde_viewer import children, site, target
from sonde_viewer import demo as programs
from sonde_viewer.children import ChildFailed
from sonde_viewer.commands import delegate
from sonde_viewer.commands.connection import complain, told
from sonde_viewer.demo import load
from sonde_wire import local

DESCRIPTION = (
    "Start everything here: a broker, a shop with two replicas and a bug in it, a worker, and customers.\n"
    "Ctrl-C ends it all."
)
EXAMPLES = """\
  sonde demo
  sonde demo --open
  sonde demo --listen 127.0.0.1:9000
"""
_READY = 30.0
"""Seconds until a demo program must have started."""
_FOLDER = Path(programs.__path__[0])
_SHOP = _FOLDER / "shop.py"
_WORKER = _FOLDER / "worker.py"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", metavar="HOST:PORT", help="where viewers come in (the broker's default)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(arguments: argparse.Namespace) -> int:
    running = local.read()
    if running is not None:
        return complain(
            f"a broker of yours is up already, with pid {running.pid}; end it first: kill {running.pid}"
        )

    async def work() -> int:
        with children.until_signalled():
            await _everything(arguments.listen, open_page=arguments.open)
        return 0

    return told(work)


async def _everything(listen: str | None, *, open_page: bool) -> None:
    """Two tasks, one a replica of the shop, bring customers; they end with the broker or with Ctrl-C, and
    then the programs and the broker, in that order."""
    async with contextlib.AsyncExitStack() as stack:
        up = await stack.enter_async_context(site.up(listen, None))
        ports = [await stack.enter_async_context(_shop(f"shop-{number}")) for number in (1, 2)]
        await stack.enter_async_context(children.child(_sonde_run("worker", "worker-1", _WORKER)))
        link = target.of_site(up.site).link
        sys.stdout.write(_ready(link))
        sys.stdout.flush()
        if open_page:
            webbrowser.open(link)
        async with asyncio.TaskGroup() as tasks:
            for port in ports:
                chance = random.Random(port)  # noqa: S311 - what a customer buys is no secret
                tasks.create_task(load.shop_on(port, chance), name=f"customer at port {port}")
            raise ChildFailed("broker", f"ended by itself (exit code {await up.broker.wait()})")


@contextlib.asynccontextmanager
async def _shop(instance: str) -> AsyncIterator[int]:
    """Gives the port, which the shop says when it listens."""
    line = _sonde_run("shop", instance, _SHOP)
    async with children.child(line, output=asyncio.subprocess.PIPE) as process:
        said = await children.first_line(process, instance, _READY)
        found = re.search(rb"port (\d+)", said)
        if found is None:
            raise ChildFailed(instance, "did not say where it listens")
        yield int(found[1])


def _sonde_run(service: str, instance: str, program: Path) -> list[str]:
    options = ("--service", service, "--instance", instance)
    return delegate.line("sonde_agent", "run", *options, "--", str(program))


def _ready(link: str) -> str:
    sonde = delegate.typed()
    line = _line_of(_SHOP, "# stop here")
    return f"""
  The demo is up: two replicas of a shop and a worker. Open this link; whoever has it can debug:

    {link}

  Or, in another terminal:

    {sonde} ps
    {sonde} stack worker
    {sonde} log add worker.py:{_line_of(_WORKER, "return parcels")} "order {{order.number}}: {{len(parcels)}} parcels" --on service=worker -f --rm
    {sonde} debug worker -c "break worker.py:{_line_of(_WORKER, "parcels = pack(order)")}" -c continue -c locals

  A puzzle. Now and then an order at the shop comes to less than nothing (it says so below), and the two
  replicas do not even agree on the price of the same cart. Somebody gets too large a discount: why?

    {sonde} debug shop-1
    (sonde) break shop.py:{line}
    (sonde) continue
    (sonde) print cart
    (sonde) print discounts

  Ctrl-C ends it all.

"""


def _line_of(program: Path, text: str) -> int:
    lines = program.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)
