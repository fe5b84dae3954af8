"""Probes: what looks into processes without stopping them. A probe is desired state: it names the processes that are
to have it, is kept on the bus, and is taken up by every process that it means, whenever that starts.

    what somebody asks for   ProbeSpec
    what is on the bus       Probe, and ProbeRemoved in its place until the probe would have expired
    what a process says      ProbeReport (state of each of its probes; the newest wins) and events (`sonde_wire.bus`)

State in one process:

    PENDING -- its code is loaded --> ACTIVE -- hit --> HIT <--> THROTTLED   more often than its rate
       |                                 |               |
       +---------- EXPIRED, ERROR <------+---------------+--> SUSPENDED <-- over the budget

Times are seconds since the epoch (UTC), durations seconds, sizes bytes.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct

from sonde_wire.addresses import END, Address, ProcessName, Selector, SelectorText
from sonde_wire.scopes import Scope

LONGEST_TTL = 86_400.0
DEFAULT_TTL = 3600.0
DEFAULT_MOST_HITS = 100
"""Of what sends a message for each hit; what only counts has no such limit."""
SNAPSHOTS_PER_SECOND = 1.0
LOGS_PER_SECOND = 100.0
MOST_EXPRESSIONS = 20
_LONGEST_TEXT = 4096

ProbeId = Annotated[str, Meta(pattern=rf"^[a-z2-7]{{10}}{END}", description="made by the broker")]
BootId = Annotated[str, Meta(pattern=rf"^[0-9a-f]{{32}}{END}")]
SnapshotId = Annotated[
    str,
    Meta(
        pattern=rf"^[0-9a-f]{{12}}-[1-9][0-9]{{0,15}}{END}",
        description="first 12 digits of the boot, and the number of the event",
    ),
]
Expression = Annotated[str, Meta(min_length=1, max_length=_LONGEST_TEXT)]
_Path = Annotated[str, Meta(min_length=1, max_length=4096)]
_Name = Annotated[str, Meta(min_length=1, max_length=512)]
_Line = Annotated[int, Meta(ge=1, le=10_000_000)]


class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Of what a viewer asks for: a field that is not known is refused, not ignored."""


# Where --------------------------------------------------------------------------------------------------------


class LinePlace(_Part, frozen=True, kw_only=True, tag_field="type", tag="line"):
    """`path` may be the end of one: `shop/worker.py` finds `/app/shop/worker.py`. A line without code means the next
    one that has some."""

    path: _Path
    line: _Line


