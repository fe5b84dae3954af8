"""The sidecar as a program: announced, followed, ended."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from sonde_agent.sidecar import ending
from sonde_agent.sidecar.__main__ import DESERTED_FOR, main
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
STATUS = """
import sys
import sonde_agent

sonde_agent.start(service="shop")
for line in sys.stdin:
    print("is", sonde_agent.status().state)
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


async def test_it_serves_what_the_followed_process_left_and_then_ends_also_without_a_bus(
    tmp_path: Path,
) -> None:
    async with running(sys.executable, "-c", "input()", env=environment()) as followed:
        options = (
            "--follow-pid",
            str(followed.process.pid),
            "--bus",
            "mqtt://127.0.0.1:1",
            "--log-level",
            "error",
        )
        async with running(*COMMAND, *options, env=environment()) as sidecar:
            place = await announced(sidecar)
            program = Program.write(tmp_path, STATUS)
            variables = {"SONDE_SIDECAR": place["sidecar"], "SONDE_SIDECAR_TOKEN_FILE": place["token_file"]}
            async with running(sys.executable, str(program.path), env=environment() | variables) as left:
                await asks_until(left, "serving")
                await followed.process.communicate(b"\n")
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1.5 * DESERTED_FOR):
                        await sidecar.ended()
                await left.hears("status")
                assert "serving" in await left.says("is ")
                assert left.process.stdin is not None
                left.process.stdin.close()
                assert await left.ended() == 0
                async with asyncio.timeout(15):
                    assert await sidecar.ended() == 0
    assert not Path(place["token_file"]).parent.exists()


async def asks_until(program: Running, state: str) -> None:
    while True:
        await program.hears("status")
        if state in await program.says("is "):
            return


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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--listen", "tcp:0.0.0.0:0"), "--listen cannot be used: cannot listen on 'tcp:0.0.0.0:0'"),
        (("--lease", "1"), "--lease is '1': give seconds, 5 to 3600"),
        (("--config", "/no/sonde.toml"), "/no/sonde.toml cannot be read: No such file"),
    ],
)
def test_wrong_options_are_told_as_an_error_line(
    options: tuple[str, ...],
    told: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SONDE_CONFIG", raising=False)
    assert main(options) == 2
    announcement, said = capfd.readouterr()
    assert json.loads(announcement)["error"].startswith(told)
    assert told in said


async def test_where_it_cannot_listen_or_log_it_says_so(tmp_path: Path) -> None:
    for option, value, told, code in (
        ("--listen", f"unix:{tmp_path}/no/s", "cannot listen", 2),
        ("--listen", f"unix:{tmp_path}/{'long' * 30}", "cannot listen", 1),
        ("--log-file", f"{tmp_path}/no/log", "the log file", 2),
    ):
        async with running(*COMMAND, option, value, env=environment()) as sidecar:
            assert (await announced(sidecar))["error"].startswith(told)
            assert await sidecar.ended() == code


async def test_a_file_configures_it_and_the_log_is_told_of_misspelt_variables(
    mqtt_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "sonde.toml"
    text = f'bus = "{mqtt_url}"\nlisten = "unix:{tmp_path}/s"\nlog_file = "{tmp_path}/log"\nlog_format = "json"\n'
    file.write_text(text)
    file.chmod(0o600)
    variables = {"SONDE_CONFIG": str(file), "SONDE_NAMSPACE": "x"}
    async with running(*COMMAND, env=environment() | variables) as sidecar:
        assert (await announced(sidecar))["sidecar"] == f"unix:{tmp_path}/s"
        sidecar.process.terminate()
        assert await sidecar.ended() == 0
    line = json.loads((tmp_path / "log").read_text().splitlines()[0])
    assert (line["level"], line["logger"]) == ("warning", "sonde_agent.sidecar")
    assert "did you mean SONDE_NAMESPACE?" in line["message"]


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


LEAVES_A_CHILD = """
import os, sys
import sonde_agent

sonde_agent.start(service="shop")
sys.stdin.readline()
if os.fork():
    os._exit(0)
sys.stdin.readline()
"""


async def test_the_child_of_a_process_that_is_gone_keeps_the_sidecar_that_its_parent_started(
    mqtt_url: str, broker: Broker, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, LEAVES_A_CHILD)
    variables = {"SONDE_BUS": mqtt_url, "TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": ""}

    def newest(state: str, boot: str, *, is_child: bool) -> bus.Presence | None:
        of_it = [each for each in broker.presences if (each.boot != boot) == is_child]
        return of_it[-1] if of_it and of_it[-1].state == state else None

    async with running(sys.executable, str(program.path), env=environment() | variables) as debuggee:
        parent = await broker.presence(lambda each: each.state == "online")
        places = directories(tmp_path)
        await debuggee.hears("fork")
        await broker.until(lambda: newest("ended", parent.boot, is_child=False))
        child = await broker.until(lambda: newest("online", parent.boot, is_child=True))
        assert child.parent == parent.process
        assert (await broker.ask(child, bus.ReadStacks())).failure is None
        assert directories(tmp_path) == places and len(places) == 1
        await debuggee.hears("end")
        await broker.until(lambda: newest("ended", parent.boot, is_child=True))


def directories(directory: Path) -> list[Path]:
    """Of sidecars."""
    return sorted(directory.glob("sonde-*"))


def ending_is_told() -> bool:
    """Whether the kernel hands out the status of a process that was reaped."""
    child = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = os.pidfd_open(child)
    try:
        os.waitpid(child, 0)
        return ending.exit_status(pidfd) is not None
    finally:
        os.close(pidfd)
