"""The viewer's half of the JSON-RPC conversation, without a socket: what was asked, what a frame means.

A call is WAITING from `ask` until one of these moves it away:

    a response with its id     -> Answered or Failed
    `forget` (deadline passed) -> gone; a response that comes later is dropped
    `lose` (the line broke)    -> every waiting call is handed back, once

A frame that is not JSON-RPC, or an error that names no call, breaks the conversation (`Broken`): from then on
nobody could tell which answer belongs to whom. Notifications of an unknown name are dropped, so that a newer
broker can send some.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from sonde_wire import Failure, MalformedMessage, bus, codec, rpc


class Answered(Struct, frozen=True):
    id: int
    result: Raw


class Failed(Struct, frozen=True):
    id: int
    failure: Failure


class PresenceArrived(Struct, frozen=True):
    items: tuple[bus.Presence, ...]


class EventsArrived(Struct, frozen=True):
    items: tuple[bus.AnyEvent, ...]
    unreadable: int
    """Events of a kind that this version does not know."""


class MetricsArrived(Struct, frozen=True):
    items: tuple[bus.Metrics, ...]


class ProbesArrived(Struct, frozen=True):
    items: tuple[rpc.ProbeInfo, ...]


class GapNoticed(Struct, frozen=True):
    gap: rpc.Gap


class BusChanged(Struct, frozen=True):
    bus: Literal["up", "down"]


class StoreChanged(Struct, frozen=True):
    status: rpc.StoreStatus


class Broken(Struct, frozen=True):
    problem: str


Effect = (
    Answered
    | Failed
    | PresenceArrived
    | EventsArrived
    | MetricsArrived
    | ProbesArrived
    | GapNoticed
    | BusChanged
    | StoreChanged
    | Broken
)


class _Frame(Struct, frozen=True, kw_only=True):
    """Whatever may arrive: a response has an id, a notification a method."""

    jsonrpc: Literal["2.0"]
    id: rpc.RequestId | UnsetType | None = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: rpc.Error | UnsetType = UNSET


class Calls:
    def __init__(self) -> None:
        self._last_id = 0
        self._waiting: dict[int, str] = {}

    def ask(self, method: str, params: rpc.Params, trace: tuple[str, str] = ("", "")) -> tuple[int, bytes]:
        """The id of the new call, and the frame to send. `trace`: the caller's traceparent and tracestate."""
        self._last_id += 1
        self._waiting[self._last_id] = method
        request = rpc.Request(
            jsonrpc="2.0",
            id=self._last_id,
            method=method,
            params=codec.raw(params),
            traceparent=trace[0],
            tracestate=trace[1],
        )
        return self._last_id, codec.encode(request)

    def forget(self, id: int) -> None:
        self._waiting.pop(id, None)

    def lose(self) -> tuple[int, ...]:
        lost = tuple(self._waiting)
        self._waiting.clear()
        return lost

    def receive(self, frame: bytes | str) -> Effect | None:
        try:
            message = codec.decode(frame, _Frame)
            if not isinstance(message.id, UnsetType):
                return self._response(message)
            if isinstance(message.method, UnsetType) or isinstance(message.params, UnsetType):
                return Broken("a frame is neither a response nor a notification")
            return _notification(message.method, message.params)
        except MalformedMessage as error:
            return Broken(str(error))

    def _response(self, message: _Frame) -> Effect | None:
        if not isinstance(message.id, int):
            said = "" if isinstance(message.error, UnsetType) else f": {message.error.message}"
            return Broken(f"the broker could not read a request{said}")
        if self._waiting.pop(message.id, None) is None:
            return None
        if not isinstance(message.error, UnsetType):
            return Failed(message.id, message.error.failure)
        if isinstance(message.result, UnsetType):
            return Broken("a response has neither result nor error")
        return Answered(message.id, message.result)


def _notification(name: str, params: Raw) -> Effect | None:
    match name:
        case "presence":
            presence = codec.decode(params, rpc.PresenceItems).presence
            return PresenceArrived(tuple(codec.decode(item, bus.Presence) for item in presence))
        case "metrics":
            metrics = codec.decode(params, rpc.MetricItems).metrics
            return MetricsArrived(tuple(codec.decode(item, bus.Metrics) for item in metrics))
        case "events":
            return read_events(codec.decode(params, rpc.EventItems).events)
        case "probes":
            return ProbesArrived(codec.decode(params, rpc.ProbeItems).probes)
        case "gap":
            return GapNoticed(codec.decode(params, rpc.Gap))
        case "bus":
            return BusChanged(codec.decode(params, rpc.BusStatus).bus)
        case "store":
            return StoreChanged(codec.decode(params, rpc.StoreStatus))
        case _:
            return None


def read_events(items: tuple[Raw, ...]) -> EventsArrived:
    """One event of a kind that is new to this version must not take its neighbours with it."""
    known: list[bus.AnyEvent] = []
    for item in items:
        event = _event(item)
        if event is not None:
            known.append(event)
    return EventsArrived(tuple(known), len(items) - len(known))


def _event(item: Raw) -> bus.AnyEvent | None:
    try:
        event: bus.AnyEvent = codec.decode(item, bus.AnyEvent)  # type: ignore[arg-type]  # a union is no type[T]
        return event
    except MalformedMessage:
        return None
