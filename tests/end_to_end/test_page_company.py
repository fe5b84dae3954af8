"""The page beside other viewers: who drives, who asks, whose breakpoint it is, and what comes when nobody stays."""

import re
from pathlib import Path

from playwright.async_api import expect

from sonde_viewer import Viewer
from tests.end_to_end.standing import SHORT, person, until
from tests.end_to_end.test_page import ORDERS, opened, pytestmark  # noqa: F401 - it is skipped for the same reason
from tests.support.debuggee import Program
from tests.support.site import Site, appeared

PATIENCE = 20_000
"""Milliseconds."""


async def test_who_drives_is_seen_asked_and_answered_and_a_lapsed_stop_is_armed_again(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, ORDERS, "orders.py")
    line = program.line("stop here")
    expect.set_options(timeout=PATIENCE)
    async with (
        here.run(program, service="orders", **SHORT) as started,
        person(here, "ana") as ana,
        opened(here) as page,
    ):
        (presence,) = await appeared(viewer, "orders")
        async with (
            ana.debug(presence.process) as anas,
            ana.debug(presence.process, keep_stopped=False) as absent,
        ):
            await anas.set_breakpoints(str(program.path), [line])
            await anas.stopped()
            await anas.take_seat()

            await page.get_by_role("option", name=presence.process).click()
            await expect(
                page.get_by_text("ana debugs this process; ana drives; 1 thread stopped.")
            ).to_be_visible()
            await page.get_by_role("button", name="Join").click()
            go_on = page.get_by_role("button", name="Continue")
            await expect(go_on).to_be_disabled()
            await expect(go_on).to_have_attribute("title", re.compile("ana drives: ask for the seat first"))
            await expect(page.get_by_role("listbox", name="Call stack")).to_contain_text("settle")
            gutter = page.get_by_label(f"Breakpoint line {line}", exact=True)
            await expect(gutter).to_have_attribute("title", re.compile("ana stops here"))

            await page.get_by_role("button", name="Ask for the seat").click()
            await until(anas, lambda its: len(its.asking) == 1)
            await anas.grant_seat()
            await expect(page.get_by_role("button", name="Release")).to_be_visible()
            await expect(go_on).to_be_enabled()
            await absent.ask_for_seat()
            await expect(page.get_by_role("alert").filter(has_text="ana asks for the seat")).to_be_visible()
            await page.get_by_role("button", name="Grant").click()
            await until(absent, lambda its: its.drives)

            # and she is not there
            alert = page.get_by_role("alert").filter(has_text="your breakpoints sleep")
            await expect(alert).to_be_visible()
            for _ in range(3):
                await started.says("settled")
            await page.get_by_role("button", name="Arm again").click()
            await expect(alert).to_be_hidden()
            await expect(page.get_by_role("listbox", name="Call stack")).to_contain_text("settle")
            await expect(page.get_by_role("button", name="Take")).to_be_visible()
