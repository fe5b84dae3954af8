"""A relay without any face, and words to play with it."""

import json
from typing import Any, cast

import msgspec
from msgspec import UNSET

from sonde_broker import ingress
from sonde_broker.calls import Call, read_call
from sonde_broker.relay import Relay
from sonde_broker.relay_io import (
    BusUp,
    CloseViewer,
    Deliver,
    Effect,
    EventsSeen,
    Happening,
    Instant,
    Listen,
    Listening,
    MetricsSeen,
    PresenceSeen,
    Publish,
    ReplySeen,
    Send,
    TimePassed,
    ViewerCalled,
    ViewerJoined,
)
from sonde_broker.tokens import Claims, verify
from sonde_wire import Address, Failure, bus, codec, topics
from tests.broker.messages import BOOT, CHECKOUT
from tests.broker.tokens import RULES, claims

DIGITS = str.maketrans("0189", "abcd")
"""A probe's id has no such digits."""


class Stage:
    """Both clocks start at 1000. Every verb returns the effects of what happened."""

    def __init__(self, *, bus_up: bool = True, broker: str = "b1") -> None:
        self.now = 1000.0
        self.confirms = True
        self._ids = 0
        self._probes = 0
        self.relay = Relay(
            broker=broker,
            version="1",
            verify=lambda token, now: verify(token, RULES, now),
            new_id=self._new_id,
            new_probe=self._new_probe,
        )
        if bus_up:
            self.tell(BusUp())

    def _new_id(self) -> str:
        self._ids += 1
        return f"id{self._ids}"

    def _new_probe(self) -> str:
        self._probes += 1
        return f"probe{self._probes:05d}".translate(DIGITS)

    def tell(self, happening: Happening) -> list[Effect]:
        """The bus confirms at once what is subscribed, unless `confirms` says otherwise."""
        effects = self.relay.handle(happening, Instant(self.now, self.now))
        if self.confirms:
            for listen in [each for each in effects if isinstance(each, Listen)]:
                effects += self.tell(Listening(listen.filters))
        return effects

    def after(self, seconds: float) -> list[Effect]:
        """Time passes; the relay is told at each of its deadlines, as a face would."""
        effects: list[Effect] = []
        end = self.now + seconds
        while (due := self.relay.deadline()) is not None and due <= end:
            self.now = due
            effects += self.tell(TimePassed())
        self.now = end
        return effects

    def join(self, viewer: str, who: Claims | None = None) -> list[Effect]:
        return self.tell(ViewerJoined(viewer, who or claims(viewer)))

    def call(self, viewer: str, method: str, id: int = 1, **params: Any) -> list[Effect]:
        request = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        call = read_call(json.dumps(request))
        assert isinstance(call, Call), call
        return self.tell(ViewerCalled(viewer, call))

    def presence(self, message: bus.Presence) -> list[Effect]:
        return self.tell(PresenceSeen(Address.parse(message.process), message, codec.encode(message)))

    def events(self, batch: bus.EventBatch) -> list[Effect]:
        """As it would come from the bus."""
        topic = topics.of_process(Address.parse(batch.process), topics.Channel.EVENTS)
        seen = ingress.read(topic, codec.encode(batch), "b1")
        assert isinstance(seen, EventsSeen)
        return self.tell(seen)

    def metrics(self, message: bus.Metrics) -> list[Effect]:
        return self.tell(MetricsSeen(Address.parse(message.process), codec.encode(message)))

    def reply(
        self,
        cause: str,
        result: Any = None,
        *,
        failure: Failure | None = None,
        process: str = CHECKOUT,
        boot: str = BOOT,
    ) -> list[Effect]:
        encoded = UNSET if failure else codec.raw({} if result is None else result)
        reply = bus.Reply(process=process, boot=boot, cause=cause, result=encoded, failure=failure)
        return self.tell(ReplySeen(codec.decode(codec.encode(reply), bus.Reply)))

    def open_session(self, viewer: str) -> str:
        """The id of a session that the process has opened."""
        [command] = commands(self.call(viewer, "session.open", process=CHECKOUT))
        assert isinstance(command.operation, bus.OpenSession)
        self.reply(command.id, {"session": command.operation.session})
        return command.operation.session

    def dap(self, viewer: str, session: str, command: str = "threads", **arguments: Any) -> list[Effect]:
        request = {"seq": 1, "type": "request", "command": command, "arguments": arguments}
        return self.call(viewer, "dap", session=session, request=request)


def answer(effects: list[Effect]) -> dict[str, Any]:
    """The result of the one answer among them."""
    return cast("dict[str, Any]", _response(effects)["result"])


def error(effects: list[Effect]) -> tuple[str, str]:
    """Code and reason of the one answer among them."""
    data = _response(effects)["error"]["data"]
    return data["code"], data["reason"]


def message(effects: list[Effect]) -> str:
    return str(_response(effects)["error"]["message"])


def _response(effects: list[Effect]) -> dict[str, Any]:
    [response] = [each for each in sent(effects) if "id" in each]
    return response


def sent(effects: list[Effect], viewer: str | None = None) -> list[dict[str, Any]]:
    """What goes to a viewer at once (None: to anybody)."""
    return [
        msgspec.json.decode(effect.payload)
        for effect in effects
        if isinstance(effect, Send) and viewer in {None, effect.viewer}
    ]


def commands(effects: list[Effect]) -> list[bus.Command]:
    return [
        codec.decode(effect.payload, bus.Command)
        for effect in effects
        if isinstance(effect, Publish) and effect.topic.endswith("/commands")
    ]


def delivered(effects: list[Effect], viewer: str, topic: str) -> list[dict[str, Any]]:
    """The items of a topic that a viewer is notified of."""
    items: list[dict[str, Any]] = []
    for effect in effects:
        if isinstance(effect, Deliver) and viewer in effect.viewers:
            for frame in effect.frames:
                if frame.topic == topic:
                    items += msgspec.json.decode(frame.payload)["params"][topic]
    return items


def closed(effects: list[Effect]) -> list[tuple[str, int]]:
    return [(effect.viewer, effect.code) for effect in effects if isinstance(effect, CloseViewer)]
