"""How a process ended, told by the kernel of this machine: real processes, really ended."""

import asyncio
import sys
from contextlib import closing

import pytest

from sonde_agent.sidecar import ending

ENDS = {
    "pass": ("exited", 0, None),
    "raise SystemExit(3)": ("exited", 3, None),
    "raise ValueError('unhandled')": ("exited", 1, None),
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": ("signalled", None, "SIGKILL"),
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": ("signalled", None, "SIGSEGV"),
}


def test_a_return_code_becomes_a_reason_and_a_sentence() -> None:
    assert ending.from_return_code(3).message == "exited with code 3"
    killed = ending.from_return_code(-9)
    assert (killed.reason, killed.code, killed.signal) == ("signalled", None, "SIGKILL")
    assert ending.from_return_code(-99).signal == "signal 99"


def test_the_last_word_counts_only_when_it_has_a_code() -> None:
    told = ending.from_last_word(2, "")
    assert told is not None and told.code == 2
    assert ending.from_last_word(None, "gone") is None
    assert ending.unknown().reason == "unknown"


@pytest.mark.parametrize("source", ENDS)
async def test_the_kernel_tells_the_status_of_a_process_that_was_reaped(source: str) -> None:
    program = f"input()\n{source}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    with closing(ending.Watch(process.pid)) as watch:
        await process.communicate(b"\n")
        async with asyncio.timeout(10):
            await watch.ended()
            code = await watch.status()
    if code is None:
        pytest.skip("this kernel does not tell (before Linux 6.15)")
    assert code == process.returncode
    exit = ending.from_return_code(code)
    assert (exit.reason, exit.code, exit.signal) == ENDS[source]


async def test_a_process_that_nobody_reaps_keeps_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "REAPED_WITHIN", 0.05)
    # the middle process does not reap its child, and tells its number
    program = "import os, sys\nchild = os.fork()\nif not child: os._exit(7)\nprint(child, flush=True)\nsys.stdin.read()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    with closing(ending.Watch(child)) as watch:
        async with asyncio.timeout(10):
            await watch.ended()
            assert await watch.status() is None
            await process.communicate(b"")
    assert process.returncode == 0


def test_a_kernel_without_the_call_is_no_error(tmp_path: object) -> None:
    import tempfile

    with tempfile.TemporaryFile() as no_pidfd:  # answers ENOTTY, as an old kernel does
        assert ending.exit_status(no_pidfd.fileno()) is None


def test_a_process_that_is_not_there_cannot_be_watched() -> None:
    with pytest.raises(OSError, match="No such process"):
        ending.Watch(2**22 - 1)
