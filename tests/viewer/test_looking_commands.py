"""`sonde stack`, `tasks`, `source` and `doctor`, against the fake broker. They run in a thread of the tests, which takes
a twentieth of the time of a process."""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from msgspec.structs import replace

from sonde_viewer import checkup
from sonde_viewer.__main__ import main
from sonde_wire import Code, Reason, bus, codec, looking, rpc
from tests.viewer.fake_broker import BOOT, SHOP, SOURCE, STACKS, TOKEN, FakeBroker, refusal

EVIL = "\x1b[2Jboo"
SLEEP = looking.StackFrame(path="/usr/lib/python3/asyncio/tasks.py", line=649, function="sleep")
CHECKOUT = looking.StackFrame(path="/app/shop.py", line=4, function="checkout", text="await pay()")


def task(number: int, **fields: Any) -> looking.TaskInfo:
    usual: dict[str, Any] = {"name": f"Task-{number}", "loop": 9, "state": "waiting", "coroutine": "checkout"}
    return looking.TaskInfo(id=number, **{**usual, "frames": (SLEEP, CHECKOUT), **fields})


TASKS = looking.Tasks(
    loops=(looking.LoopInfo(id=9, implementation="uvloop.Loop", thread="MainThread", lag=0.0125),),
    tasks=(
        task(1, awaits=2, coroutine="main"),
        task(2, awaited_by=(1,), waits_for="sleep"),
        task(3, name=EVIL, state="running"),
    ),
    time=1.0,
)


