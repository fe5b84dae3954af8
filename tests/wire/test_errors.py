"""The closed list of codes, and what errors say."""

import pytest

from sonde_wire import codec, rpc
from sonde_wire.errors import Code, Failure, InvalidAddress, MalformedMessage, Reason, Refused, WireError


def failure(code: Code, reason: Reason = Reason.BUG) -> Failure:
    return Failure(code=code, reason=reason, message="Do this.")


def test_each_code_has_its_own_number_in_the_range_left_to_servers() -> None:
    numbers = [failure(code).rpc_code for code in Code]
    assert len(set(numbers)) == len(Code)
    assert all(-32099 <= number <= -32000 for number in numbers)


@pytest.mark.parametrize(
    ("reason", "number"),
    [(Reason.MALFORMED_MESSAGE, -32700), (Reason.UNKNOWN_METHOD, -32601), (Reason.INVALID_PARAMS, -32602)],
)
def test_json_rpc_has_its_own_number_for_some_reasons(reason: Reason, number: int) -> None:
    assert failure(Code.INVALID_ARGUMENT, reason).rpc_code == number


@pytest.mark.parametrize("code", list(Code))
@pytest.mark.parametrize("reason", list(Reason))
def test_a_failure_survives_the_way_through_json_rpc(code: Code, reason: Reason) -> None:
    sent = failure(code, reason)
    arrived = codec.decode(codec.encode(rpc.Error.of(sent)), rpc.Error)
    assert arrived.failure == sent


def test_a_code_outside_the_list_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        codec.decode(b'{"code": "teapot", "reason": "bug", "message": ""}', Failure)


def test_a_refusal_carries_its_failure_and_says_its_sentence() -> None:
    refusal = Refused(Code.NOT_FOUND, Reason.UNKNOWN_PROCESS, "No such process: run `sonde ps`.")
    assert refusal.failure == Failure(
        code=Code.NOT_FOUND, reason=Reason.UNKNOWN_PROCESS, message="No such process: run `sonde ps`."
    )
    assert str(Refused.from_failure(refusal.failure)) == "No such process: run `sonde ps`."


def test_all_errors_have_one_root() -> None:
    for kind in (InvalidAddress, MalformedMessage, Refused):
        assert issubclass(kind, WireError)


def test_what_is_malformed_is_named_and_the_payload_is_not_shown() -> None:
    with pytest.raises(MalformedMessage) as refusal:
        codec.decode(b'{"code": "s3cret", "reason": "bug", "message": "hunter2"}', Failure)
    assert refusal.value.what == "Failure"
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
