"""Runs a program that ends when the process that started it ends, even by SIGKILL (Linux).

    python -I -S tether.py PARENT_PID PROGRAM [ARGUMENT...]

A program of its own, because the alternative, code between fork and exec, is not safe in a process with threads.
Imports nothing of this package.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # The parent may have died before the line above; then no signal comes.
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execvp(program[0], program)  # noqa: S606 - replacing this process is the purpose


if __name__ == "__main__":
    main()
