"""The sidecar as a program: announced, followed, ended."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from sonde_agent.sidecar import ending
from sonde_wire import bus
from tests.agent.sidecar.conftest import Broker, environment
from tests.support.debuggee import Program, Running, running

COMMAND = (sys.executable, "-m", "sonde_agent.sidecar")
PROGRAM = """
import sys
import sonde_agent

sonde_agent.start(service="shop")
print("started")
sys.stdin.readline()
raise SystemExit(4)
"""


async def announced(started: Running) -> dict[str, str]:
    told = json.loads(await started.says("{"))
    assert isinstance(told, dict)
    return told


async def test_it_ends_after_the_process_it_follows_and_says_how_that_ended(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, PROGRAM)
    sidecar_place = {"SONDE_SIDECAR": f"unix:{tmp_path}/s", "SONDE_SIDECAR_TOKEN_FILE": f"{tmp_path}/t"}
    listen = ("--listen", sidecar_place["SONDE_SIDECAR"], "--token-file", f"{tmp_path}/t", "--bus", mqtt_url)
    async with running(sys.executable, str(program.path), env=environment() | sidecar_place) as debuggee:
        followed = ("--follow-pid", str(debuggee.process.pid))
        async with running(*COMMAND, *listen, *followed, env=environment()) as sidecar:
            assert await announced(sidecar) == {
                "sidecar": f"unix:{tmp_path}/s",
                "token_file": f"{tmp_path}/t",
            }
            assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600
            process = await broker.presence(lambda each: each.state == "online")
            assert debuggee.process.stdin is not None
            debuggee.process.stdin.write(b"\n")
            assert await debuggee.ended() == 4
            ended = await broker.presence(lambda each: each.state == "ended")
            assert ended.exit == bus.Exit(reason="exited", code=4, message="exited with code 4")
            assert ended.boot == process.boot
            async with asyncio.timeout(10):
                assert await sidecar.ended() == 0


async def test_without_a_bus_it_does_not_outlive_the_process_by_much(tmp_path: Path) -> None:
    async with running(sys.executable, "-c", "input()", env=environment()) as debuggee:
        followed = ("--follow-pid", str(debuggee.process.pid), "--bus", "mqtt://127.0.0.1:1")
        async with running(*COMMAND, *followed, env=environment()) as sidecar:
            place = await announced(sidecar)
            program = Program.write(tmp_path, PROGRAM)
            variables = {"SONDE_SIDECAR": place["sidecar"], "SONDE_SIDECAR_TOKEN_FILE": place["token_file"]}
            async with running(sys.executable, str(program.path), env=environment() | variables) as tap:
                await tap.says("started")
                await debuggee.process.communicate(b"\n")
                async with asyncio.timeout(15):
                    assert await sidecar.ended() == 0
    assert not Path(place["token_file"]).parent.exists()


async def test_asked_to_end_it_leaves_its_processes_marked_lost(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    async with running(*COMMAND, "--bus", mqtt_url, env=environment()) as sidecar:
        place = await announced(sidecar)
        variables = {"SONDE_SIDECAR": place["sidecar"], "SONDE_SIDECAR_TOKEN_FILE": place["token_file"]}
        program = Program.write(tmp_path, PROGRAM)
        async with running(sys.executable, str(program.path), env=environment() | variables):
            process = await broker.presence(lambda each: each.state == "online")
            await broker.open(process, "s1")
            sidecar.process.terminate()
            async with asyncio.timeout(15):
                assert await sidecar.ended() == 0
            lost = await broker.presence(lambda each: each.state == "lost")
            assert lost.sessions == () and lost.debugger == "detached"
            assert (await broker.event(bus.SessionClosed)).reason == "debugger_lost"


async def test_a_killed_sidecar_is_told_by_its_last_will(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    async with running(*COMMAND, "--bus", mqtt_url, env=environment()) as sidecar:
        place = await announced(sidecar)
        variables = {"SONDE_SIDECAR": place["sidecar"], "SONDE_SIDECAR_TOKEN_FILE": place["token_file"]}
        program = Program.write(tmp_path, PROGRAM)
        async with running(sys.executable, str(program.path), env=environment() | variables):
            process = await broker.presence(lambda each: each.state == "online")
            sidecar.process.kill()
            lost = await broker.presence(lambda each: each.state == "lost")
            assert lost.boot == process.boot


async def test_wrong_options_are_told_as_an_error_line() -> None:
    async with running(*COMMAND, "--listen", "tcp:0.0.0.0:0", env=environment()) as sidecar:
        assert "cannot listen on" in (await announced(sidecar))["error"]
        assert await sidecar.ended() == 2


SELF_STARTED = """
import os, signal, sys
import sonde_agent

sonde_agent.start(service="shop")
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("pass", ("exited", 0, None)),
        ("sys.exit(3)", ("exited", 3, None)),
        ("raise KeyError('x')", ("exited", 1, None)),
        ("os.kill(os.getpid(), signal.SIGKILL)", ("signalled", None, "SIGKILL")),
    ],
)
async def test_a_sidecar_that_the_tap_started_says_how_the_program_ended(
    mqtt_url: str, broker: Broker, tmp_path: Path, last: str, expected: tuple[str, int | None, str | None]
) -> None:
    program = Program.write(tmp_path, SELF_STARTED + last)
    variables = {"SONDE_BUS": mqtt_url, "TMPDIR": str(tmp_path)}
    async with running(sys.executable, str(program.path), env=environment() | variables) as debuggee:
        await broker.presence(lambda each: each.state == "online")
        assert debuggee.process.stdin is not None
        debuggee.process.stdin.write(b"\n")
        code = await debuggee.ended()
        exit = (await broker.presence(lambda each: each.state == "ended")).exit
    assert exit is not None
    told_by_kernel = ending_is_told()
    if not told_by_kernel and exit.reason == "unknown":
        pytest.skip("this kernel does not tell how the process of another ended (before Linux 6.15)")
    assert (exit.reason, exit.code, exit.signal) == expected
    assert code == (exit.code if exit.signal is None else -signal.Signals[exit.signal])


def ending_is_told() -> bool:
    """Whether the kernel hands out the status of a process that was reaped."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = os.pidfd_open(child)
    try:
        os.waitpid(child, 0)
        return ending.exit_status(pidfd) is not None
    finally:
        os.close(pidfd)
