import asyncio
import os
import signal
import sys

import pytest

from sonde_viewer import children
from sonde_viewer.children import ChildFailed


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


async def test_a_child_is_ended_with_its_block() -> None:
    async with children.child(
        python("import sys; sys.stdout.write('x'); sys.stdin.close(); import time; time.sleep(60)")
    ) as process:
        assert process.returncode is None
    assert process.returncode == -signal.SIGTERM


async def test_a_child_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_GRACE", 0.05)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    async with children.child(python(deaf), output=asyncio.subprocess.PIPE) as process:
        assert await children.first_line(process, "deaf one", 20) == b"deaf\n"
    assert process.returncode == -signal.SIGKILL


async def test_what_a_child_announces_on_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    async with children.child(
        python(f"import os; os.write({writing}, b'ready\\n'); input()"), keep=[writing]
    ) as process:
        os.close(writing)
        assert await children.announced(reading, process, "child", 20) == b"ready\n"


async def test_a_child_that_ends_before_it_is_ready_is_told_with_its_exit_code() -> None:
    reading, writing = os.pipe()
    async with children.child(python("raise SystemExit(5)"), keep=[writing]) as process:
        os.close(writing)
        with pytest.raises(ChildFailed, match=r"could not start \(exit code 5\)"):
            await children.announced(reading, process, "broker", 20)


async def test_a_child_that_takes_too_long_is_told() -> None:
    program = python("import time; time.sleep(60)")
    async with children.child(program, output=asyncio.subprocess.PIPE) as process:
        with pytest.raises(ChildFailed, match=r"not ready within 0\.05 s"):
            await children.first_line(process, "broker", 0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_leaves_the_block_quietly(number: signal.Signals) -> None:
    with children.until_signalled():
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()
        pytest.fail("nobody waits for ever")


async def test_a_cancellation_by_somebody_else_goes_on() -> None:
    async def block() -> None:
        with children.until_signalled():
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(block())
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
