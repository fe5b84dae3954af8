"""A socket in a program that may close it behind our back.

A program that becomes a daemon closes every descriptor it finds, ours too, and the number is soon that of a
file of its own. So each use looks first whether the number still is our socket.
"""

import errno
import os
import socket
from _socket import socket as PlainSocket
from _socket import socketpair
from typing import Any


class GuardedSocket(socket.socket):
    """Takes the descriptor over from `opened`, made by `socket` or by what stands below it, which gevent does not
    replace."""

    def __init__(self, opened: PlainSocket) -> None:
        timeout = opened.gettimeout()
        super().__init__(opened.family, opened.type, opened.proto, opened.detach())
        self.settimeout(timeout)
        self._mark = _mark(self.fileno())

    @property
    def is_ours(self) -> bool:
        return self.fileno() >= 0 and _mark(self.fileno()) == self._mark

    def send(self, *arguments: Any) -> int:
        self._check()
        return super().send(*arguments)

    def sendall(self, *arguments: Any) -> None:
        self._check()
        super().sendall(*arguments)

    def recv(self, *arguments: Any) -> bytes:
        self._check()
        return super().recv(*arguments)

    def close(self) -> None:
        if self.is_ours:
            super().close()
        elif self.fileno() >= 0:
            self.detach()

    def _check(self) -> None:
        if not self.is_ours:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def pair() -> tuple[GuardedSocket, GuardedSocket]:
    one, other = socketpair()
    return GuardedSocket(one), GuardedSocket(other)


def _mark(descriptor: int) -> tuple[int, int] | None:
    """The kernel numbers its sockets, and gives no number twice at a time."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino
