"""The command line as a process of its own, against the fake broker."""

import asyncio
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from sonde_wire import bus, codec, rpc
from tests.viewer.fake_broker import BOOT, SHOP, TOKEN, FakeBroker, refusal

FRAME = {"id": 7, "name": "checkout", "line": 4, "source": {"path": "/app/shop.py"}}


async def sonde(
    *arguments: str,
    broker: FakeBroker | None = None,
    stdin: str = "",
    environment: dict[str, str] | None = None,
) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    variables |= {"SONDE_SITE": os.devnull, **(environment or {})}
    if broker is not None:
        variables |= {"SONDE_URL": broker.url, "SONDE_TOKEN": TOKEN}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sonde_viewer",
        *arguments,
        env=variables,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.fixture
def stopping(broker: FakeBroker) -> FakeBroker:
    """Its process runs into a breakpoint as soon as one is set."""

    def set_breakpoints(request: dict[str, Any]) -> dict[str, Any]:
        wanted = request["arguments"]["breakpoints"]
        return {"body": {"breakpoints": [{"verified": True, "line": each["line"]} for each in wanted]}}

    stops = (codec.raw({"threadId": 3, "reason": "breakpoint"}),)
    broker.session = bus.SessionState(
        session="s1", process=SHOP.process, boot=BOOT, capabilities=codec.raw({}), stops=stops
    )
    broker.dap = {
        "setBreakpoints": set_breakpoints,
        "threads": lambda _: {"body": {"threads": [{"id": 3, "name": "MainThread"}]}},
        "stackTrace": lambda _: {"body": {"stackFrames": [FRAME]}},
        "evaluate": lambda _: {"body": {"result": "'\x1b[2Jboo'", "type": "str"}},
        "scopes": lambda _: {"body": {"scopes": [{"name": "Locals", "variablesReference": 1}]}},
        "variables": lambda _: {
            "body": {
                "variables": [
                    {"name": "special variables", "value": "", "type": ""},
                    {"name": "cart", "value": "Cart()", "type": "Cart"},
                ]
            }
        },
    }
    return broker


async def test_ps_prints_a_table_that_is_the_same_for_any_width(broker: FakeBroker) -> None:
    code, output, _ = await sonde("ps", broker=broker, environment={"COLUMNS": "20"})
    assert code == 0
    head, row = output.splitlines()
    assert head.split()[:4] == ["STATE", "NAMESPACE", "SERVICE", "INSTANCE"]
    assert row.split() == [
        "online",
        "default",
        "shop",
        "shop-1",
        "4242",
        "3.11.7",
        "-",
        "-",
        "-",
        "0",
        "detached",
    ]


async def test_ps_shows_the_newest_metrics_of_this_boot(broker: FakeBroker) -> None:
    sample = bus.Metrics(process=SHOP.process, boot=BOOT, time=1.0, cpu_percent=12.5, memory_rss=3 << 20)

    def listed(_: rpc.Params) -> rpc.ProcessList:
        loop = asyncio.get_running_loop()
        telling = broker.notify("metrics", rpc.MetricItems(metrics=(codec.raw(sample),)))
        tasks.add(loop.create_task(telling, name="tell the metrics"))
        return rpc.ProcessList(processes=(SHOP,))

    tasks: set[asyncio.Task[None]] = set()
    broker.answers["process.list"] = listed
    code, output, errors = await sonde("ps", "--json", broker=broker)
    assert (code, errors) == (0, "")
    (process,) = json.loads(output)["processes"]
    assert process["process"] == SHOP.process
    assert process["metrics"]["cpu_percent"] == 12.5


async def test_ps_of_nobody_says_how_to_start_one(broker: FakeBroker) -> None:
    broker.answers["process.list"] = lambda _: rpc.ProcessList(processes=())
    code, output, errors = await sonde("ps", "nobody", broker=broker)
    assert (code, output) == (0, "")
    assert "sonde run" in errors


async def test_stack_prints_the_innermost_frame_last(broker: FakeBroker) -> None:
    code, output, _ = await sonde("stack", "shop", broker=broker)
    assert code == 0
    assert output.index("shop.py:9 in main") < output.index("shop.py:4 in checkout")
    code, output, _ = await sonde("stack", "shop", "--json", broker=broker)
    assert json.loads(output)["threads"][0]["frames"][0]["line"] == 4


async def test_events_are_json_lines(broker: FakeBroker) -> None:
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(sonde("events", "--json", "--count", "2", broker=broker))
        await broker.was_asked("subscribe")
        await broker.tell(bus.ProcessStarted, pid=1)
        await broker.event("output", output="hello")
    code, output, _ = following.result()
    assert code == 0
    assert [json.loads(line)["type"] for line in output.splitlines()] == ["process_started", "output"]


async def test_debug_does_the_commands_of_the_command_line(stopping: FakeBroker) -> None:
    code, output, errors = await sonde(
        "debug", "shop", "-c", "b shop.py:4 if x", "-c", "thread 3", "-c", "locals", broker=stopping
    )
    assert (code, errors) == (0, "")
    assert "breakpoint 1 at /app/shop.py:4 if x" in output
    assert "4 ->     total = subtotal - discount" in output
    assert "cart = Cart()" in output
    assert "special" not in output
    sent = next(each for each in stopping.dap_requests if each["command"] == "setBreakpoints")
    assert sent["arguments"]["source"] == {"path": "/app/shop.py"}
    assert sent["arguments"]["breakpoints"] == [{"line": 4, "condition": "x"}]


