"""Where the sidecar is, and starting one where none was named.

A sidecar that the tap starts is nobody's child: a shell starts it in the background and ends at once, because
a program that waits for all its children (`while True: os.wait()`) would otherwise wait for ours for ever.
Where there is no shell it is a plain child.

Where it will be is decided before it is started, in a directory that is made first, so that the children of the
process, which may come before it has started, know whom to wait for: one sidecar is enough for all.

It is not started by `subprocess`, which waits until a pipe is closed that a fork of the program at that moment would
keep open.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH102, PTH106, PTH112, PTH118, PTH119, PTH120, PTH123

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sonde_agent import link
from sonde_agent.records import Record
from sonde_agent.tap import children
from sonde_agent.tap.errors import NoSidecar

CONNECT_TIMEOUT = 5.0
START_TIMEOUT = 20.0
"""Seconds until a started sidecar has said where it is; an interpreter on a busy machine takes some."""
BUS_VARIABLE = "SONDE_BUS"
_LONGEST_DIRECTORY = 80
"""Of a Unix socket's path the system takes 107 bytes."""
_Socket = socket.socket
_posix_spawn = os.posix_spawn
_waitpid = os.waitpid
"""As they were: gevent may replace them later, and its own need what only its greenlets have."""
_IN_BACKGROUND = '"$@" &'
_LONGEST_ANNOUNCEMENT = 65536
_SIGNALS_OF_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""That it ignores; whoever it starts must not."""


class Place(Record):
    """`token_file` is read anew for each connection, because a restarted sidecar writes a new one."""

    address: link.SidecarAddress
    token_file: str | None


def named_place(sidecar: str | None, environment: Mapping[str, str]) -> Place | None:
    """What the argument or the environment names. Raises `link.InvalidSidecarAddress`."""
    text = sidecar or environment.get(link.SIDECAR_VARIABLE)
    if not text:
        return None
    return Place(link.SidecarAddress.parse(text), environment.get(link.TOKEN_FILE_VARIABLE) or None)


def parents_place(parent: children.Parent | None) -> Place | None:
    """That of the sidecar which the parent has started, or was about to."""
    if parent is None or not parent.sidecar:
        return None
    try:
        return Place(link.SidecarAddress.parse(parent.sidecar), parent.token_file or None)
    except link.InvalidSidecarAddress:
        return None


class Sidecar:
    """`connect` then `token`, any number of times. `of_parent` is where a parent that has none named has its own:
    it is waited for while it may still be starting, and where it is gone, this process starts one."""

    def __init__(self, named: Place | None, bus: str | None = None, of_parent: Place | None = None) -> None:
        self._named = named
        self._bus = bus
        self.place = named or of_parent or _new_place()
        self._is_to_start = named is None and of_parent is None
        self._patient_until: float | None = None
        self._pipe: list[int] = []
        """While a sidecar is being started."""

    @property
    def is_named(self) -> bool:
        """Somebody else starts and ends it."""
        return self._named is not None

    def of_child(self) -> "Sidecar":
        """For a forked child. In the child: closes its copies of what the parent is starting one with."""
        for descriptor in self._pipe:
            with suppress(OSError):
                os.close(descriptor)
        return Sidecar(self._named, self._bus, None if self._named else self.place)

    def connect(self) -> socket.socket:
        """Raises `OSError` when it is not there now, `NoSidecar` when it will never be."""
        if self._is_to_start:
            self.place = self._start(self.place)
            self._is_to_start = False
        try:
            return _dial(self.place.address)
        except (FileNotFoundError, ConnectionRefusedError):
            if self._named is None and not self._is_starting():
                self.place = _new_place()  # it is dead: the next attempt starts another
                self._is_to_start = True
            raise

    def _is_starting(self) -> bool:
        """Whether our parent may be at it: its directory is there from before it starts until it has ended."""
        if self._patient_until is None:
            self._patient_until = time.monotonic() + START_TIMEOUT
        directory = os.path.dirname(self.place.address.path or "")
        return os.path.isdir(directory) and time.monotonic() < self._patient_until

    def token(self) -> str:
        """Raises `OSError`."""
        if self.place.token_file is None:
            return ""
        with open(self.place.token_file, encoding="utf-8", errors="replace") as file:
            return file.read(4096).strip()

    def _start(self, place: Place) -> Place:
        if not os.path.basename(sys.executable or "").startswith(("python", "pypy")):
            raise NoSidecar(
                f"{sys.executable!r} is not a Python interpreter to start a sidecar with: start one yourself "
                f"and name it in {link.SIDECAR_VARIABLE}"
            )
        directory = os.path.dirname(place.address.path or "")
        reading, writing = self._pipe = list(os.pipe())
        try:
            os.mkdir(directory, 0o700)
            try:
                self._spawn(writing, directory)
            finally:
                self._pipe.remove(writing)
                os.close(writing)
            announcement = _read_line(reading, time.monotonic() + START_TIMEOUT)
            return _place_from(announcement)
        except OSError as error:
            raise NoSidecar(f"a sidecar cannot be started ({type(error).__name__})") from None
        except NoSidecar:
            with suppress(OSError):  # it is there, but slow
                os.rmdir(directory)
            raise
        finally:
            self._pipe.remove(reading)
            os.close(reading)

    def _spawn(self, writing: int, directory: str) -> None:
        announced = max(writing, 2) + 1
        # -P: a file of the program's working directory must not stand in for a module of the sidecar's
        command = [sys.executable, "-P", "-m", "sonde_agent.sidecar", "--announce-fd", str(announced)]
        command += ["--follow-pid", str(os.getpid()), "--directory", directory]
        environment = children.without_injection(os.environ)
        if self._bus:
            environment[BUS_VARIABLE] = self._bus  # its password would be readable on the command line
        for words in (["/bin/sh", "-c", _IN_BACKGROUND, "sh", *command], command):
            try:
                starter = _posix_spawn(
                    words[0],
                    words,
                    environment,
                    file_actions=[(os.POSIX_SPAWN_DUP2, writing, announced), *_without_ours(announced)],
                    setsid=True,
                    setsigmask=(),
                    setsigdef=_SIGNALS_OF_PYTHON,
                )
            except FileNotFoundError:
                continue
            if words is not command:
                with suppress(ChildProcessError):  # the program waits for whatever ends
                    _waitpid(starter, 0)
            return
        raise FileNotFoundError(sys.executable)


def _without_ours(kept: int) -> list[tuple[Any, ...]]:
    """Nothing to read or to write, and none of the program's files, of which a server's listening sockets are inherited."""
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]
    with suppress(OSError):
        ours = sorted(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - pathlib is not imported here
        actions += [(os.POSIX_SPAWN_CLOSE, each) for each in ours if each > 2 and each != kept]
    return actions


def _new_place() -> Place:
    """In a new directory of this user, which is not made yet. Its name has the form that sidecars use themselves."""
    for root in (os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("TMPDIR"), "/tmp"):  # noqa: S108 - only this user may enter what is made there
        if root and os.path.isdir(root) and len(os.fsencode(root)) <= _LONGEST_DIRECTORY:
            break
    directory = os.path.join(root or "/tmp", f"sonde-{os.urandom(8).hex()}")  # noqa: S108 - as above
    return Place(link.SidecarAddress(path=f"{directory}/sidecar.sock"), f"{directory}/token")


def _dial(address: link.SidecarAddress) -> socket.socket:
    if address.path is not None:
        family: socket.AddressFamily = socket.AF_UNIX
        target: str | tuple[str, int] = address.path
    else:
        host = address.host or ""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        target = (host, address.port)
    line = _Socket(family, socket.SOCK_STREAM)
    try:
        line.settimeout(CONNECT_TIMEOUT)
        line.connect(target)
        if address.path is None:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        line.close()
        raise
    return line


def _read_line(descriptor: int, deadline: float) -> bytes:
    """Up to the first line end or the end of the file; what came so far when the deadline passes."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    text = b""
    while b"\n" not in text and len(text) < _LONGEST_ANNOUNCEMENT:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            break
        part = os.read(descriptor, 4096)
        if not part:
            break
        text += part
    return text


def _place_from(announcement: bytes) -> Place:
    """Raises `NoSidecar` with what the sidecar said, or with what is most likely wrong when it said nothing."""
    try:
        said = json.loads(announcement)
        if "error" in said:
            raise NoSidecar(str(said["error"])[:500])
        return Place(link.SidecarAddress.parse(said["sidecar"]), str(said["token_file"]))
    except (ValueError, KeyError, TypeError):
        raise NoSidecar(
            "a sidecar was started but did not say where it is; is it installed? (pip install 'sonde[agent]')"
        ) from None