class FunctionPlace(_Part, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """`function` is a qualified name within its module, such as `Order.total`."""

    module: _Name
    function: _Name
    on: Literal["entry", "exit"] = "entry"


Place = LinePlace | FunctionPlace


class Target(_Part, frozen=True, kw_only=True):
    """The processes that are meant: of a selector, with all of these labels, and only so many of them."""

    selector: SelectorText = "*/*/*"
    labels: Annotated[dict[str, str], Meta(max_length=20)] = {}
    canaries: Annotated[int, Meta(ge=1, le=10_000)] | None = None


# What ---------------------------------------------------------------------------------------------------------


class Snapshot(_Part, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """The stack, the locals of its innermost frames, and expressions."""

    expressions: Annotated[tuple[Expression, ...], Meta(max_length=MOST_EXPRESSIONS)] = ()


class Log(_Part, frozen=True, kw_only=True, tag_field="type", tag="log"):
    template: Annotated[str, Meta(min_length=1, max_length=_LONGEST_TEXT)]
    """Text with `{expression}`."""


class Counter(_Part, frozen=True, kw_only=True, tag_field="type", tag="counter"):
    expression: Expression | None = None
    """What each hit adds; 1 when absent."""


class Gauge(_Part, frozen=True, kw_only=True, tag_field="type", tag="gauge"):
    expression: Expression


class Histogram(_Part, frozen=True, kw_only=True, tag_field="type", tag="histogram"):
    expression: Expression


class Timer(_Part, frozen=True, kw_only=True, tag_field="type", tag="timer"):
    """From the place to a line of the same function, or to the end of the call when there is none."""

    until: _Line | None = None


class OnException(_Part, frozen=True, kw_only=True, tag_field="type", tag="exception"):
    """A snapshot where an exception is raised. No place is needed; with one, only what is raised in that file or function."""

    types: Annotated[tuple[_Name, ...], Meta(max_length=MOST_EXPRESSIONS)] = ()
    """Names of classes, qualified or not, of which subclasses count too; none: what nobody catches."""


class Watch(_Part, frozen=True, kw_only=True, tag_field="type", tag="watch"):
    """The value of an expression, whenever it is another than at the last hit."""

    expression: Expression


Kind = Snapshot | Log | Counter | Gauge | Histogram | Timer | OnException | Watch


class Capture(_Part, frozen=True, kw_only=True):
    """How much of values is taken."""

    depth: Annotated[int, Meta(ge=0, le=10)] = 3
    items: Annotated[int, Meta(ge=0, le=10_000)] = 100
    length: Annotated[int, Meta(ge=1, le=100_000)] = 255
    """Characters of one text."""
    fields: Annotated[int, Meta(ge=0, le=1000)] = 20
    size: Annotated[int, Meta(ge=256, le=262_144)] = 65_536
    """Bytes of one capture."""
    seconds: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """Of wall-clock time for one capture."""
    frames: Annotated[int, Meta(ge=1, le=200)] = 20
    frames_with_locals: Annotated[int, Meta(ge=0, le=50)] = 5


class ProbeSpec(_Part, frozen=True, kw_only=True):
    kind: Kind
    place: Place | None = None
    target: Target = Target()
    name: Annotated[str, Meta(max_length=100)] = ""
    condition: Expression | None = None
    python: bool = False
    """Condition and expressions are any Python, not the safe language; needs the scope `execute`."""
    calls_user_code: bool = False
    """Values are shown by the program's own `__repr__`; needs the scope `execute`."""
    sample: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """The share of hits that count."""
    max_hits: Annotated[int, Meta(ge=1)] | None = None
    """In each process; by its kind when absent."""
    rate: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    """Hits a second in each process; by its kind when absent."""
    burst: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """Hits at once; the rate of one second, and one at least, when absent."""
    ttl: Annotated[float, Meta(ge=1, le=LONGEST_TTL)] = DEFAULT_TTL
    capture: Capture = Capture()


def most_hits(spec: ProbeSpec) -> int | None:
    """None: without limit."""
    if spec.max_hits is not None:
        return spec.max_hits
    return None if isinstance(spec.kind, Counter | Gauge | Histogram | Timer) else DEFAULT_MOST_HITS


def hits_per_second(spec: ProbeSpec) -> float | None:
    """None: as often as it happens."""
    if spec.rate is not None:
        return spec.rate
    match spec.kind:
        case Counter() | Gauge() | Histogram() | Timer():
            return None
        case Log():
            return LOGS_PER_SECOND
        case Snapshot() | OnException() | Watch():
            return SNAPSHOTS_PER_SECOND


def scope_for(spec: ProbeSpec) -> Scope:
    """What it takes to ask for it."""
    return Scope.EXECUTE if spec.python or spec.calls_user_code else Scope.INSPECT


def expressions(spec: ProbeSpec) -> Iterator[tuple[str, str]]:
    """Where each stands in the spec, and its text. The template of a log is none: it has some inside."""
    if spec.condition is not None:
        yield "condition", spec.condition
    match spec.kind:
        case Snapshot(expressions=texts):
            for number, text in enumerate(texts):
                yield f"kind.expressions[{number}]", text
        case Gauge(expression=text) | Histogram(expression=text) | Watch(expression=text):
            yield "kind.expression", text
        case Counter(expression=str() as text):
            yield "kind.expression", text
        case _:
            return


def title(spec: ProbeSpec) -> str:
    """What it is, in a few words."""
    kind = str(spec.kind.__struct_config__.tag)
    match spec.place:
        case LinePlace(path=path, line=line):
            return f"{kind} {path}:{line}"
        case FunctionPlace(module=module, function=function, on=on):
            return f"{kind} {module}:{function} {on}"
        case None:
            types = spec.kind.types if isinstance(spec.kind, OnException) else ()
            return f"{kind} {', '.join(types) or 'that nobody catches'}"


# On the bus ---------------------------------------------------------------------------------------------------


class Probe(Struct, frozen=True, kw_only=True, tag_field="type", tag="probe", omit_defaults=True):
    """Retained on a topic of its own."""

    id: ProbeId
    spec: ProbeSpec
    creator: str
    """The viewer's subject."""
    created: float
    expires: float
    within: tuple[SelectorText, ...]
    """Of its creator's token: it is never in a process outside of them."""
    chosen: tuple[ProcessName, ...] | None = None
    """Of a probe with canaries, the processes that have it now."""
    revision: int = 1
    """Grows when `chosen` changes."""
    authorization: str | None = None
    """Place of the broker's signature over this probe (a compact JWS, RFC 7515)."""


class ProbeRemoved(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="probe_removed", omit_defaults=True
):
    """In place of the probe, so that a process which was away learns of it; retained until nobody can have it any more."""

    id: ProbeId
    time: float
    expires: float
    by: str = ""
    """The subject of who removed it."""


ProbeMessage = Probe | ProbeRemoved


def means(probe: Probe, process: Address, labels: Mapping[str, str]) -> bool:
    """Whether a process is of those that the probe is for: what `chosen` then makes of them is left aside."""
    target = probe.spec.target
    return (
        _selector(target.selector).matches(process)
        and any(_selector(each).matches(process) for each in probe.within)
        and all(labels.get(name) == value for name, value in target.labels.items())
    )


def concerns(probe: Probe, selectors: tuple[Selector, ...]) -> bool:
    """Whether a token with these selectors could see some process that the probe means."""
    mine = _selector(probe.spec.target.selector)
    return any(
        mine.overlaps(each) and any(_selector(other).overlaps(each) for other in probe.within)
        for each in selectors
    )


@lru_cache(maxsize=4096)
def _selector(text: str) -> Selector:
    return Selector.parse(text)


# What a process says ------------------------------------------------------------------------------------------

ProbeState = Literal["pending", "active", "hit", "throttled", "suspended", "expired", "error"]


class BoundPlace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where it really is."""

    path: str
    line: int
    function: str = ""


class Measured(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What counter, gauge, histogram or timer (then seconds) have come to. Percentiles are estimates within 5 %."""

    count: int
    total: float = 0.0
    last: float | None = None
    least: float | None = None
    most: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None


class ProbeStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one probe in one process."""

    id: ProbeId
    state: ProbeState
    message: str = ""
    """Why, for people: of pending, throttled, suspended, expired and error always."""
    hits: int = 0
    """That met the condition; while it is throttled not all are seen."""
    last_hit: float | None = None
    dropped: int = 0
    """Hits over the rate, as far as they were seen."""
    failures: int = 0
    """Times that its condition or an expression failed; `failure` is the last reason."""
    failure: str = ""
    places: tuple[BoundPlace, ...] = ()
    cpu: float = 0.0
    """Of one core, 0 to 1, over the last ten seconds."""
    measured: Measured | None = None
    engine: str = ""
    """How it is placed: `monitoring`, or `rewriting` before 3.12."""
    title: str = ""


class ProbeReport(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="probe_report", omit_defaults=True
):
    """All probes of one process. Retained; the newest wins."""

    process: ProcessName
    boot: BootId
    time: float
    probes: tuple[ProbeStatus, ...] = ()
    budget: float = 0.01
    """Of one core, 0 to 1, that all probes together may use over ten seconds."""
    cpu: float = 0.0
    """What they used."""
    lost: int = 0
    """Results that were dropped because nobody took them."""
    cause: str | None = None


# What is captured ---------------------------------------------------------------------------------------------


class Value(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value, as far as it was taken. Which fields there are tells what it is: a text, a container, an object."""

    type: str
    value: str | None = None
    """As Python would show it."""
    size: int | None = None
    items: tuple["Value", ...] | None = None
    entries: tuple[tuple["Value", "Value"], ...] | None = None
    fields: tuple[tuple[str, "Value"], ...] | None = None
    id: int | None = None
    seen: bool = False
    """It stands further up, with the same `id`."""
    cut: Literal["depth", "items", "length", "fields", "bytes", "time"] | None = None
    redacted: bool = False
    note: str = ""
    """A summary in place of data, such as `float32 (3, 4)`."""


class CapturedFrame(Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    line: int
    function: str
    module: str = ""
    locals: tuple[tuple[str, Value], ...] | None = None
    """None: of this frame they were not wanted."""


class CapturedExpression(Struct, frozen=True, kw_only=True, omit_defaults=True):
    text: str
    node: Value | None = None
    error: str = ""


class CapturedThread(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: int
    name: str = ""


class CapturedTask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    coroutine: str = ""


class CapturedException(Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    message: str = ""
    caught: bool | None = None
    """None: that is not known where it is raised."""


class Captured(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One look into a process: the innermost frame first."""

    frames: tuple[CapturedFrame, ...]
    thread: CapturedThread
    duration: float
    """Seconds that it took, in the program's own thread."""
    expressions: tuple[CapturedExpression, ...] = ()
    task: CapturedTask | None = None
    context: dict[str, Value] = {}
    """Context variables of plain values, and the trace and span of OpenTelemetry."""
    exception: CapturedException | None = None
