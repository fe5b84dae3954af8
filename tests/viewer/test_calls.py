from typing import Any

import pytest

from sonde_viewer import calls
from sonde_wire import Code, Failure, Reason, codec, rpc
from tests.viewer.fake_broker import BOOT, SHOP


def a_frame(**fields: Any) -> bytes:
    return codec.encode({"jsonrpc": "2.0", **fields})


def a_call() -> tuple[calls.Calls, int]:
    core = calls.Calls()
    number, _ = core.ask("whoami", rpc.Nothing())
    return core, number


def test_a_call_is_a_json_rpc_request_with_an_id_of_its_own() -> None:
    core = calls.Calls()
    first, frame = core.ask("process.list", rpc.ListProcesses(selector="default/shop/*"))
    second, _ = core.ask("whoami", rpc.Nothing())
    assert codec.decode_any(frame) == {
        "jsonrpc": "2.0",
        "id": first,
        "method": "process.list",
        "params": {"selector": "default/shop/*"},
    }
    assert first != second


def test_a_response_answers_its_call_once() -> None:
    core, number = a_call()
    frame = a_frame(id=number, result={"x": 1})
    answer = core.receive(frame)
    assert isinstance(answer, calls.Answered)
    assert (answer.id, codec.decode_any(answer.result)) == (number, {"x": 1})
    assert core.receive(frame) is None


def test_responses_may_come_in_any_order() -> None:
    core = calls.Calls()
    first, _ = core.ask("whoami", rpc.Nothing())
    second, _ = core.ask("whoami", rpc.Nothing())
    effects = [core.receive(a_frame(id=number, result={})) for number in (second, first)]
    assert [effect.id for effect in effects if isinstance(effect, calls.Answered)] == [second, first]


def test_an_error_fails_its_call_with_code_and_reason() -> None:
    core, number = a_call()
    failure = Failure(code=Code.NOT_FOUND, reason=Reason.UNKNOWN_PROCESS, message="no such process")
    response = rpc.Response(id=number, error=rpc.Error.of(failure))
    assert core.receive(codec.encode(response)) == calls.Failed(number, failure)


def test_an_answer_after_its_deadline_is_dropped() -> None:
    core, number = a_call()
    core.forget(number)
    assert core.receive(a_frame(id=number, result={})) is None


def test_a_lost_line_hands_back_each_waiting_call_once() -> None:
    core, number = a_call()
    assert core.lose() == (number,)
    assert core.lose() == ()


@pytest.mark.parametrize(
    "frame",
    [
        b"not json",
        b"[]",
        a_frame(),
        a_frame(method="presence"),
        a_frame(method="presence", params={"presence": [{"type": "presence"}]}),
        a_frame(id=None, error={"code": -32700, "message": "?", "data": {}}),
    ],
)
def test_what_is_not_json_rpc_breaks_the_conversation(frame: bytes) -> None:
    assert isinstance(calls.Calls().receive(frame), calls.Broken)


def test_an_error_without_an_id_breaks_the_conversation_and_says_why() -> None:
    failure = Failure(code=Code.INVALID_ARGUMENT, reason=Reason.MALFORMED_MESSAGE, message="not JSON")
    broken = calls.Calls().receive(codec.encode(rpc.Response(id=None, error=rpc.Error.of(failure))))
    assert broken == calls.Broken("the broker could not read a request: not JSON")


def test_a_response_with_neither_result_nor_error_breaks_the_conversation() -> None:
    core, number = a_call()
    assert isinstance(core.receive(a_frame(id=number)), calls.Broken)


def test_a_notification_of_a_newer_broker_is_dropped() -> None:
    assert calls.Calls().receive(a_frame(method="weather", params={})) is None


def test_presence_is_decoded() -> None:
    frame = codec.encode(
        rpc.Notification(method="presence", params=codec.raw(rpc.PresenceItems(presence=(codec.raw(SHOP),))))
    )
    assert calls.Calls().receive(frame) == calls.PresenceArrived((SHOP,))


def test_an_event_of_an_unknown_kind_does_not_take_its_neighbours_with_it() -> None:
    common = {"process": SHOP.process, "boot": BOOT, "time": 1.0}
    events = [
        {"type": "process_started", "seq": 1, "pid": 3, **common},
        {"type": "weather", "seq": 2, **common},
        {"type": "session_opened", "seq": 3, "viewer": "ada", "session": "s1", **common},
    ]
    arrived = calls.Calls().receive(a_frame(method="events", params={"events": events}))
    assert isinstance(arrived, calls.EventsArrived)
    assert [event.seq for event in arrived.items] == [1, 3]
    assert arrived.unreadable == 1


def test_a_gap_and_the_state_of_the_bus_are_told() -> None:
    core = calls.Calls()
    gap = {"process": SHOP.process, "boot": BOOT, "first": 3, "last": 5}
    assert core.receive(a_frame(method="gap", params=gap)) == calls.GapNoticed(rpc.Gap(**gap))  # type: ignore[arg-type]  # a mapping of its own fields
    assert core.receive(a_frame(method="bus", params={"bus": "down"})) == calls.BusChanged("down")
