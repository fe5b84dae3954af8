"""What a look into a process finds, without stopping it: the results of the operations that only read.

Times are seconds since the epoch (UTC), durations seconds.
"""

from typing import Literal

from msgspec import Struct


class StackFrame(Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    line: int
    function: str
    text: str = ""
    """The source line, where it is known."""


class ThreadStack(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Frames with the innermost first."""

    id: int
    name: str
    frames: tuple[StackFrame, ...]
    daemon: bool = False
    truncated: bool = False


class Stacks(Struct, frozen=True, kw_only=True, omit_defaults=True):
    threads: tuple[ThreadStack, ...]
    time: float


class Source(Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    text: str
    sha256: str
    """Of the file's bytes as they are on the process's disk."""


class SourceFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    module: str
    application: bool = False
    """True for the application's own files, False for the standard library and site-packages."""


class Sources(Struct, frozen=True, kw_only=True, omit_defaults=True):
    files: tuple[SourceFile, ...]


class LoopInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event loop that runs, or that tasks belong to."""

    id: int
    implementation: str
    """Class of the loop, such as `asyncio.unix_events._UnixSelectorEventLoop` or `uvloop.Loop`."""
    thread: str | None = None
    """Name of the thread that runs it; None while it does not run."""
    lag: float | None = None
    """Seconds that it took to get to something that was due; absent when it did not within a second."""


class TaskInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An asyncio task that is not done."""

    id: int
    name: str
    loop: int
    state: Literal["running", "waiting"]
    coroutine: str
    """Qualified name of what the task runs."""
    frames: tuple[StackFrame, ...]
    """Of its chain of awaits, innermost first."""
    waits_for: str = ""
    """What the innermost await waits for, when it is no task, such as `Future` or `Lock`."""
    awaits: int | None = None
    """The task that it awaits."""
    awaited_by: tuple[int, ...] = ()
    truncated: bool = False


class Tasks(Struct, frozen=True, kw_only=True, omit_defaults=True):
    loops: tuple[LoopInfo, ...]
    tasks: tuple[TaskInfo, ...]
    time: float
    truncated: bool = False
    """There are more tasks than these."""


class ModuleInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    path: str = ""
    """Empty for a built-in one."""
    version: str = ""
    """`__version__`, or the installed distribution's, where it can be told without running code."""
    application: bool = False


class Modules(Struct, frozen=True, kw_only=True, omit_defaults=True):
    modules: tuple[ModuleInfo, ...]
    truncated: bool = False


class Generation(Struct, frozen=True, kw_only=True):
    """A generation of the garbage collector; `threshold` and `count` as `gc` has them."""

    threshold: int
    count: int
    collections: int
    collected: int
    uncollectable: int


class Runtime(Struct, frozen=True, kw_only=True, omit_defaults=True):
    python: str
    """`sys.version`."""
    flags: dict[str, int | str | bool]
    """`sys.flags`, and what else changes how debugging goes, such as `free_threaded`."""
    argv: tuple[str, ...]
    environment: dict[str, str]
    redacted: tuple[str, ...] = ()
    """Names of what was redacted in both."""
    gc_enabled: bool = True
    gc: tuple[Generation, ...] = ()
    loops: tuple[LoopInfo, ...] = ()
    threads: int = 0
    directory: str = ""
    path: tuple[str, ...] = ()
    """`sys.path`."""


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`check` is for programs and stable; `message` is for people and says what to do next."""

    check: str
    level: Literal["fine", "note", "problem"]
    message: str


class Diagnosis(Struct, frozen=True, kw_only=True, omit_defaults=True):
    findings: tuple[Finding, ...]
    lines: tuple[int, ...] = ()
    """Lines near the asked one that have code, where a breakpoint could be."""
