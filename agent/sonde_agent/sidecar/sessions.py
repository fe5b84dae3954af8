"""The sessions of one process, and everything that is said to them. Pure.

What is said becomes effects, which collect in `out` until whoever handles the event takes them.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from sonde_agent.sidecar import effects as e
from sonde_agent.sidecar.asks import Asker, Response
from sonde_agent.sidecar.breakpoints import News
from sonde_agent.sidecar.dap.channel import Incoming
from sonde_agent.sidecar.redacting import Redacting
from sonde_wire import Code, Failure, Reason, bus, codec

MOST_SESSIONS = 32
MOST_BODY = 8 * 1024 * 1024
"""Bytes of one answer; a larger one is refused instead of put on the bus."""
MOST_TEXT = 100_000
"""Characters of one text in an event, what the program printed at once, say. Brokers take no event over 1 MiB."""


class Session(Struct):
    """`waiting` is the command that opened it, until it is answered; `seq` numbers our messages to it."""

    id: str
    viewer: str
    broker: str
    opened: float
    waiting: str | None
    name: str
    metadata: dict[str, str]
    seq: int = 0


class Sessions:
    def __init__(self, redacting: Redacting) -> None:
        self._redacting = redacting
        self._sessions: dict[str, Session] = {}
        self.out: list[e.Effect] = []

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, session: str) -> Session | None:
        return self._sessions.get(session)

    @property
    def infos(self) -> tuple[bus.SessionInfo, ...]:
        """Those that are open."""
        return tuple(
            bus.SessionInfo(session=each.id, viewer=each.viewer, opened=each.opened, name=each.name)
            for each in self
            if each.waiting is None
        )

    def add(self, event: e.OpenAsked) -> Session | None:
        """None: it was refused."""
        if event.session in self._sessions:
            self.refuse(
                event.command, Code.ALREADY_EXISTS, Reason.INVALID_PARAMS, "this session is already open"
            )
            return None
        if len(self) >= MOST_SESSIONS:
            self.refuse(
                event.command,
                Code.RESOURCE_EXHAUSTED,
                Reason.TOO_MANY,
                f"{MOST_SESSIONS} sessions debug this process already; close one first",
            )
            return None
        session = Session(
            id=event.session,
            viewer=event.viewer,
            broker=event.broker,
            opened=event.time,
            waiting=event.command,
            name=event.name,
            metadata=event.metadata,
        )
        self._sessions[session.id] = session
        return session

    def remove(self, session: Session) -> None:
        del self._sessions[session.id]

    def own(self, command: str, session: str, viewer: str) -> Session | None:
        """The viewer's session; anybody else's is answered as if it did not exist."""
        found = self._sessions.get(session)
        if found is not None and found.viewer == viewer:
            return found
        self.refuse(
            command, Code.NOT_FOUND, Reason.UNKNOWN_SESSION, "there is no such session; open one first"
        )
        return None

    # Answers --------------------------------------------------------------------------------------------------

    def answer(self, command: str, result: Struct) -> None:
        self.out.append(e.Answer(command=command, result=codec.raw(result)))

    def fail(self, command: str, failure: Failure) -> None:
        self.out.append(e.Answer(command=command, failure=failure))

    def refuse(self, command: str, code: Code, reason: Reason, message: str) -> None:
        self.fail(command, Failure(code=code, reason=reason, message=message))

    def relay(self, asker: Asker, response: Incoming) -> None:
        """pydevd's answer, under the session's own numbers. Raises `sonde_wire.MalformedMessage`."""
        if isinstance(response.body, Raw) and len(bytes(response.body)) > MOST_BODY:
            self.refuse(
                asker.command,
                Code.RESOURCE_EXHAUSTED,
                Reason.TOO_MANY,
                f"the answer is larger than {MOST_BODY // 1024 // 1024} MiB; ask for less of it",
            )
            return
        response = self._redacting.response(asker.request, response, hides=asker.hides)
        self.respond(asker, response.body, success=response.success, message=response.message)

    def respond(
        self,
        asker: Asker,
        body: dict[str, Any] | Raw | UnsetType = UNSET,
        *,
        success: bool = True,
        message: str | None = None,
    ) -> None:
        session = self._sessions.get(asker.session)
        if session is None:
            self.refuse(
                asker.command, Code.ABORTED, Reason.UNKNOWN_SESSION, "the session was closed meanwhile"
            )
            return
        session.seq += 1
        response = Response(
            seq=session.seq,
            type="response",
            request_seq=asker.seq,
            success=success,
            command=asker.request,
            message=UNSET if message is None else message,
            body=body,
        )
        self.answer(asker.command, response)

    # Events ---------------------------------------------------------------------------------------------------

    def tell(
        self, kind: type[bus.Event], session: str | None = None, cause: str | None = None, **fields: Any
    ) -> None:
        self.out.append(e.Tell(kind=kind, fields=fields, session=session, cause=cause))

    def tell_opened(self, session: Session, cause: str) -> None:
        fields = {"viewer": session.viewer, "name": session.name, "metadata": session.metadata}
        self.tell(bus.SessionOpened, session.id, cause, **fields)

    def tell_dap(self, event: str, body: dict[str, Any], session: str | None = None) -> None:
        told = {key: _cut(value) for key, value in body.items()}
        message = codec.raw({"type": "event", "event": event, "body": told})
        self.tell(bus.Output if event == "output" else bus.DapEvent, session, message=message)

    def tell_breakpoints(self, news: list[News], answered: str | None = None) -> None:
        """To everybody how they look now, and to whose they are what has changed; `answered` is the session that
        has just had them as its answer."""
        for each in news:
            self.tell(
                bus.BreakpointsChanged,
                breakpoints=breakpoint_set(each.session, each.place, each.breakpoints),
            )
            if each.session != answered:
                for body in each.changed:
                    self.tell_dap("breakpoint", {"reason": "changed", "breakpoint": body}, each.session)


def _cut(value: Any) -> Any:
    if not isinstance(value, str) or len(value) <= MOST_TEXT:
        return value
    return f"{value[:MOST_TEXT]}... ({len(value) - MOST_TEXT} characters more)\n"


def breakpoint_set(
    owner: str, place: str | None, breakpoints: tuple[dict[str, Any], ...] | list[dict[str, Any]]
) -> bus.BreakpointSet:
    return bus.BreakpointSet(
        owner=owner, path=place, breakpoints=tuple(codec.raw(each) for each in breakpoints)
    )
