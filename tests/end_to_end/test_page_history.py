"""The past in the page: what was debugged is found again, gone through step by step, and saved; events are searched for.
What happens while its connection is lost is told when it comes back."""

import json
from pathlib import Path

from playwright.async_api import Page, WebSocketRoute, expect

from sonde_viewer import Viewer
from tests.end_to_end.test_page import ORDERS, opened, pytestmark  # noqa: F401 - it is skipped for the same reason
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

PATIENCE = 20_000
"""Milliseconds."""
PRINTED = "<img src=x onerror=alert(2)> was looked at"


async def test_a_session_is_debugged_left_found_again_and_replayed_to_its_stop(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, ORDERS, "orders.py")
    line = program.line("stop here")
    expect.set_options(timeout=PATIENCE)
    async with here.run(program, service="orders"), opened(here) as page:
        (presence,) = await appeared(viewer, "orders")
        await page.get_by_role("option", name=presence.process).click()
        await _debug(page, line, "the slow order")

        await page.get_by_role("button", name="History").click()
        sessions = page.get_by_role("table", name="Recorded sessions")
        row = sessions.get_by_role("row").filter(has_text="the slow order")
        await expect(row).to_contain_text("the viewer left")
        await row.get_by_role("button", name="the slow order").press("Enter")

        where = page.get_by_role("status", name="Where")
        await page.get_by_role("button", name="Next stop").click()
        await expect(where).to_have_text(f"{program.path}:{line}")
        await expect(page.get_by_role("list", name="What stood")).to_contain_text(f"orders.py:{line}, thread")
        spot = page.locator(".cm-line.spot")
        await expect(spot).to_contain_text("return total")
        await expect(page.get_by_role("img", name=f"Breakpoint line {line}", exact=True)).to_be_visible()

        await page.get_by_role("tab", name="Output").click()
        printed = page.get_by_role("log", name="Output so far")
        await expect(printed).not_to_contain_text(PRINTED)
        await page.get_by_role("button", name="Last step").click()
        await expect(printed).to_contain_text(PRINTED)
        await expect(page.get_by_label("At this step")).to_contain_text("stopped debugging")

        slider = page.get_by_role("slider", name="Step")
        await slider.press("Home")
        await expect(page.get_by_label("At this step")).to_contain_text("Nothing yet")
        await page.get_by_role("button", name="Play 4 times as fast").click()
        await expect(spot).to_contain_text("return total")
        await page.get_by_role("button", name="Stand still").click()

        async with page.expect_download() as saving:
            await page.get_by_role("button", name="Save as JSON").click()
        saved = json.loads((await (await saving.value).path()).read_text())
        assert saved["session"]["name"] == "the slow order"
        assert saved["statistics"]["stops"] == 1
        assert saved["breakpoints"][0]["path"] == str(program.path)
        assert len(saved["events"]) == saved["statistics"]["events"]

        stop = next(at for at, each in enumerate(saved["events"], 1) if "stopped" in json.dumps(each))
        async with opened(here, f"&/history/{saved['session']['session']}?step={stop}") as other:
            await expect(other.get_by_role("status", name="Where")).to_have_text(f"{program.path}:{line}")


async def test_events_are_found_by_their_kind_and_text_and_lead_to_their_session(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, ORDERS, "orders.py")
    expect.set_options(timeout=PATIENCE)
    async with here.run(program, service="orders"), opened(here) as page:
        (presence,) = await appeared(viewer, "orders")
        await page.get_by_role("option", name=presence.process).click()
        await _debug(page, program.line("stop here"), "found by its words")
        await page.get_by_role("button", name="History").click()
        await page.get_by_role("radio", name="service orders").check()
        await page.get_by_role("tab", name="Events").click()
        await page.get_by_label("Kind").select_option("debug sessions")
        await page.get_by_label("Text").fill("BY ITS WORDS")
        await page.get_by_label("Text").press("Enter")
        found = page.get_by_role("list", name="Events found").get_by_role("listitem")
        await expect(found).to_have_count(1)
        await found.get_by_role("button", name="The whole event").click()
        await expect(found.locator("pre")).to_contain_text('"name": "found by its words"')
        await found.get_by_role("button", name="session", exact=True).click()
        await expect(page.get_by_role("heading", name="found by its words")).to_be_visible()
        await page.get_by_label("At this step").click()
        await page.keyboard.press("Escape")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()


async def test_what_happens_while_the_connection_is_lost_is_told_when_it_is_back_and_nothing_twice(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, ORDERS, "orders.py")
    expect.set_options(timeout=PATIENCE)
    lines: list[WebSocketRoute] = []
    async with here.run(program, service="orders"), opened(here) as page:
        (presence,) = await appeared(viewer, "orders")

        def connect(line: WebSocketRoute) -> None:
            line.connect_to_server()
            lines.append(line)

        await page.route_web_socket("**/ws", connect)
        await page.reload()
        await page.get_by_role("option", name=presence.process).click()
        await page.get_by_role("tab", name="Events").click()
        told = page.get_by_role("log", name="Timeline")
        async with viewer.debug(presence.process):
            await expect(told).to_contain_text("began to debug")
            await lines[0].close(code=1012)
            await expect(page.get_by_role("alert")).to_contain_text("The broker restarts")
        await expect(told).to_contain_text("stopped debugging")
        assert (await told.inner_text()).count("debug") == 2
        assert len(lines) == 2


async def _debug(page: Page, line: int, name: str) -> None:
    """Stops at the line, prints something there, and leaves."""
    await page.get_by_label("Name of the session").fill(name)
    await page.get_by_label(f"Breakpoint line {line}", exact=True).click()
    await expect(page.get_by_role("listbox", name="Call stack")).to_contain_text("settle")
    await expect(page.get_by_text("Debugging", exact=True).locator("..")).to_contain_text(name)
    console = page.get_by_label("Evaluate")
    await console.fill(f"print({PRINTED!r})")
    await console.press("Enter")
    await expect(page.get_by_role("log", name="Console").locator(".output")).to_contain_text(PRINTED)
    await page.get_by_role("button", name="Stop debugging").click()
    await expect(page.get_by_label("Name of the session")).to_be_visible()
