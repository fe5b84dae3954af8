"""gunicorn, which forks its workers before or after it has loaded the application."""

import sys
import textwrap
from pathlib import Path

import pytest

from tests.agent.kinds.family import SONDE_RUN, Request, all_gone, are_children, come, comes, hit, launched
from tests.agent.tap.fakes import FakeSidecar

APPLICATION = """
    import os

    def price(count):
        return count * 3  # stop here

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{os.getpid()} {price(5)}".encode()]
    """
GUNICORN = ("-m", "gunicorn", "--workers", "2", "--bind", "unix:socket", "--log-level", "warning", "app:app")


def surroundings(sidecar: FakeSidecar) -> dict[str, str]:
    """A directory of its own for gunicorn's control socket, else all of a user's have one address, and complain."""
    return {**sidecar.environment, "XDG_RUNTIME_DIR": str(sidecar.path.parent)}


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["after", "preload"])
def test_each_worker_is_a_process_of_its_own(
    sidecar: FakeSidecar, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent(APPLICATION))
    command = (*SONDE_RUN, *GUNICORN, *options)
    with launched(tmp_path, *command, environment=surroundings(sidecar)) as program:
        master = comes(sidecar)
        assert master.hello.service == "gunicorn"
        workers = come(sidecar, 2)
        assert are_children(master, *workers)
        requests = []
        worker = hit(
            workers,
            program.path,
            program.line_of("stop here"),
            lambda: requests.append(Request(tmp_path / "socket")),
        )
        assert requests[0].answer() == f"{worker.pid} 15"
        program.process.terminate()
        assert program.end() == (0, "", "")
        all_gone(*workers)


def test_a_worker_that_ends_is_followed_by_another(sidecar: FakeSidecar, tmp_path: Path) -> None:
    """And an application that starts the tap itself has its workers seen, with --preload as their parent."""
    source = 'import sonde_agent\nsonde_agent.start("shop")\n' + textwrap.dedent(APPLICATION)
    (tmp_path / "app.py").write_text(source)
    command = (sys.executable, *GUNICORN, "--preload")
    with launched(tmp_path, *command, environment=surroundings(sidecar)) as program:
        master = comes(sidecar)
        first, second = come(sidecar, 2)
        assert are_children(master, first, second)
        import os
        import signal

        os.kill(first.pid, signal.SIGTERM)
        third = comes(sidecar)
        assert are_children(master, third)
        assert third.pid not in {first.pid, second.pid}
        program.process.terminate()
        code, output, _ = program.end()
        assert (code, output) == (0, "")
        all_gone(first, second, third)
