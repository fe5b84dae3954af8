"""How a process ended, told as exactly as somebody can know it.

    its parent told us (child_ended)                          exact
    pidfd + PIDFD_GET_INFO, once it is reaped (Linux 6.15)    exact
    the tap's last word                                       the code it announced
    nothing                                                   "unknown", and it is said so

A pidfd becomes readable when the process dies and hung up (EPOLLHUP) when its parent has reaped it; only then
does the kernel hand out its exit status. See pidfd_open(2), `include/uapi/linux/pidfd.h`.
"""

import asyncio
import fcntl
import os
import select
import signal
import struct
from contextlib import suppress

from sonde_wire.bus import Exit

REAPED_WITHIN = 2.0
"""Seconds that a parent has to reap; a zombie keeps its status to itself."""

_INFO = struct.Struct("=QQ 11I i")
"""struct pidfd_info, version 0: mask, cgroupid, eleven ids, exit_code (a wait status)."""
_PIDFD_GET_INFO = (3 << 30) | (_INFO.size << 16) | (0xFF << 8) | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11, ...)
_PIDFD_INFO_EXIT = 1 << 3


def from_return_code(code: int) -> Exit:
    """`code` as `subprocess` has it: negative for a signal."""
    if code < 0:
        name = _signal_name(-code)
        return Exit(reason="signalled", signal=name, message=f"ended by {name}")
    return Exit(reason="exited", code=code, message=f"exited with code {code}")


def from_last_word(code: int | None, message: str) -> Exit | None:
    """What the tap said before the end; None when it said nothing that tells."""
    if code is None:
        return None
    text = message or f"exited with code {code}"
    return Exit(reason="exited", code=code, message=text)


def unknown() -> Exit:
    return Exit(
        reason="unknown",
        message="it ended, and nobody who may know how has told: the sidecar is not its parent and the kernel "
        "does not show the status of a process to others",
    )


def replaced() -> Exit:
    return Exit(reason="unknown", message="it became another program, or started its tap anew")


def exit_status(pidfd: int) -> int | None:
    """The return code of a process that was reaped; None where the kernel does not tell (yet)."""
    buffer = bytearray(_INFO.size)
    _INFO.pack_into(buffer, 0, _PIDFD_INFO_EXIT, *[0] * 13)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, buffer)
    except OSError:  # ENOTTY before 6.13, EINVAL and ESRCH in between: no status from this kernel
        return None
    mask, *_, status = _INFO.unpack(buffer)
    return os.waitstatus_to_exitcode(status) if mask & _PIDFD_INFO_EXIT else None


class Watch:
    """A process, held by a pidfd, so that its number cannot be taken for another's. Close it when done."""

    def __init__(self, pid: int) -> None:
        """Raises `OSError` when there is no such process, or pidfds are not offered (before Linux 5.3)."""
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)

    def close(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    async def ended(self) -> None:
        """Returns when the process has died, reaped or not."""
        await _readable(self._pidfd)

    async def status(self) -> int | None:
        """After `ended`: its return code, waiting a while for it to be reaped."""
        # registered for nothing, an epoll still reports the hang-up; and it is itself readable when it does
        with select.epoll() as hung_up:
            hung_up.register(self._pidfd, 0)
            with suppress(TimeoutError):
                async with asyncio.timeout(REAPED_WITHIN):
                    await _readable(hung_up.fileno())
        return exit_status(self._pidfd)


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not done.done():
            done.set_result(None)

    loop.add_reader(fd, readable)
    try:
        await done
    finally:
        loop.remove_reader(fd)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
