"""gevent, which replaces threads by greenlets: what works with it and what does not.

A tap that was started before `gevent.monkey.patch_all()`, as `sonde run` does it, has a real thread: the process is
seen, with its metrics and stacks. Started afterwards it would run in the program's own thread, one greenlet of
many, and is refused. The debugger is refused in both: it stops threads, so one greenlet that stands would stop all
of them, and breakpoints are not hit in every greenlet.
"""

import sys

TOO_LATE = (
    "gevent has replaced threads in this process: start the tap before gevent.monkey.patch_all(), or start the "
    "program by `sonde run`"
)
NO_DEBUGGER = (
    "gevent has replaced threads in this process, and a breakpoint would stop all of its greenlets: look at its "
    "stacks, or run one worker without gevent to debug it"
)


def have_replaced_threads() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    is_patched = getattr(monkey, "is_module_patched", None)
    return is_patched is not None and bool(is_patched("threading"))
