"""What can go wrong between a viewer and its broker.

ViewerError
 +-- InvalidTarget      nothing says where the broker is, or it is not a URL (the caller's fault)
 +-- InvalidProbe       what was asked for cannot be a probe (the caller's fault)
 +-- UnknownProcess     no process has that name
 +-- AmbiguousProcess   several have it
 +-- UnknownProbe       no probe has that id or name, or several have it
 +-- UnknownSession     no recorded session has that id or name, or several begin so
 +-- Refused            the broker or the process said no: a code, a reason, a sentence (policy, or state)
 |    +-- NotDriver     ... because another session drives
 +-- NoAnswer           a deadline passed
 +-- DapError           the debugger answered a request with `success: false`
 +-- SessionClosed      the debug session ended while it was used
 +-- ConnectionLost     the line to the broker could not be made, or broke
      +-- ConnectionDenied   ... because of the token; also a Refused
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sonde_wire
from sonde_wire import Code, Failure, Reason, rpc


class ViewerError(Exception):
    """Root. The text of each is a sentence for people that says what to do next."""


class InvalidTarget(ViewerError, ValueError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.problem}; start one here with `sonde up`, or name one with --url and --token"


class InvalidProbe(ViewerError, ValueError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class UnknownProcess(ViewerError, LookupError):
    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(name, tuple(known))
        self.name = name
        self.known = tuple(known)

    def __str__(self) -> str:
        there = f"there are {_listed(self.known)}" if self.known else "none is there yet"
        return f"no process is called {self.name!r}; {there} (`sonde ps` lists them)"


class AmbiguousProcess(ViewerError, LookupError):
    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        super().__init__(name, tuple(candidates))
        self.name = name
        self.candidates = tuple(candidates)

    def __str__(self) -> str:
        return f"{self.name!r} could be {_listed(self.candidates)}; name one of them in full"


class UnknownProbe(ViewerError, LookupError):
    """`candidates` are the ids of those that it could be."""

    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        super().__init__(name, tuple(candidates))
        self.name = name
        self.candidates = tuple(candidates)

    def __str__(self) -> str:
        if self.candidates:
            return f"{self.name!r} could be {_listed(self.candidates)}; name one of them in full"
        return f"no probe is called {self.name!r} (`sonde probes ls --ended` lists them)"


class UnknownSession(ViewerError, LookupError):
    """Of the past. `candidates` are the ids of those that it could be."""

    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        super().__init__(name, tuple(candidates))
        self.name = name
        self.candidates = tuple(candidates)

    def __str__(self) -> str:
        if self.candidates:
            return f"{self.name!r} could be {_listed(self.candidates)}; name one of them in full"
        return f"no recorded session is called {self.name!r} (`sonde sessions ls` lists them)"


class Refused(ViewerError, sonde_wire.Refused):
    """The broker's or the process's refusal, as the wire carries it (`sonde_wire.errors`)."""

    def __init__(self, failure: Failure) -> None:
        sonde_wire.Refused.__init__(self, failure.code, failure.reason, failure.message)

    @property
    def code(self) -> Code:
        return self.failure.code

    @property
    def reason(self) -> Reason:
        return self.failure.reason

    @property
    def message(self) -> str:
        return self.failure.message


class NotDriver(Refused):
    """`driver` is the subject of the viewer who drives, or None where that is not known."""

    def __init__(self, failure: Failure, driver: str | None) -> None:
        super().__init__(failure)
        self.driver = driver

    def __str__(self) -> str:
        if self.driver is None:
            return self.message
        return (
            f"{self.driver} drives: `ask_for_seat` asks for the seat, which is yours when the driver grants it or "
            "does nothing for 30 s"
        )


class NoAnswer(ViewerError, TimeoutError):
    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what, seconds)
        self.what = what
        self.seconds = seconds

    def __str__(self) -> str:
        return f"no {self.what} within {self.seconds:g} s"


class DapError(ViewerError):
    """`response` is the whole DAP response."""

    def __init__(self, command: str, response: Mapping[str, Any]) -> None:
        super().__init__(command, response)
        self.command = command
        self.response = response

    @property
    def message(self) -> str:
        body = self.response.get("body")
        error = body.get("error") if isinstance(body, dict) else None
        detailed = error.get("format") if isinstance(error, dict) else None
        return str(self.response.get("message") or detailed or "the debugger gave no reason")

    def __str__(self) -> str:
        return f"{self.command}: {self.message}"


_WHY_CLOSED = {
    "viewer_left": "this viewer left it",
    "broker_lost": "the process no longer hears this broker",
    "bus_lost": "the process lost its bus",
    "process_ended": "the process ended",
    "debugger_lost": "the debugger in the process was lost",
}


class SessionClosed(ViewerError):
    """`reason` is that of the wire's `session_closed` event."""

    def __init__(self, process: str, reason: str) -> None:
        super().__init__(process, reason)
        self.process = process
        self.reason = reason

    def __str__(self) -> str:
        why = _WHY_CLOSED.get(self.reason, self.reason)
        return f"the debug session on {self.process} is closed: {why}"


class ConnectionLost(ViewerError, ConnectionError):
    """`close_code` is the WebSocket's, or None when there was none."""

    def __init__(self, problem: str, close_code: int | None = None) -> None:
        Exception.__init__(self, problem, close_code)
        self.problem = problem
        self.close_code = close_code

    def __str__(self) -> str:
        return self.problem


class ConnectionDenied(ConnectionLost, Refused):
    """The broker does not take this token, or no longer."""

    def __init__(self, failure: Failure, close_code: int) -> None:
        Refused.__init__(self, failure)
        self.problem = failure.message
        self.close_code = close_code


_DENIED = {
    rpc.CLOSE_UNAUTHENTICATED: Failure(
        code=Code.UNAUTHENTICATED,
        reason=Reason.BAD_TOKEN,
        message="the broker does not take this token: it is wrong or has expired; get a fresh one, with `sonde "
        "token issue` on the broker's machine",
    ),
}
_LOST = {
    1000: "the broker closed the connection",
    1001: "the broker is shutting down; connect again when it is back",
    1011: "the broker failed; its log says why",
    1012: "the broker is restarting; connect again in a moment",
    1013: "the broker is busy; connect again in a moment",
    rpc.CLOSE_BAD_MESSAGE: "the broker did not understand this viewer; are both of the same version?",
    rpc.CLOSE_SLOW_VIEWER: "the broker gave this viewer up because it read too slowly; connect again and watch "
    "fewer processes",
}


def closed(code: int | None) -> ConnectionLost:
    """The error for a WebSocket that closed with that code (RFC 6455, section 7.4; 44xx are Sonde's own)."""
    if code is not None and code in _DENIED:
        return ConnectionDenied(_DENIED[code], code)
    if code is not None and code in _LOST:
        return ConnectionLost(_LOST[code], code)
    if code is None or code == 1006:
        return ConnectionLost("the line to the broker broke; connect again", code)
    return ConnectionLost(f"the broker closed the connection with code {code}", code)


def denied(status: int) -> ConnectionLost:
    """The error for a handshake that was answered with an HTTP status other than 101."""
    if status == 401:
        return closed(rpc.CLOSE_UNAUTHENTICATED)
    if status == 403:
        return ConnectionLost(
            "the broker does not answer to this name; it is told its names with --allow-host"
        )
    return ConnectionLost(
        f"what answers there is not a Sonde broker, or not a ready one (HTTP status {status})"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
