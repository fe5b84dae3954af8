"""stops.py with pydevd connected straight to the port that the argument names, tuned as Sonde tunes it."""

import os
import runpy
import socket
import sys
import threading
from pathlib import Path

os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
import debugpy.server  # noqa: F401 - puts pydevd on the path


def connect() -> None:
    import pydevd

    pydevd.settrace(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        suspend=False,
        protocol="dap",
        block_until_connected=True,
        wait_for_ready_to_run=False,
        patch_multiprocessing=False,
    )
    pydevd.get_global_debugger().writer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


thread = threading.Thread(target=connect, daemon=True)
thread.pydev_do_not_trace = thread.is_pydev_daemon_thread = True  # type: ignore[attr-defined]
thread.start()
runpy.run_path(str(Path(__file__).with_name("stops.py")), run_name="__main__")
