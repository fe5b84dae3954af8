import pytest

from sonde_agent.sidecar.dap.channel import Channel, Incoming, body_of, read
from sonde_wire import MalformedMessage, codec


def response(to: int) -> Incoming:
    return Incoming(type="response", request_seq=to)


def test_requests_are_numbered_and_answers_find_who_asked() -> None:
    channel: Channel[str] = Channel()
    first = codec.decode_any(channel.ask("threads", {}, "ada", 10.0))
    second = codec.decode_any(channel.ask("next", {"threadId": 1}, "eve", 10.0))
    assert first == {"seq": 1, "type": "request", "command": "threads"}
    assert second["arguments"] == {"threadId": 1}
    answered = channel.answered(response(2))
    assert answered is not None and (answered.tag, answered.command) == ("eve", "next")
    assert channel.answered(response(2)) is None


def test_what_is_not_answered_in_time_expires_once() -> None:
    channel: Channel[str] = Channel()
    channel.ask("threads", {}, "ada", 10.0)
    channel.ask("modules", {}, "eve", 5.0)
    assert channel.next_deadline == 5.0
    assert channel.expired(4.9) == []
    assert [asked.tag for asked in channel.expired(5.0)] == ["eve"]
    assert channel.answered(response(2)) is None
    assert channel.next_deadline == 10.0
    assert [asked.tag for asked in channel.abandon()] == ["ada"]
    assert channel.next_deadline is None


def test_a_message_without_a_body_has_an_empty_one() -> None:
    assert body_of(read(b'{"type":"event","event":"x"}')) == {}
    assert body_of(read(b'{"type":"event","event":"x","body":null}')) == {}
    assert body_of(read(b'{"type":"event","event":"x","body":{"a":1}}')) == {"a": 1}
    with pytest.raises(MalformedMessage):
        read(b'{"type":"question"}')
