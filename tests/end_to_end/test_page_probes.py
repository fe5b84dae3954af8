"""Probes from the page: looked at without stopping, refused where they are wrong, taken away again."""

import json
import re
from pathlib import Path

from playwright.async_api import expect

from sonde_viewer import Viewer
from tests.end_to_end.test_page import opened, pytestmark  # noqa: F401 - it is skipped for the same reason
from tests.support.debuggee import Program, interpreters
from tests.support.site import Site, appeared

ORDERS = """
    import time

    class Order:
        def __init__(self, number):
            self.number = number
            self.password = "hunter2"
            self.note = "<img src=x onerror=alert(1)>"

    def settle(order):
        total = order.number * 3
        return total  # look here

    number = 0
    while True:
        number += 1
        settle(Order(number))
        print("settled", number, flush=True)
        time.sleep(0.02)
"""
PATIENCE = 20_000
"""Milliseconds."""


async def test_a_log_probe_is_added_beside_a_line_seen_in_the_page_and_removed(
    here: Site, viewer: Viewer, tmp_path: Path, python: str
) -> None:
    program = Program.write(tmp_path, ORDERS, "orders.py")
    line = program.line("look here")
    expect.set_options(timeout=PATIENCE)
    async with here.run(program, service="orders", python=python) as started, opened(here) as page:
        (presence,) = await appeared(viewer, "orders")
        await page.get_by_role("option", name=presence.process).click()
        gutter = page.get_by_label(f"Breakpoint line {line}", exact=True)
        await gutter.click(button="right")

        text = page.get_by_label("Line to log")
        await text.fill("total={settle(order)}")
        await page.get_by_role("button", name="Add probe", exact=True).click()
        refusal = page.get_by_role("dialog").get_by_role("alert")
        await expect(refusal.locator("mark")).to_contain_text("settle")

        await text.fill("total={total} of {order.note}")
        await page.get_by_label("Only if").fill("total % 2 == 0")
        await page.get_by_role("button", name="Add probe", exact=True).click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        results = page.get_by_role("log", name="Results")
        await expect(results).to_contain_text("of <img src=x onerror=alert(1)>")
        probe = page.get_by_role("list", name="Probes").get_by_role("button", name=f"Log orders.py:{line}")
        await expect(probe.first).to_contain_text("installed 1/1")
        await expect(gutter).to_have_attribute("aria-description", re.compile("^Log probe of .*: total="))

        await page.get_by_role("tab", name="Processes").click()
        await expect(page.get_by_role("row").filter(has_text=f"orders.py:{line} in settle")).to_be_visible()
        await page.get_by_role("button", name=f"Remove Log orders.py:{line}").click()
        await expect(probe.first).to_contain_text("removed")
        await expect(gutter).not_to_have_attribute("aria-description", re.compile("Log probe"))
        for _ in range(3):
            await started.says("settled")


async def test_a_snapshot_opens_as_a_stack_with_locals_and_its_link_shows_it_to_somebody_else(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, ORDERS, "orders.py")
    line = program.line("look here")
    expect.set_options(timeout=PATIENCE)
    _, newest = max(interpreters().items())
    async with here.run(program, service="orders", python=newest), opened(here) as page:
        (presence,) = await appeared(viewer, "orders")
        await page.get_by_role("option", name=presence.process).click()
        await page.get_by_text("def settle").click()
        await page.keyboard.press("Control+Shift+F9")
        await page.get_by_role("radio", name="Snapshot").check()
        where = page.get_by_label("Where", exact=True)
        await expect(where).to_have_value(re.compile(r"orders\.py:\d+$"))
        await where.fill(f"orders.py:{line}")
        await page.get_by_label("Expressions too, one a line").fill("order.number > 0\nnothing_here")
        await page.get_by_label("Hits each, at most").fill("1")
        await page.get_by_role("button", name="Add probe", exact=True).click()

        results = page.get_by_role("log", name="Results")
        await expect(results).to_contain_text("order.number > 0 = True")
        await expect(page.get_by_role("list", name="Probes")).to_contain_text("expired")
        await results.get_by_role("button", name=re.compile("^Snapshot 1 in settle")).click()
        values = page.get_by_role("tree", name="Values of the snapshot")
        await values.get_by_role("treeitem", name=re.compile("^order Order")).click()
        await expect(values.get_by_role("treeitem", name=re.compile("^note"))).to_contain_text("<img src=x")
        await expect(values.get_by_role("treeitem", name=re.compile("^password"))).to_contain_text("redacted")
        assert "hunter2" not in await values.inner_html()
        await expect(page.get_by_role("listbox", name="Stack of the snapshot")).to_contain_text("<module>")

        async with page.expect_download() as saving:
            await page.get_by_role("button", name="Save as JSON").click()
        saved = json.loads((await (await saving.value).path()).read_text())
        assert saved["captured"]["frames"][0]["line"] == line

        fragment = page.url.partition("#")[2]
        async with opened(here, f"&{fragment}") as other:
            again = other.get_by_role("tree", name="Values of the snapshot")
            await expect(again).to_contain_text("nothing_here")
