"""Where the sidecar is, and starting one where none was named.

A sidecar that the tap starts is nobody's child: a shell starts it in the background and ends at once, because
a program that waits for all its children (`while True: os.wait()`) would otherwise wait for ours for ever.
Where there is no shell it is a plain child.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH119, PTH123

import json
import os
import select
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sonde_agent import link
from sonde_agent.tap.errors import NoSidecar

CONNECT_TIMEOUT = 5.0
START_TIMEOUT = 20.0
"""Seconds until a started sidecar has said where it is; an interpreter on a busy machine takes some."""
BUS_VARIABLE = "SONDE_BUS"
_IN_BACKGROUND = '"$@" &'
_LONGEST_ANNOUNCEMENT = 65536


@dataclass(frozen=True)
class Place:
    """`token_file` is read anew for each connection, because a restarted sidecar writes a new one."""

    address: link.SidecarAddress
    token_file: str | None


def named_place(sidecar: str | None, environment: Mapping[str, str]) -> Place | None:
    """What the argument or the environment names. Raises `link.InvalidSidecarAddress`."""
    text = sidecar or environment.get(link.SIDECAR_VARIABLE)
    if not text:
        return None
    return Place(link.SidecarAddress.parse(text), environment.get(link.TOKEN_FILE_VARIABLE) or None)


class Sidecar:
    """`connect` then `token`, any number of times."""

    def __init__(self, named: Place | None, bus: str | None = None) -> None:
        self._named = named
        self._place = named
        self._bus = bus
        if named is None:
            # Imported here, in the thread that called start(): an import in our own thread could meet the
            # program's in the middle of a circular one.
            import subprocess

            self._popen = subprocess.Popen

    def connect(self) -> socket.socket:
        """Raises `OSError` when it is not there now, `NoSidecar` when it will never be."""
        if self._place is None:
            self._place = self._start()
        try:
            return _dial(self._place.address)
        except (FileNotFoundError, ConnectionRefusedError):
            self._place = self._named  # one that we started is dead: the next attempt starts another
            raise

    def token(self) -> str:
        """Raises `OSError`."""
        if self._place is None or self._place.token_file is None:
            return ""
        with open(self._place.token_file, encoding="utf-8", errors="replace") as file:
            return file.read(4096).strip()

    def _start(self) -> Place:
        if not os.path.basename(sys.executable or "").startswith(("python", "pypy")):
            raise NoSidecar(
                f"{sys.executable!r} is not a Python interpreter to start a sidecar with: start one yourself "
                f"and name it in {link.SIDECAR_VARIABLE}"
            )
        reading, writing = os.pipe()
        try:
            try:
                self._spawn(writing)
            finally:
                os.close(writing)
            announcement = _read_line(reading, time.monotonic() + START_TIMEOUT)
        except OSError as error:
            raise NoSidecar(f"a sidecar cannot be started ({type(error).__name__})") from None
        finally:
            os.close(reading)
        return _place_from(announcement)

    def _spawn(self, writing: int) -> None:
        # -P: a file of the program's working directory must not stand in for a module of the sidecar's
        command = [sys.executable, "-P", "-m", "sonde_agent.sidecar", "--announce-fd", str(writing)]
        command += ["--follow-pid", str(os.getpid())]
        environment = dict(os.environ)
        if self._bus:
            environment[BUS_VARIABLE] = self._bus  # its password would be readable on the command line
        for words in (["/bin/sh", "-c", _IN_BACKGROUND, "sh", *command], command):
            try:
                starter = self._popen(
                    words,
                    stdin=-3,
                    stdout=-3,
                    stderr=-3,
                    pass_fds=(writing,),
                    start_new_session=True,
                    env=environment,
                )
            except FileNotFoundError:
                continue
            if words is not command:
                starter.wait()
            return
        raise FileNotFoundError(sys.executable)


def _dial(address: link.SidecarAddress) -> socket.socket:
    if address.path is not None:
        family: socket.AddressFamily = socket.AF_UNIX
        target: str | tuple[str, int] = address.path
    else:
        host = address.host or ""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        target = (host, address.port)
    line = socket.socket(family, socket.SOCK_STREAM)
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