async def sonde(
    *arguments: str, broker: FakeBroker | None = None, environment: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("SONDE_")}
    variables |= {"SONDE_SITE": os.devnull, **(environment or {})}
    if broker is not None:
        variables |= {"SONDE_URL": broker.url, "SONDE_TOKEN": TOKEN}
    output, errors = io.StringIO(), io.StringIO()

    def work() -> int:
        try:
            return main(arguments)
        except SystemExit as ended:  # argparse's
            return int(ended.code or 0)

    with (
        mock.patch.dict(os.environ, variables, clear=True),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        code = await asyncio.to_thread(work)
    return code, output.getvalue(), errors.getvalue()


@pytest.fixture
def healthy(broker: FakeBroker) -> FakeBroker:
    """Everything is as it should be; its process tells metrics as soon as somebody watches."""
    telling: set[asyncio.Task[None]] = set()

    async def tell_metrics() -> None:
        sample = bus.Metrics(process=SHOP.process, boot=BOOT, time=time.time())
        await broker.notify("metrics", rpc.MetricItems(metrics=(codec.raw(sample),)))

    def subscribed(_: rpc.Params) -> rpc.Subscribed:
        telling.add(asyncio.get_running_loop().create_task(tell_metrics(), name="tell the metrics"))
        return rpc.Subscribed(subscription=7)

    scopes = ("observe", "inspect", "control", "execute")
    welcome = rpc.Welcome(
        broker="b", version="0", subject="ada", scopes=scopes, selectors=("*/*/*",), expires=9e9
    )
    fine = looking.Finding(check="file.loaded", level="fine", message="shop.py is loaded")
    broker.answers["whoami"] = lambda _: welcome
    broker.answers["subscribe"] = subscribed
    broker.answers["process.diagnose"] = lambda _: looking.Diagnosis(findings=(fine,), lines=(4,))
    return broker


async def test_tasks_are_a_tree_with_the_programs_own_lines(broker: FakeBroker) -> None:
    broker.answers["process.tasks"] = lambda _: TASKS
    code, output, errors = await sonde("tasks", "shop", broker=broker)
    assert (code, errors) == (0, "")
    loop, first, second, third, _ = output.split("\n", 4)
    assert loop == "uvloop.Loop in MainThread, 12.5 ms late: 3 tasks"
    assert first == "  Task-1  main  awaits the task below  /app/shop.py:4"
    assert second == "    Task-2  checkout  waits for sleep  /app/shop.py:4"
    assert third == "  \\x1b[2Jboo  checkout  runs  /app/shop.py:4"


async def test_tasks_can_be_chosen_listed_and_shown_with_all_frames(broker: FakeBroker) -> None:
    broker.answers["process.tasks"] = lambda _: TASKS
    _, output, _ = await sonde("tasks", "shop", "--name", "TASK-2", "--frames", broker=broker)
    assert "Task-1" not in output
    assert output.index("/app/shop.py:4 in checkout") < output.index("tasks.py:649 in sleep")
    _, output, _ = await sonde("tasks", "shop", "--flat", broker=broker)
    assert "\n  Task-2" in output
    _, output, _ = await sonde("tasks", "shop", "--json", broker=broker)
    told = json.loads(output)
    assert (told["process"], len(told["tasks"])) == (SHOP.process, 3)


async def test_tasks_say_when_there_are_more_and_when_there_are_none(broker: FakeBroker) -> None:
    broker.answers["process.tasks"] = lambda _: replace(TASKS, truncated=True)
    assert "more tasks" in (await sonde("tasks", "shop", broker=broker))[2]
    broker.answers["process.tasks"] = lambda _: looking.Tasks(loops=(), tasks=(), time=1.0)
    assert (await sonde("tasks", "shop", broker=broker))[1] == "no asyncio event loop is there\n"


async def test_stack_shows_threads_at_the_same_place_together(broker: FakeBroker) -> None:
    (main,) = STACKS.threads
    pool = [
        replace(main, id=number, name=f"pool-{number}", frames=main.frames[:1], daemon=True)
        for number in range(10)
    ]
    broker.answers["process.stacks"] = lambda _: looking.Stacks(threads=(main, *pool), time=1.0)
    _, output, _ = await sonde("stack", "shop", broker=broker)
    assert "10 threads, daemon at the same place: pool-0, pool-1" in output
    assert "and 2 more" in output
    assert output.count("shop.py:4 in checkout") == 2
    _, output, _ = await sonde("stack", "shop", "--thread", "POOL-3", "--json", broker=broker)
    assert [each["name"] for each in json.loads(output)["threads"]] == ["pool-3"]
    code, _, errors = await sonde("stack", "shop", "--thread", "nobody", broker=broker)
    assert (code, "nobody" in errors) == (1, True)


async def test_source_prints_the_text_that_the_process_has(broker: FakeBroker) -> None:
    code, output, _ = await sonde("source", "shop", "shop.py", broker=broker)
    assert (code, output) == (0, SOURCE)
    (asked,) = broker.asked("process.source")
    assert isinstance(asked, rpc.SourceOfProcess)
    assert asked.path == "/app/shop.py"
    _, output, _ = await sonde("source", "shop", "shop.py", "-n", "--lines", "2-3", broker=broker)
    assert output == "2      subtotal = cart.subtotal\n3      discount = discount_for(cart)\n"
    _, output, _ = await sonde("source", "shop", "/app/shop.py", "--json", broker=broker)
    assert json.loads(output)["text"] == SOURCE


async def test_source_tells_the_hash_and_lists_the_files(broker: FakeBroker) -> None:
    broker.answers["process.source"] = lambda _: looking.Source(path="/app/shop.py", text=EVIL, sha256="abc")
    _, output, _ = await sonde("source", "shop", "shop.py", "--sha256", broker=broker)
    assert output == "abc  /app/shop.py\n"
    _, output, _ = await sonde("source", "shop", "shop.py", broker=broker)
    assert output == "\\x1b[2Jboo\n"
    _, output, _ = await sonde("source", "shop", "--list", broker=broker)
    assert "/app/shop.py" in output
    assert "decoder" not in output
    _, output, _ = await sonde("source", "shop", "--list", "--all", broker=broker)
    assert "decoder" in output


@pytest.mark.parametrize(
    "arguments", [(), ("x.py", "--list"), ("x.py", "--lines", "3-2"), ("x.py", "--lines", "-")]
)
async def test_source_wants_one_file_or_the_list(arguments: tuple[str, ...], broker: FakeBroker) -> None:
    assert (await sonde("source", "shop", *arguments, broker=broker))[0] == 2


async def test_doctor_finds_nothing_wrong_where_nothing_is(healthy: FakeBroker) -> None:
    code, output, errors = await sonde("doctor", "shop", broker=healthy)
    assert (code, errors) == (0, ""), output
    assert "PROBLEM" not in output
    assert output.endswith("no problem was found\n")
    assert healthy.asked("session.open") == []


async def test_doctor_compares_the_file_here_and_asks_about_the_line(
    healthy: FakeBroker, tmp_path: Path
) -> None:
    file = tmp_path / "app" / "shop.py"
    file.parent.mkdir()
    file.write_text(SOURCE)
    code, output, _ = await sonde("doctor", "shop", f"{file}:4", "--json", broker=healthy)
    told = json.loads(output)
    assert (code, told["problems"], told["lines"]) == (0, 0, [4])
    (asked,) = healthy.asked("process.diagnose")
    assert isinstance(asked, rpc.DiagnoseProcess)
    assert (asked.path, asked.line) == ("/app/shop.py", 4)
    assert asked.sha256 == hashlib.sha256(SOURCE.encode()).hexdigest()


async def test_doctor_asks_those_who_debug_it_already_for_their_breakpoints(healthy: FakeBroker) -> None:
    attached = replace(SHOP, debugger="attached")
    healthy.answers["process.list"] = lambda _: rpc.ProcessList(processes=(attached,))
    healthy.opens(
        breakpoints=(
            bus.BreakpointSet(
                owner="s", path="/app/shop.py", breakpoints=(codec.raw({"line": 4, "verified": False}),)
            ),
        )
    )
    code, output, _ = await sonde("doctor", "shop", "shop.py:4", broker=healthy)
    assert code == 1
    assert "PROBLEM breakpoint.set" in output
    assert len(healthy.asked("session.close")) == 1


def ended(_: rpc.Params) -> rpc.ProcessList:
    return rpc.ProcessList(processes=(replace(SHOP, state="ended"),))


def vague(_: rpc.Params) -> looking.Diagnosis:
    return looking.Diagnosis(findings=(looking.Finding(check="x", level="problem", message=EVIL),))


def blind(_: rpc.Params) -> rpc.Welcome:
    return rpc.Welcome(broker="b", version="0", subject="ada", scopes=(), selectors=(), expires=9e9)


@pytest.mark.parametrize(
    ("method", "answer", "said"),
    [
        ("process.list", ended, "process.online"),
        ("process.list", lambda _: rpc.ProcessList(processes=()), "process.known"),
        ("process.diagnose", vague, "\\x1b[2Jboo"),
        ("process.diagnose", lambda _: refusal(Reason.TAP_LOST, Code.UNAVAILABLE), "process.answers"),
        ("whoami", blind, "token.scopes"),
        ("subscribe", lambda _: rpc.Subscribed(subscription=7), "sidecar.alive"),
    ],
)
async def test_doctor_names_the_problem_and_ends_with_exit_1(
    healthy: FakeBroker,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    answer: Callable[[rpc.Params], Any],
    said: str,
) -> None:
    if method == "subscribe":
        monkeypatch.setattr(checkup, "METRICS_WITHIN", 0.05)
    healthy.answers[method] = answer
    code, output, _ = await sonde("doctor", "shop", broker=healthy)
    assert code == 1, output
    assert any(said in line for line in output.splitlines() if line.startswith("PROBLEM"))
    assert output.endswith("1 problem\n")


async def test_doctor_without_a_broker_says_so(broker: FakeBroker) -> None:
    nowhere = {"SONDE_URL": "http://127.0.0.1:9", "SONDE_TOKEN": "t"}
    code, output, _ = await sonde("doctor", "shop", "--json", environment=nowhere)
    assert code == 1
    assert [each["check"] for each in json.loads(output)["findings"]] == ["broker.reachable"]
    wrong = {"SONDE_URL": broker.url, "SONDE_TOKEN": "another token"}
    code, output, _ = await sonde("doctor", "shop", environment=wrong)
    assert code == 1
    assert "token.valid" in output
    code, _, errors = await sonde("doctor", "shop", environment={"SONDE_SITE": os.devnull})
    assert (code, "sonde up" in errors) == (2, True)


@pytest.mark.parametrize("verb", ["tasks", "source", "doctor"])
async def test_every_verb_helps_with_examples(verb: str) -> None:
    code, output, _ = await sonde(verb, "--help")
    assert code == 0
    assert f"examples:\n  sonde {verb}" in output
