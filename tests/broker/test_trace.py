"""The caller's trace goes along, and never is a reason to refuse."""

import json
import logging

import pytest

from sonde_broker.calls import Call, read_call
from sonde_broker.relay_io import Effect, ViewerCalled
from sonde_wire import Scope, bus
from tests.broker.messages import CHECKOUT, presence
from tests.broker.stage import Stage, commands
from tests.broker.tokens import claims

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def called(stage: Stage, method: str, **more: str) -> list[Effect]:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"process": CHECKOUT}, **more}
    call = read_call(json.dumps(request))
    assert isinstance(call, Call)
    return stage.tell(ViewerCalled("v1", call))


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.join("v1")
    stage.presence(presence())
    return stage


@pytest.mark.parametrize("method", ["process.stacks", "session.open"])
def test_a_command_carries_it(stage: Stage, method: str) -> None:
    [command] = commands(called(stage, method, traceparent=PARENT, tracestate="vendor=1"))
    assert command.trace == bus.TraceContext(traceparent=PARENT, tracestate="vendor=1")


@pytest.mark.parametrize(
    "parent", ["", "nonsense", PARENT.upper(), f"00-{'0' * 32}-00f067aa0ba902b7-01", f"{PARENT}-more"]
)
def test_one_that_is_malformed_is_left_out(stage: Stage, parent: str) -> None:
    [command] = commands(called(stage, "process.stacks", traceparent=parent, tracestate="vendor=1"))
    assert command.trace is None


def test_a_refusal_is_logged_with_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stage = Stage()
    stage.join("v1", claims(scopes=(Scope.OBSERVE,)))
    called(stage, "process.stacks", traceparent=PARENT)
    called(stage, "process.stacks")
    traced, untraced = (
        vars(each)["sonde_facts"] for each in caplog.records if "refused" in each.getMessage()
    )
    assert traced["trace_id"] == TRACE
    assert "trace_id" not in untraced
