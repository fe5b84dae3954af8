"""When the tap connects, greets, serves and waits: a pure core.

            +---- Waited ------------------------------+
            v                                          |
    CONNECTING -- Connected --> GREETING               |
        |                          | Welcome           |
        | NotConnected             v                   |
        |                       SERVING -- Call: Answer|
        |                          | Lost              |
        +-----------------------> WAITING -------------+     full jitter, 0.1 s doubling to 10 s

    GREETING -- Refusal --> REFUSED      CONNECTING -- Hopeless --> STOPPED      any -- Leave --> STOPPED

REFUSED and STOPPED are the end. What does not belong in a state loses the line: the peer is not a sidecar of
ours. The wait starts small again only after a line that lasted, so that a sidecar which welcomes and drops us
is not asked without pause.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from sonde_agent import link

SHORTEST_WAIT = 0.1
LONGEST_WAIT = 10.0
LASTING = 10.0
"""Seconds after which a line counts as good."""


class State(Enum):
    CONNECTING = "connecting"
    GREETING = "greeting"
    SERVING = "serving"
    WAITING = "waiting"
    REFUSED = "refused"
    STOPPED = "stopped"


ENDED = frozenset({State.REFUSED, State.STOPPED})


@dataclass(frozen=True)
class Connected:
    pass


@dataclass(frozen=True)
class NotConnected:
    """`reason` is a sentence for people, here and below."""

    reason: str


@dataclass(frozen=True)
class Hopeless:
    """There is no sidecar, and trying again would not bring one."""

    reason: str


@dataclass(frozen=True)
class Arrived:
    message: link.Message


@dataclass(frozen=True)
class Lost:
    reason: str


@dataclass(frozen=True)
class Waited:
    pass


@dataclass(frozen=True)
class Leave:
    """The program stops the tap, or ends (then with its last word)."""

    ending: link.Ending | None = None


Event = Connected | NotConnected | Hopeless | Arrived | Lost | Waited | Leave


@dataclass(frozen=True)
class Connect:
    pass


@dataclass(frozen=True)
class Greet:
    pass


@dataclass(frozen=True)
class Answer:
    call: link.Call


@dataclass(frozen=True)
class Say:
    message: link.Ending


@dataclass(frozen=True)
class HangUp:
    pass


@dataclass(frozen=True)
class ReleaseDebugger:
    """Nobody is left who could answer for an attached debugger."""


@dataclass(frozen=True)
class Wait:
    seconds: float


Effect = Connect | Greet | Answer | Say | HangUp | ReleaseDebugger | Wait


class Connection:
    """`chance` gives a number in [0, 1); `now` is monotonic. `process` is the name the sidecar knows us under,
    `reason` why the state is what it is, for people."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._failures = 0
        self._served_since = 0.0
        self.state = State.CONNECTING
        self.process = ""
        self.reason = ""

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
            case State.GREETING, Arrived(message=link.Welcome(version=link.VERSION, process=process)):
                self.process = process
                self._served_since = now
                self._become(State.SERVING)
            case State.GREETING, Arrived(message=link.Welcome(version=version)):
                yield HangUp()
                self._become(State.REFUSED, f"the sidecar speaks version {version}, this tap {link.VERSION}")
            case State.GREETING, Arrived(message=link.Refusal(message=message)):
                yield HangUp()
                self._become(State.REFUSED, message)
            case State.SERVING, Arrived(message=link.Call() as call):
                yield Answer(call)
            case State.WAITING, Waited():
                self._become(State.CONNECTING, self.reason)
                yield Connect()
            case State.WAITING, _:
                return
            case _, NotConnected(reason=reason) | Lost(reason=reason):
                yield from self._try_again(reason, now)
            case _:
                yield from self._try_again("the sidecar said something that does not belong here", now)

    def _try_again(self, reason: str, now: float) -> Iterator[Effect]:
        yield from self._hang_up()
        if self.state is State.SERVING and now - self._served_since >= LASTING:
            self._failures = 0
        longest = min(LONGEST_WAIT, SHORTEST_WAIT * 2 ** min(self._failures, 16))
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
