"""The words for programs of many processes: who comes to the sidecar, whose child it is, and who is left."""

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sonde_agent import link
from tests.agent.tap.fakes import (
    PATIENCE,
    Debugging,
    FakeSidecar,
    Line,
    Program,
    clean_environment,
    eventually,
)

SONDE_RUN = (sys.executable, "-m", "sonde_agent", "run")


@dataclass
class Member:
    """One process, as the sidecar knows it."""

    line: Line
    hello: link.Hello

    @property
    def boot(self) -> str:
        return self.hello.boot

    @property
    def pid(self) -> int:
        return self.hello.pid

    @property
    def words(self) -> str:
        return " ".join(self.hello.argv)

    def debugged(self) -> Debugging:
        return Debugging(self.line).open()


def comes(sidecar: FakeSidecar) -> Member:
    """The next process."""
    return Member(*sidecar.welcome())


def come(sidecar: FakeSidecar, count: int) -> list[Member]:
    """So many, in any order; each is another process."""
    members = [comes(sidecar) for _ in range(count)]
    assert len({member.pid for member in members}) == len({member.boot for member in members}) == count
    return members


def are_children(parent: Member, *members: Member) -> bool:
    """Of its own service, and known by nothing else that is the parent's."""
    return all(
        member.hello.parent_boot == parent.boot
        and member.hello.service == parent.hello.service
        and member.boot != parent.boot
        and member.pid != parent.pid
        for member in members
    )


@contextmanager
def launched(
    directory: Path, *words: str, environment: dict[str, str] | None = None, main: str = "app.py"
) -> Iterator[Program]:
    """A command, in the directory that has its `main`. It and all of its processes are gone afterwards."""
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
        env={**clean_environment(), **(environment or {})},
        start_new_session=True,
    )
    try:
        with process:
            try:
                yield Program(process, directory / main)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, 9)
    finally:
        process.wait()


def hit(workers: list[Member], path: str, line: int, act: Callable[[], object]) -> Member:
    """The one that stops at the line after the act. It goes on, and none is debugged any more."""
    debugged = {worker.debugged(): worker for worker in workers}
    for debugging in debugged:
        debugging.stop_at(path, line)
    act()
    debugging, stopped = first_event("stopped", *debugged)
    assert debugging.where(stopped)[1] == line
    for each in debugged:  # a socket that closes lets the process go on
        each.close()
    return debugged[debugging]


def first_event(name: str, *several: Debugging) -> tuple[Debugging, dict[str, Any]]:
    """Of whoever has it first."""
    while True:
        for debugging in several:
            if any(message.get("event") == name for message in debugging.events):
                return debugging, debugging.event(name)
        sockets = [debugging.socket for debugging in several if debugging.socket is not None]
        ready, _, _ = select.select(sockets, [], [], PATIENCE)
        assert ready, f"waited in vain for: {name}"
        for debugging in several:
            if debugging.socket in ready:
                debugging.hear()


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # a container whose first process does not reap keeps these


def all_gone(*members: Member) -> None:
    for member in members:
        eventually(lambda member=member: is_gone(member.pid), f"{member.words} to be gone")  # type: ignore[misc] # bound at once


class Request:
    """One HTTP request to a server on a Unix socket; the answer is read when it is wanted."""

    def __init__(self, path: Path) -> None:
        eventually(path.exists, f"a server at {path.name}")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._socket.sendall(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")

    def answer(self) -> str:
        text = b""
        while part := self._socket.recv(65536):
            text += part
        self._socket.close()
        return text.rpartition(b"\r\n\r\n")[2].decode()
