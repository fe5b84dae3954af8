"""Where the injected code reports: an abstract Unix socket, which has no file and therefore no mode, and which a
process of the same network namespace reaches whatever its user and its mounts are. The kernel says who connects.
"""

import json
import os
import socket
import struct
import time
from types import TracebackType
from typing import Any, Self


class Report:
    """A `with` block around the injection; `facts` after it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.name = f"sonde-attach-{os.urandom(16).hex()}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind("\0" + self.name)
        self._listener.listen()
        self._line: socket.socket | None = None
        self._text = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        if self._line is not None:
            self._line.close()

    def facts(self, timeout: float) -> dict[str, Any] | None:
        """The next that it says; None when it says nothing in time, or no more."""
        deadline = time.monotonic() + timeout
        try:
            line = self._line = self._line or self._accept(deadline)
            while b"\n" not in self._text:
                line.settimeout(max(0.001, deadline - time.monotonic()))
                part = line.recv(65536)
                if not part:
                    return None
                self._text += part
        except (TimeoutError, ConnectionError):
            return None
        text, _, self._text = self._text.partition(b"\n")
        said = json.loads(text)
        return said if isinstance(said, dict) else None

    def _accept(self, deadline: float) -> socket.socket:
        while True:
            self._listener.settimeout(max(0.001, deadline - time.monotonic()))
            line, _ = self._listener.accept()
            peer = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            if struct.unpack("3i", peer)[0] == self._pid:
                return line
            line.close()
