"""`sonde debug` as a process of its own, while others do something."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sonde_viewer.telling import sentence
from sonde_wire import bus, codec
from tests.viewer.fake_broker import TOKEN, FakeBroker

GOLDEN = Path(__file__).parent.parent / "wire" / "golden"
BOB = bus.SessionInfo(session="s2", viewer="bob", opened=1.0)
ASKED: dict[str, Any] = {"reason": "asked", "driver": "s1", "viewer": "ada", "asking": ("s2",)}


@asynccontextmanager
async def debugging(
    broker: FakeBroker, *arguments: str, state: Path, stdin: int, stdout: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    variables |= {
        "SONDE_URL": broker.url,
        "SONDE_TOKEN": TOKEN,
        "XDG_STATE_HOME": str(state),
        "TERM": "xterm",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sonde_viewer", "debug", "shop", *arguments),
        env=variables,
        stdin=stdin,
        stdout=stdout,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _until(terminal: int, text: bytes) -> bytes:
    said = b""
    while text not in said:
        said += os.read(terminal, 4096)
    return said


async def test_a_script_is_told_what_others_do_while_it_writes_nothing(
    broker: FakeBroker, tmp_path: Path
) -> None:
    broker.opens(sessions=(BOB,))
    pipe = asyncio.subprocess.PIPE
    async with debugging(broker, "--json", state=tmp_path, stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"take\n")
        assert json.loads(await process.stdout.readline())["drives"] is True
        await broker.tell(bus.SeatChanged, **ASKED)
        notice = json.loads(await process.stdout.readline())
        assert (notice["notice"], notice["reason"], notice["asks"]) == ("seat", "asked", "bob")
        process.stdin.write(b"grant bob\nquit\n")
        assert json.loads(await process.stdout.readline())["driver"] == "s2"
        assert await process.wait() == 0


async def test_the_prompt_says_who_asks_and_that_the_lease_lapsed(broker: FakeBroker, tmp_path: Path) -> None:
    broker.opens(sessions=(BOB,), driver="s1")
    ours, theirs = pty.openpty()
    try:
        async with debugging(broker, state=tmp_path, stdin=theirs, stdout=theirs) as process:
            os.close(theirs)
            await asyncio.to_thread(_until, ours, b"(sonde)")
            await broker.tell(bus.SeatChanged, **ASKED)
            await asyncio.to_thread(_until, ours, b"bob asks for the driver's seat: `grant`")
            await broker.tell(bus.LeaseChanged, state="lapsed")
            await asyncio.to_thread(_until, ours, b"the breakpoints sleep")
            os.write(ours, b"quit\r")
            await asyncio.to_thread(_until, ours, b"runs on")
            assert await process.wait() == 0
    finally:
        os.close(ours)


async def test_ctrl_c_on_an_evaluation_says_what_becomes_of_it(broker: FakeBroker, tmp_path: Path) -> None:
    broker.opens(stops=(codec.raw({"threadId": 3, "reason": "breakpoint"}),))
    frame = {"id": 1, "name": "f", "line": 2}
    broker.dap["stackTrace"] = lambda _: {"body": {"stackFrames": [frame]}}
    never = asyncio.Event()

    def hang(request: dict[str, Any]) -> dict[str, Any]:
        broker.delays["dap"] = never
        return {}

    broker.dap["threads"] = hang  # from then on
    ours, theirs = pty.openpty()
    try:
        async with debugging(broker, state=tmp_path, stdin=theirs, stdout=theirs) as process:
            os.close(theirs)
            await asyncio.to_thread(_until, ours, b"(sonde)")
            os.write(ours, b"thread 3\r")
            await asyncio.to_thread(_until, ours, b"stands")
            os.write(ours, b"eval forever()\r")
            await broker.was_asked("dap", times=3)
            process.send_signal(
                signal.SIGINT
            )  # the terminal is not its controlling one, and Ctrl-C only a byte
            await asyncio.to_thread(_until, ours, b"it may run on in the process")
    finally:
        never.set()
        os.close(ours)


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("event.*.json")))
def test_every_event_is_a_sentence_for_people(name: str) -> None:
    event: bus.AnyEvent = codec.decode((GOLDEN / name).read_bytes(), bus.AnyEvent)  # type: ignore[arg-type]
    said = sentence(event)
    assert said
    assert "None" not in said