async def test_debug_reads_commands_from_stdin_and_prints_an_object_each(stopping: FakeBroker) -> None:
    script = "# look around\nthread 3\n\nprint name\nquit\nprint never\n"
    code, output, _ = await sonde("debug", "shop", "--json", broker=stopping, stdin=script)
    assert code == 0
    told = [json.loads(line) for line in output.splitlines()]
    assert [each["command"] for each in told] == ["thread", "print", "quit"]
    assert told[0]["stopped"]["frame"]["line"] == 4
    assert told[1]["result"] == "'\x1b[2Jboo'"


async def test_what_a_process_says_cannot_steer_the_terminal(stopping: FakeBroker) -> None:
    _, output, _ = await sonde("debug", "shop", "-c", "thread 3", "-c", "print name", broker=stopping)
    assert "\x1b" not in output
    assert "\\x1b[2Jboo" in output


async def test_the_first_command_that_fails_ends_a_script(broker: FakeBroker) -> None:
    code, output, errors = await sonde("debug", "shop", "-c", "where", "-c", "threads", broker=broker)
    assert (code, output) == (1, "")
    assert "no thread stands" in errors
    assert len(broker.asked("session.close")) == 1


async def test_a_stop_that_does_not_come_is_told(stopping: FakeBroker) -> None:
    code, _, errors = await sonde(
        "debug", "shop", "--timeout", "0.05", "-c", "b shop.py:4", "-c", "c", broker=stopping
    )
    assert code == 1
    assert "no stop within 0.05 s" in errors


async def test_a_refusal_is_exit_1_and_its_sentence(broker: FakeBroker) -> None:
    broker.answers["process.stacks"] = lambda _: refusal()
    code, output, errors = await sonde("stack", "shop", broker=broker)
    assert (code, output, errors) == (1, "", "sonde: not for you; ask somebody else\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("ps",),
        ("ps", "--colour"),
        ("events", "--count", "0"),
        ("events", "--for", "nan"),
        ("debug", "shop", "--timeout", "-1"),
        ("nonsense",),
        (),
    ],
)
async def test_a_usage_error_is_exit_2(arguments: tuple[str, ...]) -> None:
    code, _, _ = await sonde(*arguments)
    assert code == 2


@pytest.mark.parametrize("options", [(), ("--watch",)])
async def test_a_selector_that_is_none_is_a_usage_error(broker: FakeBroker, options: tuple[str, ...]) -> None:
    code, _, errors = await sonde("ps", "Not a selector", *options, broker=broker)
    assert code == 2
    assert "namespace/service/instance" in errors


async def test_a_reader_that_has_enough_is_no_error(broker: FakeBroker) -> None:
    broker.answers["subscribe"] = lambda _: rpc.Subscribed(subscription=1)
    variables = {**os.environ, "SONDE_URL": broker.url, "SONDE_TOKEN": TOKEN}
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sonde_viewer",
        "ps",
        "--watch",
        "--json",
        env=variables,
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    os.close(reading)
    await broker.was_asked("subscribe")
    await broker.notify("presence", rpc.PresenceItems(presence=(codec.raw(SHOP),)))
    _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (1, "")


@pytest.mark.parametrize("verb", ["demo", "up", "open", "ps", "events", "stack", "debug"])
async def test_every_verb_helps_with_examples(verb: str) -> None:
    code, output, _ = await sonde(verb, "--help")
    assert code == 0
    assert f"examples:\n  sonde {verb}" in output


async def test_up_and_demo_do_not_start_a_second_site(tmp_path: Path) -> None:
    file = tmp_path / "site.json"
    url = "http://127.0.0.1:8080"
    file.write_text(json.dumps({"url": url, "bus": "mqtt://x", "token": "t", "pid": os.getpid()}))
    code, output, _ = await sonde("up", environment={"SONDE_SITE": str(file)})
    assert code == 0
    assert "up already" in output
    assert f"{url}/#token=t" in output
    code, _, errors = await sonde("demo", environment={"SONDE_SITE": str(file)})
    assert code == 1
    assert "up already" in errors


async def test_open_prints_the_link(tmp_path: Path) -> None:
    code, output, _ = await sonde("open", "--print", "--url", "https://sonde.example.com", "--token", "t")
    assert (code, output) == (0, "https://sonde.example.com/#token=t\n")


async def test_tab_completes_a_command_at_the_prompt(stopping: FakeBroker, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    variables = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    variables |= {
        "SONDE_URL": stopping.url,
        "SONDE_TOKEN": TOKEN,
        "XDG_STATE_HOME": str(tmp_path),
        "TERM": "xterm",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sonde_viewer", "debug", "shop"),
        env=variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(20):
            await asyncio.to_thread(_until, ours, b"(sonde)")
            os.write(ours, b"tbr\t")
            await asyncio.to_thread(_until, ours, b"eak")
            os.write(ours, b"\x15quit\r")
            await asyncio.to_thread(_until, ours, b"runs on")
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


def _until(terminal: int, text: bytes) -> None:
    said = b""
    while text not in said:
        said += os.read(terminal, 4096)
