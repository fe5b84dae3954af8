"""Probes from a second terminal, on a program that runs and never stops."""

import json
from pathlib import Path
from typing import Any

from sonde_viewer import Viewer
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

SHOP = """
    import threading
    import time

    class Order:
        def __init__(self, number):
            self.number = number
            self.password = "hunter2"

    def total(order, price):
        count = order.number % 3
        result = price * count  # price it
        return result  # priced

    def check(order):
        if order.number % 5 == 0:
            raise ValueError(f"order {order.number}")

    def refuse():
        reason = "sold out"
        raise RuntimeError(reason)

    def main():
        threading.excepthook = lambda _: None
        number = 0
        while True:
            number += 1
            order = Order(number)
            total(order, 7)
            try:
                check(order)
            except ValueError:
                threading.Thread(target=refuse).start()
            time.sleep(0.005)

    main()
"""
OFTEN = ("--rate", "10/s", "--hits", "100000", "--on", "service=shop")


async def documents(here: Site, *arguments: str) -> list[dict[str, Any]]:
    """What the command prints, a document a line, without the probe's own changes."""
    code, output = await here.sonde(*arguments, "--json")
    assert code == 0, output
    found = [json.loads(line) for line in output.splitlines()]
    return [each for each in found if each.get("type") != "probe_changed"]


async def test_a_snapshot_is_taken_found_again_compared_and_its_probe_removed(
    here: Site, viewer: Viewer, tmp_path: Path, python: str
) -> None:
    program = Program.write(tmp_path, SHOP)
    where = f"{program.path.name}:{program.line('price it')}"
    async with here.run(program, service="shop", python=python):
        (process,) = await appeared(viewer, "shop")
        condition = ("--if", "order.number % 2 == 0")
        added, first, second = await documents(
            here, "snap", "add", where, "order.number", *condition, *OFTEN, "--count", "2", "--name", "prices"
        )
        assert added["info"]["totals"]["installed"] == 1, added
        innermost = first["captured"]["frames"][0]
        assert (innermost["function"], innermost["line"]) == ("total", program.line("price it"))
        names = dict(innermost["locals"])
        assert set(names) == {"order", "price", "count"}
        number = first["captured"]["expressions"][0]["node"]["value"]
        assert int(number) % 2 == 0

        code, output = await here.sonde("snap", "show", first["id"])
        assert code == 0, output
        assert f"order.number = {number}" in output
        assert "in total" in output
        assert "hunter2" not in output
        code, output = await here.sonde("snap", "diff", first["id"], second["id"])
        assert code == 0, output
        assert "order.number" in output
        file = tmp_path / "snapshot.json"
        code, output = await here.sonde("snap", "export", first["id"], "-o", str(file))
        assert (code, json.loads(file.read_text())) == (0, first), output
        listed = await documents(here, "snap", "ls", "prices", "--limit", "1000")
        assert {first["id"], second["id"]} <= {each["id"] for each in listed}

        code, output = await here.sonde("probes", "ls")
        assert code == 0, output
        assert "1/1" in output
        code, output = await here.sonde("probes", "show", "prices")
        assert code == 0, output
        assert f"{program.path}:{program.line('price it')}" in output
        code, output = await here.sonde("probes", "rm", "prices")
        assert code == 0, output
        assert await documents(here, "probes", "ls") == [{"probes": []}]
        (ended,) = await documents(here, "probes", "ls", "--ended")
        assert ended["probes"][0]["state"] == "removed"
        assert (await viewer.process("shop")).boot == process.boot


async def test_following_ends_by_itself_once_every_process_has_had_its_hits(
    here: Site, viewer: Viewer, tmp_path: Path, python: str
) -> None:
    program = Program.write(tmp_path, SHOP)
    where = f"{program.path.name}:{program.line('priced')}"
    limits = ("--hits", "3", "--rate", "100/s", "--on", "service=shop", "-f", "--rm")
    async with here.run(program, service="shop", python=python):
        await appeared(viewer, "shop")
        code, output = await here.sonde("log", "add", where, "count={count}", *limits)
        assert (code, output.count("count=")) == (0, 3), output
        assert "has reached max_hits" in output


async def test_logs_watches_and_exceptions_are_followed(
    here: Site, viewer: Viewer, tmp_path: Path, python: str
) -> None:
    program = Program.write(tmp_path, SHOP)
    once = (*OFTEN, "--count", "1", "--rm")
    async with here.run(program, service="shop", python=python):
        (process,) = await appeared(viewer, "shop")
        where = f"{program.path}:{program.line('priced')}"
        code, output = await here.sonde("log", "add", where, "n={count} comes to {result:>3}", *once)
        assert code == 0, output
        assert "return result  # priced" in output.splitlines()[0]
        assert "comes to" in output.splitlines()[-1]
        *_, changed = await documents(here, "watch", "add", where, "count", *once)
        assert (changed["type"], changed["expression"]) == ("watch_changed", "count")
        assert changed["now"]["type"] == "int"
        *_, fatal = await documents(here, "snap", "add", "--uncaught", *once)
        assert fatal["captured"]["exception"]["type"] == "RuntimeError"
        assert dict(fatal["captured"]["frames"][0]["locals"])["reason"]["value"] == "'sold out'"
        if not process.python.startswith("3.11"):  # where only what nobody catches is seen
            *_, raised = await documents(here, "snap", "add", "--exception", "ValueError", *once)
            assert raised["captured"]["exception"]["type"] == "ValueError"
        code, output = await here.sonde("log", "add", where, "{no_such_name}", *OFTEN, "--name", "wrong")
        assert code in {0, 1}, output  # 1 when it has failed by then
        async for info in viewer.watch("probes", "shop"):
            if info.probe.spec.name == "wrong" and info.totals.error:
                break
        code, output = await here.sonde("probes", "show", "wrong")
        assert "no_such_name" in output
        code, output = await here.sonde("probes", "rm", "--all")
        assert code == 0, output
        assert await documents(here, "probes", "ls") == [{"probes": []}]


async def test_counts_and_times_are_followed_by_their_figures(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, SHOP)
    where = f"{program.path}:{program.line('price it')}"
    last = ("--on", "service=shop", "--count", "1", "--rm")
    async with here.run(program, service="shop"):
        await appeared(viewer, "shop")
        *_, counted = await documents(here, "count", "add", where, *last)
        assert counted["measured"]["count"] > 0
        *_, spread = await documents(here, "count", "add", where, "order.number % 3", "--histogram", *last)
        assert 0 <= spread["measured"]["p50"] <= 2.1
        code, output = await here.sonde("time", "add", "__main__:total", *last)
        assert code == 0, output
        assert "p99" in output.splitlines()[-1]
        assert await documents(here, "probes", "ls") == [{"probes": []}]
