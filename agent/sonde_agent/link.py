"""The line between a tap and its sidecar: JSON objects, one a line, over a Unix socket or loopback TCP.

Standard library only, because the tap lives in a stranger's program; imported by both halves. This module is
sans-I/O: it frames, encodes and decodes.

    tap                                          sidecar
     | -- Hello (version, token, who I am) ------> |
     | <------------------ Welcome or Refusal ---- |
     | <--- Call (id, operation, arguments) ------ |   any number, answered in any order
     | -- Result or Fault (same id) -------------> |
     | <--- Numbered (up to where) --------------- |   before the events of the process pass that number
     | -- Report (what the program counts) ------> |   each second, while there is something to report
     | -- Hits (what probes brought) ------------> |   as soon as there are some
     | -- Ending (exit code, if known) ----------> |   the last word before a normal end

The sidecar's address is `unix:/path/to/socket` or `tcp:127.0.0.1:port`, in SONDE_SIDECAR; the token is in the
file that SONDE_SIDECAR_TOKEN_FILE names (a file, because another process of the same user can read an
environment and a command line).
"""

import builtins
import json
import types
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from sonde_agent.records import Record

VERSION = 1
SIDECAR_VARIABLE = "SONDE_SIDECAR"
TOKEN_FILE_VARIABLE = "SONDE_SIDECAR_TOKEN_FILE"  # noqa: S105 - the name of a variable
LONGEST_LINE = 8 * 1024 * 1024
"""Bytes. A longer line is a broken peer: the line is closed."""


class LinkError(Exception):
    """Root: MalformedLine (the peer's fault), InvalidSidecarAddress (the configuration's)."""


class MalformedLine(LinkError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class InvalidSidecarAddress(LinkError, ValueError):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"{self.text!r} is not a sidecar's address: use unix:/path/to/socket or tcp:127.0.0.1:port"


class SidecarAddress(Record):
    """Either `path` (Unix socket) or `host` and `port` (loopback)."""

    path: str | None = None
    host: str | None = None
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "SidecarAddress":
        kind, _, rest = text.partition(":")
        if kind == "unix" and rest.startswith("/"):
            return cls(path=rest)
        host, _, port = rest.rpartition(":")
        if kind == "tcp" and host and port.isdigit() and 0 < int(port) < 65536:
            return cls(host=host.strip("[]"), port=int(port))
        raise InvalidSidecarAddress(text)

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"tcp:{self.host}:{self.port}"


class Hello(Record):
    """Who the process is. `namespace` may be empty: it is then the sidecar's; and `instance`: the sidecar then makes
    one from host and pid."""

    version: int
    token: str
    boot: str
    namespace: str
    service: str
    instance: str
    pid: int
    parent_pid: int
    started: float
    host: str
    python: str
    implementation: str
    executable: str
    argv: list[str]
    main: str | None
    directory: str
    labels: dict[str, str] = {}  # noqa: RUF012 - copied for each
    agent_version: str = ""
    parent_boot: str = ""
    """The boot of the tapped process that made this one; empty when none did, or none that is known."""
    process: str = ""
    """The name under which an earlier sidecar knew this boot, and is to be known again; empty before the first."""
    numbered: int = 0
    """What an earlier sidecar said last in `Numbered`: this boot's next event gets a higher number."""
    redaction: str = "standard"
    """A mode of `sonde_agent.redaction`; of tap and sidecar the one that hides more holds, for both."""
    redact_names: list[str] = []  # noqa: RUF012 - copied for each
    show_names: list[str] = []  # noqa: RUF012 - copied for each


class Welcome(Record):
    """The tap is known, under this `process` name (namespace/service/instance). `numbered` as in `Numbered`. What
    the sidecar hides as in `Hello`; empty where it does not say."""

    version: int
    process: str
    numbered: int = 0
    redaction: str = ""
    redact_names: list[str] = []  # noqa: RUF012 - copied for each
    show_names: list[str] = []  # noqa: RUF012 - copied for each


class Refusal(Record):
    """The tap is not wanted: `reason` is `bad_token`, `bad_version` or `bad_name`. It must not try again."""

    reason: str
    message: str


class Call(Record):
    """`operation` is one of OPERATIONS."""

    id: int
    operation: str
    arguments: dict[str, Any] = {}  # noqa: RUF012 - copied for each


class Result(Record):
    id: int
    value: Any = None


class Fault(Record):
    """`code` and `reason` are from the wire's closed list (sonde_wire.errors), as text."""

    id: int
    code: str
    reason: str
    message: str


class Ending(Record):
    """The process is about to end by itself. `code` is None when the tap cannot know it (os._exit, signals)."""

    code: int | None
    message: str = ""


class Report(Record):
    """What only the process itself can count, since its start; fields of the wire's `Metrics`. The newest wins. `probes`
    has the fields of the wire's `ProbeReport`, and is None while nothing has changed there."""

    metrics: dict[str, Any] = {}  # noqa: RUF012 - copied for each
    probes: dict[str, Any] | None = None


class Hits(Record):
    """What probes brought, in order: the fields of the wire's SnapshotTaken, ProbeLogged, WatchChanged and ProbeChanged,
    with `type` and `time`."""

    hits: list[dict[str, Any]]


class Numbered(Record):
    """The process's events have numbers up to this one, or will have. The tap keeps the newest for the next sidecar:
    one that was killed can tell its successor nothing, and no number may be given twice in one boot."""

    upto: int


OPERATIONS = frozenset(
    {
        "debugger.connect",
        "debugger.disconnect",
        "debugger.hold",
        "debugger.interrupt",
        "diagnosis",
        "modules",
        "probes.drop",
        "probes.put",
        "runtime",
        "source",
        "sources",
        "stacks",
        "tasks",
    }
)

Message = Hello | Welcome | Refusal | Call | Result | Fault | Numbered | Report | Hits | Ending
_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (Hello, Welcome, Refusal, Call, Result, Fault, Numbered, Report, Hits, Ending)
}


def encode(message: Message) -> bytes:
    body = {"type": type(message).__name__.lower(), **vars(message)}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Raises `MalformedLine`. Fields that this version does not know are ignored."""
    try:
        body = json.loads(line.decode(), parse_constant=_no_number)
        kind = _KINDS[body.pop("type")]
        message: Message = kind(**{key: value for key, value in body.items() if key in kind.FIELDS})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedLine(type(error).__name__) from None
    for name, wanted in kind.__annotations__.items():
        if not _fits(getattr(message, name), wanted):
            raise MalformedLine(f"{name} is of a wrong type")
    return message


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of the type that a field above has."""
    match get_origin(kind), get_args(kind):
        case builtins.list, (of,):
            return type(value) is list and all(_fits(each, of) for each in value)
        case builtins.dict, (_, of):  # JSON's keys are text
            return type(value) is dict and all(_fits(each, of) for each in value.values())
        case types.UnionType, several:
            return any(_fits(value, each) for each in several)
    if kind is float:
        return type(value) in {int, float}
    return kind is Any or type(value) is kind


class LineBuffer:
    """Bytes in, whole lines out; at most `longest` bytes are ever kept."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._kept = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are complete, without their end. Raises `MalformedLine` when one is too long."""
        self._kept += data
        while (end := self._kept.find(b"\n")) >= 0:
            line = bytes(self._kept[:end])
            del self._kept[: end + 1]
            yield line
        if len(self._kept) > self._longest:
            raise MalformedLine("line too long")
