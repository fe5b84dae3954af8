"""A multiplexer on a bench: sessions, pydevd and the clock are played by hand."""

from typing import Any, TypeVar

from sonde_agent.redaction import Redaction
from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.dap.channel import Incoming
from sonde_agent.sidecar.mux import Mux
from sonde_wire import Failure, bus, codec

PROCESS, BOOT = "default/shop/a", "0" * 32
FILE = "/app/shop.py"
THREAD = {"id": 1, "name": "MainThread"}
T = TypeVar("T", bound=bus.Event)


class Bench:
    """A mux, a clock, and pydevd's part played by hand; only the threads that a joining session is told are
    answered by themselves, unless it is `slow`, and where a thread stands is refused, unless it is `locating`."""

    def __init__(
        self,
        *,
        slow: bool = False,
        locating: bool = False,
        redaction: Redaction | None = None,
        **limits: float,
    ) -> None:
        self.mux = Mux(PROCESS, BOOT, redaction=redaction, **limits)
        self.slow = slow
        self.locating = locating
        self.now = 100.0
        self.sent: list[dict[str, Any]] = []
        self.answers: dict[str, e.Answer] = {}
        self.told: list[e.Tell] = []
        self.others: list[e.Effect] = []
        self._commands = 0

    def do(self, event: e.Input, *, fresh: bool = True) -> list[e.Effect]:
        if fresh:
            self.others = []
        effects = self.mux.handle(event, self.now)
        unwanted: list[int] = []
        for effect in effects:
            match effect:
                case e.Answer():
                    assert effect.command not in self.answers, "answered twice"
                    self.answers[effect.command] = effect
                case e.Tell():
                    self.told.append(effect)
                case e.Send(body):
                    request = codec.decode_any(body)
                    if _locates(request) and not self.locating:
                        unwanted.append(request["seq"])
                    else:
                        self.sent.append(request)
                case _:
                    self.others.append(effect)
        for seq in unwanted:
            self.do(e.DebuggerSaid(answer(seq, success=False)), fresh=False)
        return effects

    def wait(self, seconds: float) -> None:
        """Passes time, and wakes the mux whenever it wants to be woken."""
        until = self.now + seconds
        while (deadline := self.mux.next_deadline) is not None and deadline <= until:
            assert deadline > self.now or deadline == until
            self.now = max(self.now, deadline)
            before = deadline
            self.do(e.TimePassed())
            assert self.mux.next_deadline != before, "it is woken for nothing"
        self.now = until

    def open(self, session: str, viewer: str = "ada", broker: str = "b1", **described: Any) -> str:
        """Described by a name and metadata."""
        command = f"open {session}"
        before = len(self.sent)
        self.do(
            e.OpenAsked(command=command, session=session, viewer=viewer, broker=broker, time=5.0, **described)
        )
        self._join(before)
        return command

    def _join(self, before: int) -> None:
        joins = [each for each in self.sent[before:] if each["command"] == "threads"]
        for each in joins if not self.slow else ():
            self.sent.remove(each)
            self.do(e.DebuggerSaid(answer(each["seq"], threads=[THREAD])), fresh=False)

    def connect(self, *early: Incoming) -> None:
        capabilities = {
            "supportsLogPoints": True,
            "supportsTerminateRequest": True,
            "supportsStepBack": False,
        }
        before = len(self.sent)
        self.do(e.DebuggerConnected(debugpy="1.8.22", capabilities=capabilities, early=early))
        self._join(before)

    def ask(
        self, session: str, request: str, viewer: str = "ada", timeout: float = 60, **arguments: Any
    ) -> str:
        self._commands += 1
        command = f"command {self._commands}"
        self.do(
            e.DapAsked(
                command=command,
                session=session,
                viewer=viewer,
                seq=self._commands + 1000,
                request=request,
                arguments=arguments,
                timeout=timeout,
            )
        )
        return command

    def seat(self, session: str, action: bus.SeatAction, viewer: str = "ada", to: str | None = None) -> str:
        self._commands += 1
        command = f"command {self._commands}"
        self.do(e.SeatAsked(command=command, session=session, viewer=viewer, action=action, to=to))
        return command

    def renew(self, session: str, viewer: str = "ada") -> bus.LeaseState:
        self._commands += 1
        command = f"command {self._commands}"
        self.do(e.RenewAsked(command=command, session=session, viewer=viewer))
        return codec.decode(self.answers[command].result or b"", bus.LeaseState)

    def say(self, event: str, **body: Any) -> None:
        self.do(e.DebuggerSaid(said(event, **body)))

    def respond(self, to: int = -1, *, success: bool = True, **body: Any) -> None:
        """To the request that pydevd got at that place in the order."""
        self.do(e.DebuggerSaid(answer(self.sent[to]["seq"], success=success, **body)))

    def requests(self, command: str) -> list[dict[str, Any]]:
        """The arguments of those that pydevd got."""
        return [each.get("arguments", {}) for each in self.sent if each["command"] == command]

    def response(self, command: str) -> dict[str, Any]:
        result = self.answers[command].result
        assert result is not None, self.answers[command].failure
        response = codec.decode_any(result)
        assert isinstance(response, dict)
        return response

    def failure(self, command: str) -> Failure:
        failure = self.answers[command].failure
        assert failure is not None
        return failure

    def dap_events(self, name: str) -> list[tuple[str | None, dict[str, Any]]]:
        events = [
            (t.session, codec.decode_any(t.fields["message"]))
            for t in self.told
            if t.kind in {bus.DapEvent, bus.Output}
        ]
        return [(session, message["body"]) for session, message in events if message["event"] == name]

    def events(self, kind: type[T]) -> list[T]:
        """Without process, boot, number and time, which others add."""
        fields: dict[str, Any] = {"process": PROCESS, "boot": BOOT, "seq": 1, "time": 0.0}
        return [kind(**fields, **each.fields) for each in self.told if each.kind is kind]

    def state(self, command: str) -> bus.SessionState:
        """That the opening of a session was answered with."""
        return codec.decode(self.answers[command].result or b"", bus.SessionState)

    def kinds(self) -> list[str]:
        return [each.kind.__name__ for each in self.told]


def _locates(request: dict[str, Any]) -> bool:
    return request["command"] == "stackTrace" and "startFrame" in request["arguments"]


def answer(to: int, *, success: bool = True, **body: Any) -> Incoming:
    return Incoming(type="response", request_seq=to, success=success, body=codec.raw(body))


def said(event: str, **body: Any) -> Incoming:
    return Incoming(type="event", event=event, body=codec.raw(body))


def stopped(bench: Bench, thread: int = 1) -> None:
    bench.say("stopped", reason="breakpoint", threadId=thread, allThreadsStopped=False)
