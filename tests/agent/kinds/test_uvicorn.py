"""uvicorn: alone on asyncio or uvloop, with workers, and with its reloader."""

import textwrap
from pathlib import Path

import pytest

from tests.agent.kinds.family import (
    SONDE_RUN,
    Member,
    Request,
    all_gone,
    are_children,
    come,
    comes,
    hit,
    launched,
)
from tests.agent.tap.fakes import FakeSidecar

APPLICATION = """
    import asyncio
    import os

    async def price(count):
        return count * 3  # stop here

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        kind = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        body = f"{os.getpid()} {await price(5)} {kind}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    """
UVICORN = ("-m", "uvicorn", "--uds", "socket", "--log-level", "warning", "--lifespan", "off", "app:app")


def answered(directory: Path, main: Path, line: int, workers: list[Member]) -> str:
    """What is answered after a breakpoint, and that it was the answer of who stood there."""
    requests: list[Request] = []
    worker = hit(workers, str(main), line, lambda: requests.append(Request(directory / "socket")))
    pid, text = requests[0].answer().split(" ", 1)
    assert int(pid) == worker.pid
    return text


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_server_alone(sidecar: FakeSidecar, tmp_path: Path, loop: str) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APPLICATION))
    command = (*SONDE_RUN, *UVICORN, "--loop", loop)
    with launched(tmp_path, *command, environment=sidecar.environment) as program:
        server = comes(sidecar)
        line = program.line_of("stop here")
        assert answered(tmp_path, program.main, line, [server]) == f"15 {loop}"
        program.process.terminate()
        code, output, errors = program.end()
        assert (code, output, errors) in {(0, "", ""), (-15, "", "")}


def test_each_worker_is_a_process_of_its_own(sidecar: FakeSidecar, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APPLICATION))
    command = (*SONDE_RUN, "--service", "shop", *UVICORN, "--workers", "2")
    with launched(tmp_path, *command, environment=sidecar.environment) as program:
        supervisor = comes(sidecar)
        workers = come(sidecar, 2)
        assert are_children(supervisor, *workers)
        line = program.line_of("stop here")
        assert answered(tmp_path, program.main, line, workers).startswith("15")
        program.process.terminate()
        code, output, errors = program.end()
        assert (code, output, errors) == (0, "", "")
        all_gone(*workers)


def test_what_the_reloader_starts_anew_is_a_new_process(sidecar: FakeSidecar, tmp_path: Path) -> None:
    main = tmp_path / "app.py"
    main.write_text(textwrap.dedent(APPLICATION))
    command = (*SONDE_RUN, *UVICORN, "--reload", "--reload-delay", "0.1")
    with launched(tmp_path, *command, environment=sidecar.environment) as program:
        reloader = comes(sidecar)
        before = comes(sidecar)
        assert are_children(reloader, before)
        assert answered(tmp_path, main, program.line_of("stop here"), [before]).startswith("15")
        # of another length, because Python's cache looks at that and the second of the change
        main.write_text(main.read_text().replace("count * 3", "count + count * 3"))
        after = comes(sidecar)
        assert are_children(reloader, after)
        assert answered(tmp_path, main, program.line_of("stop here"), [after]).startswith("20")
        all_gone(before)
        program.process.terminate()
        assert program.end()[:2] == (0, "")
        all_gone(after)
