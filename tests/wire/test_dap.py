"""Which DAP requests pass, and what scope each needs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from sonde_wire import dap
from sonde_wire.dap import Answers
from sonde_wire.errors import Code, MalformedMessage, Reason, Refused
from sonde_wire.scopes import Scope

NEVER_ANSWERED = ["loadedSources", "cancel", "restartFrame", "dataBreakpointInfo", "breakpointLocations"]
ENDS_OR_STARTS_THE_PROCESS = ["launch", "restart", "terminate", "terminateThreads"]
BEHIND_THE_ADAPTER = ["pydevdAuthorize", "pydevdSystemInfo", "setDebuggerProperty", "setPydevdSourceMap"]
RUNS_PYTHON = ["evaluate", "completions", "setVariable", "setExpression", "goto"]


@pytest.mark.parametrize(
    "command", [*NEVER_ANSWERED, *ENDS_OR_STARTS_THE_PROCESS, *BEHIND_THE_ADAPTER, "", "Evaluate", "x" * 1000]
)
def test_what_is_not_on_the_list_is_refused_and_the_list_is_shown(command: str) -> None:
    with pytest.raises(Refused) as refusal:
        dap.rule_for(command)
    assert refusal.value.failure.code is Code.UNIMPLEMENTED
    assert refusal.value.failure.reason is Reason.DAP_NOT_ALLOWED
    assert "setBreakpoints" in refusal.value.failure.message
    assert len(refusal.value.failure.message) < 1000


@pytest.mark.parametrize("command", RUNS_PYTHON)
def test_whatever_runs_the_viewers_python_needs_execute(command: str) -> None:
    assert dap.scope_for(command, {}) is Scope.EXECUTE


@pytest.mark.parametrize("command", sorted(dap.RULES))
def test_each_request_needs_a_scope_and_has_a_deadline(command: str) -> None:
    rule = dap.rule_for(command)
    assert rule.scope in {Scope.INSPECT, Scope.CONTROL, Scope.EXECUTE}
    assert 0 < rule.deadline <= 60


def test_only_a_sessions_own_life_is_answered_without_the_debugger() -> None:
    session = {command for command, rule in dap.RULES.items() if rule.answers is Answers.SESSION}
    assert session == {"initialize", "attach", "configurationDone", "disconnect"}


@pytest.mark.parametrize("key", ["condition", "hitCondition", "logMessage"])
@pytest.mark.parametrize("command", ["setBreakpoints", "setFunctionBreakpoints"])
def test_a_breakpoint_that_carries_code_needs_execute(command: str, key: str) -> None:
    arguments = {"breakpoints": [{"line": 1}, {"line": 2, key: "x"}]}
    assert dap.scope_for(command, arguments) is Scope.EXECUTE


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"breakpoints": None},
        {"breakpoints": []},
        {"breakpoints": [{"line": 1}]},
        {"breakpoints": [{"condition": ""}]},
    ],
)
def test_a_plain_breakpoint_needs_control(arguments: dict[str, Any]) -> None:
    assert dap.scope_for("setBreakpoints", arguments) is Scope.CONTROL


def test_exception_options_need_execute_because_pydevd_evaluates_their_names() -> None:
    names = {"path": [{"names": ["Python Exceptions"]}, {"names": ["print(1)"]}], "breakMode": "always"}
    assert (
        dap.scope_for("setExceptionBreakpoints", {"filters": [], "exceptionOptions": [names]})
        is Scope.EXECUTE
    )
    assert dap.scope_for("setExceptionBreakpoints", {"filters": ["uncaught"]}) is Scope.CONTROL


@pytest.mark.parametrize("breakpoints", [1, True, {"condition": "x"}, "condition", [["condition"]], [None]])
def test_breakpoints_of_a_wrong_shape_are_no_crash(breakpoints: Any) -> None:
    assert dap.scope_for("setBreakpoints", {"breakpoints": breakpoints}) in Scope


def test_a_request_and_its_arguments_are_read() -> None:
    request, arguments = dap.read_request(
        b'{"seq": 7, "type": "request", "command": "next", "arguments": {"threadId": 1}}'
    )
    assert (request.seq, request.command, arguments) == (7, "next", {"threadId": 1})


@pytest.mark.parametrize(
    "message", [b'{"seq": 7, "command": "threads"}', b'{"seq": 7, "command": "threads", "arguments": null}']
)
def test_a_request_without_arguments_has_none(message: bytes) -> None:
    assert dap.read_request(Raw(message))[1] == {}


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{}",
        b'{"seq": "7", "command": "next"}',
        b'{"seq": 7, "type": "event", "command": "next"}',
        b'{"seq": 7, "command": "next", "arguments": [1]}',
        b'{"seq": 7, "command": "next", "arguments": 1}',
    ],
)
def test_what_is_not_a_dap_request_is_malformed(message: bytes) -> None:
    with pytest.raises(MalformedMessage):
        dap.read_request(message)


@given(st.binary())
def test_random_bytes_are_a_request_or_malformed(message: bytes) -> None:
    try:
        request, _ = dap.read_request(message)
    except MalformedMessage:
        return
    assert json.loads(message)["seq"] == request.seq
