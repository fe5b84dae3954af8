"""When the tap connects, greets, serves and waits: a pure core.

            +---- Waited ------------------------------+
            v                                          |
    CONNECTING -- Connected --> GREETING               |
        |                          | Welcome           |
        | NotConnected             v                   |
        |                       SERVING -- Call: Answer|
        |                          | Lost              |
        +-----------------------> WAITING -------------+     full jitter, 0.1 s doubling to 10 s or 2

    GREETING -- Refusal --> REFUSED      CONNECTING -- Hopeless --> STOPPED      any -- Leave --> STOPPED

While it is SERVING, a Report goes out at once and then each second, by `report_at`; what probes brought as it comes.

REFUSED and STOPPED are the end. What does not belong in a state loses the line: the peer is not a sidecar of
ours. The wait starts small again only after a line that lasted, so that a sidecar which welcomes and drops us
is not asked without pause.
"""

from collections.abc import Callable, Iterator
from enum import Enum

from sonde_agent import link
from sonde_agent.records import Record

SHORTEST_WAIT = 0.1
LONGEST_WAIT = 10.0
LONGEST_WAIT_FOR_NAMED = 2.0
"""Seconds; for a sidecar that somebody else starts and ends, and that is not started by asking for it."""
LASTING = 10.0
"""Seconds after which a line counts as good."""
REPORT_EVERY = 1.0
"""Seconds."""


class State(Enum):
    CONNECTING = "connecting"
    GREETING = "greeting"
    SERVING = "serving"
    WAITING = "waiting"
    REFUSED = "refused"
    STOPPED = "stopped"


ENDED = frozenset({State.REFUSED, State.STOPPED})


class Connected(Record):
    pass


class NotConnected(Record):
    """`reason` is a sentence for people, here and below."""

    reason: str


class Hopeless(Record):
    """There is no sidecar, and trying again would not bring one."""

    reason: str


class Arrived(Record):
    message: link.Message


class Lost(Record):
    reason: str


class Waited(Record):
    pass


class TimePassed(Record):
    """It is `report_at`, or later."""


class Brought(Record):
    """Probes have something to send."""


class Leave(Record):
    """The program stops the tap, or ends (then with its last word)."""

    ending: link.Ending | None = None


Event = Connected | NotConnected | Hopeless | Arrived | Lost | Waited | TimePassed | Brought | Leave


class Connect(Record):
    pass


class Greet(Record):
    pass


class Answer(Record):
    call: link.Call


class Report(Record):
    """Say what the program counts."""


class Deliver(Record):
    """Send what probes brought."""


class Say(Record):
    message: link.Ending


class Redact(Record):
    """What is hidden from now on is no less than what the sidecar hides."""

    welcome: link.Welcome


class HangUp(Record):
    pass


class ReleaseDebugger(Record):
    """Nobody is left who could answer for an attached debugger."""


class Wait(Record):
    seconds: float


Effect = Connect | Greet | Answer | Report | Deliver | Say | Redact | HangUp | ReleaseDebugger | Wait


class Connection:
    """`chance` gives a number in [0, 1); `now` is monotonic. `process` is the name the sidecar knows us under and
    `numbered` how far it has numbered our events: the next sidecar is told both. `reason` says why the state is
    what it is, for people. One that `is_quiet` begins with waiting."""

    def __init__(
        self, chance: Callable[[], float], *, is_quiet: bool = False, longest_wait: float = LONGEST_WAIT
    ) -> None:
        self._chance = chance
        self._longest_wait = longest_wait
        self._failures = 0
        self._served_since = 0.0
        self._report_at = 0.0
        self.state = State.WAITING if is_quiet else State.CONNECTING
        self.process = ""
        self.numbered = 0
        self.reason = ""

    @property
    def report_at(self) -> float | None:
        """When `TimePassed` is due; None when it is not, nor will be by itself."""
        return self._report_at if self.state is State.SERVING else None

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What to do, in order. Nothing is left to do once the state is one of ENDED."""
        if self.state in ENDED:
            return []
        return list(self._effects(event, now))

    def _effects(self, event: Event, now: float) -> Iterator[Effect]:
        match self.state, event:
            case _, Leave(ending=ending):
                if self.state is State.SERVING and ending is not None:
                    yield Say(ending)
                    yield HangUp()  # a program that ends must not wait for the debugger
                else:
                    yield from self._hang_up()
                self._become(State.STOPPED, "stopped by the program")
            case State.CONNECTING, Connected():
                self._become(State.GREETING)
                yield Greet()
            case State.CONNECTING, Hopeless(reason=reason):
                self._become(State.STOPPED, reason)
            case State.GREETING, Arrived(message=link.Welcome(version=link.VERSION) as welcome):
                self.process = welcome.process
                self.numbered = welcome.numbered
                if welcome.redaction:
                    yield Redact(welcome)
                self._served_since = now
                self._become(State.SERVING)
                yield from self._report(now)
            case State.GREETING, Arrived(message=link.Welcome(version=version)):
                yield HangUp()
                self._become(State.REFUSED, f"the sidecar speaks version {version}, this tap {link.VERSION}")
            case State.GREETING, Arrived(message=link.Refusal(message=message)):
                yield HangUp()
                self._become(State.REFUSED, message)
            case State.SERVING, Arrived(message=link.Call() as call):
                yield Answer(call)
            case State.SERVING, Arrived(message=link.Numbered(upto=upto)):
                self.numbered = upto
            case State.SERVING, TimePassed():
                if now >= self._report_at:
                    yield from self._report(now)
            case State.SERVING, Brought():
                yield Deliver()
            case _, TimePassed() | Brought():
                return
            case State.WAITING, Waited():
                self._become(State.CONNECTING, self.reason)
                yield Connect()
            case State.WAITING, _:
                return
            case _, NotConnected(reason=reason) | Lost(reason=reason):
                yield from self._try_again(reason, now)
            case _:
                yield from self._try_again("the sidecar said something that does not belong here", now)

    def _report(self, now: float) -> Iterator[Effect]:
        self._report_at = now + REPORT_EVERY
        yield Report()

    def _try_again(self, reason: str, now: float) -> Iterator[Effect]:
        yield from self._hang_up()
        if self.state is State.SERVING and now - self._served_since >= LASTING:
            self._failures = 0
        longest = min(self._longest_wait, SHORTEST_WAIT * 2 ** min(self._failures, 16))
        self._failures += 1
        self._become(State.WAITING, reason)
        yield Wait(longest * self._chance())

    def _hang_up(self) -> Iterator[Effect]:
        if self.state in {State.GREETING, State.SERVING}:
            yield HangUp()
        if self.state is State.SERVING:
            yield ReleaseDebugger()

    def _become(self, state: State, reason: str = "") -> None:
        self.state = state
        self.reason = reason
