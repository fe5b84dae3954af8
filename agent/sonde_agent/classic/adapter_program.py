"""What runs in the adapter's process: debugpy's own adapter, mended, and ended when its maker is gone.

Run by path, not imported, under `-I -S`: debugpy and the standard library are all it needs, and nothing of the
program's (its search path, its `sitecustomize`) comes along.

    adapter_program.py DESCRIPTOR      a socket: one JSON line in, one out, then silence until an end closes it
    in   {"debugpy": directory, "arguments": [...], "server_token": ..., "client_token": ...}
    out  {"pid": ...}

What is mended: the adapter leaves its maker in a way that hides its pid, so it leaves here instead and says it; its
sockets send at once, where each reply would take 40 ms; and its tokens are on no command line.
"""

import json
import os
import runpy
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

GRACE = 2.0
"""Seconds that the adapter has, after its maker has hung up, to say goodbye to its client."""


def main() -> None:
    line = socket.socket(fileno=int(sys.argv[1]))
    if os.fork():  # the program that waits for all its children must not find this one among them
        os._exit(0)
    os.setsid()
    told = json.loads(_read_line(line))
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    os.fork = lambda: 0  # in its place the adapter would go on in a child
    sys.path.insert(0, told["debugpy"])
    from debugpy import adapter
    from debugpy.common import sockets

    adapter.access_token = told["client_token"]
    new_socket: Callable[[bool], socket.socket] = sockets._new_sock

    def new_socket_that_sends_at_once(ipv6: bool = False) -> socket.socket:
        made = new_socket(ipv6)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # also of what a listener accepts
        return made

    sockets._new_sock = new_socket_that_sends_at_once
    line.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")
    program = Path(adapter.__file__).parent / "__main__.py"
    sys.argv = [str(program), *told["arguments"], "--server-access-token", told["server_token"]]
    runpy.run_path(str(program), run_name="__main__")


def _read_line(line: socket.socket) -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        part = line.recv(65536)
        if not part:
            os._exit(0)
        text += part
    return text


def _end_with(line: socket.socket) -> None:
    """Also when the adapter is dead-locked, which its own end would wait for."""
    line.recv(1)
    time.sleep(GRACE)
    os._exit(0)


if __name__ == "__main__":
    main()
