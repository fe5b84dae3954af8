"""The page in headless Chromium, against the real path: list, stop at a line, look, evaluate, go on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from sonde_viewer import Viewer
from tests.support import parts
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = [
    pytest.mark.skipif(parts.CHROMIUM is None, reason="Chromium is not here (apt-get install chromium)"),
    pytest.mark.timeout(120),
]

ORDERS = """
    import time

    def settle(order):
        total = order * 3
        note = "<img src=x onerror=alert(1)>"
        return total  # stop here

    order = 0
    while True:
        order += 1
        settle(order)
        print("settled", order, flush=True)
        time.sleep(0.02)
"""


@asynccontextmanager
async def opened(site: Site, fragment: str = "") -> AsyncIterator[Page]:
    """The page, logged in. At the end nothing may have been blocked, thrown or logged as an error."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=parts.CHROMIUM, args=list(QUIET))
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        await page.goto(f"{site.url}/#token={site.token}{fragment}")
        yield page
        assert not wrong
        await browser.close()


async def test_a_process_is_stopped_looked_at_and_let_go_from_the_page(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, ORDERS, "orders.py")
    line = program.line("stop here")
    async with here.run(program, service="orders") as started, opened(here) as page:
        (presence,) = await appeared(viewer, "orders")
        await page.get_by_role("option", name=presence.process).click()
        await expect(page.get_by_text("def settle")).to_be_visible()
        assert "token" not in page.url

        await page.get_by_label(f"Breakpoint line {line}", exact=True).click()
        stack = page.get_by_role("listbox", name="Call stack")
        await expect(stack).to_contain_text("settle")
        variables = page.get_by_role("tree", name="Variables")
        await expect(variables).to_contain_text("total")
        await expect(variables).to_contain_text("<img src=x onerror=alert(1)>")

        console = page.get_by_label("Evaluate")
        await console.fill("order * 0 + 4242")
        await console.press("Enter")
        await expect(page.get_by_role("log").filter(has_text="4242").first).to_be_visible()

        await page.get_by_label(f"Breakpoint line {line}", exact=True).click()
        await page.get_by_role("button", name="Continue").click()
        await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_enabled()
        for _ in range(3):
            await started.says("settled")


async def test_a_token_that_does_not_hold_is_explained(here: Site) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=parts.CHROMIUM, args=list(QUIET))
        page = await browser.new_page()
        await page.goto(f"{here.url}/#token=not.a.token")
        await expect(page.get_by_role("alert")).to_contain_text("does not accept your token")
        await browser.close()
