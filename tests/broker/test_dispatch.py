"""The core: what viewers ask of processes."""

import json
from typing import Any

import pytest

from sonde_broker.relay_io import (
    BusDown,
    BusUp,
    Happening,
    PresenceCleared,
    PresenceSeen,
    ReplySeen,
    ViewerLeft,
)
from sonde_wire import Address, Code, Failure, Reason, Scope, bus, codec, dap
from sonde_wire.rpc import METHODS
from tests.broker.messages import BOOT, CART, CHECKOUT, OTHER_BOOT, batch, presence, session_closed
from tests.broker.stage import Stage, answer, commands, error, message, sent
from tests.broker.tokens import claims, token

ADDRESS = Address.parse(CHECKOUT)
GONE = Failure(code=Code.NOT_FOUND, reason=Reason.UNKNOWN_SESSION, message="no such session")
UNKNOWN = ("not_found", "unknown_session")


@pytest.fixture
def stage() -> Stage:
    """A process that is online, and two viewers with every scope."""
    stage = Stage()
    stage.presence(presence())
    stage.join("ada")
    stage.join("bob")
    return stage


@pytest.mark.parametrize(
    ("method", "params", "operation"),
    [
        ("process.stacks", {}, bus.ReadStacks()),
        ("process.sources", {}, bus.ListSources()),
        ("process.source", {"path": "/a.py"}, bus.ReadSource(path="/a.py")),
        ("session.open", {}, bus.OpenSession(session="id1")),
    ],
)
def test_a_call_becomes_a_command_and_its_reply_the_answer(
    stage: Stage, method: str, params: dict[str, Any], operation: bus.AnyOperation
) -> None:
    [command] = commands(stage.call("ada", method, id=7, process=CHECKOUT, **params))
    assert (command.process, command.broker, command.operation) == (CHECKOUT, "b1", operation)
    assert (command.viewer.subject, command.viewer.connection) == ("ada", "ada")
    assert set(command.viewer.scopes) == set(Scope)
    assert command.authorization is None
    assert sent(stage.reply(command.id, {"some": ["thing"]})) == [
        {"jsonrpc": "2.0", "id": 7, "result": {"some": ["thing"]}}
    ]


def test_the_bytes_of_a_dap_response_are_passed_through(stage: Stage) -> None:
    session = stage.open_session("ada")
    [command] = commands(stage.dap("ada", session, "stackTrace", threadId=1))
    assert isinstance(command.operation, bus.Dap)
    assert json.loads(bytes(command.operation.request))["arguments"] == {"threadId": 1}
    assert command.boot == BOOT
    assert command.timeout == dap.RULES["stackTrace"].deadline
    response = {"seq": 3, "type": "response", "request_seq": 1, "success": False, "message": "no"}
    assert answer(stage.reply(command.id, response)) == response


@pytest.mark.parametrize(
    ("method", "params", "operation"),
    [
        ("process.stacks", {}, bus.ReadStacks()),
        ("process.sources", {}, bus.ListSources()),
        ("process.source", {"path": "/a.py"}, bus.ReadSource(path="/a.py")),
        ("process.tasks", {}, bus.ReadTasks()),
        ("process.modules", {}, bus.ListModules()),
        ("process.runtime", {}, bus.ReadRuntime()),
        ("process.diagnose", {}, bus.Diagnose()),
        (
            "process.diagnose",
            {"path": "/a.py", "line": 3, "sha256": "ab" * 32},
            bus.Diagnose(path="/a.py", line=3, sha256="ab" * 32),
        ),
    ],
)
def test_each_question_becomes_its_operation(
    stage: Stage, method: str, params: dict[str, Any], operation: bus.AnyOperation
) -> None:
    [command] = commands(stage.call("ada", method, process=CHECKOUT, **params))
    assert command.operation == operation


@pytest.mark.parametrize(
    ("method", "params", "kind", "fields"),
    [
        ("session.renew", {}, bus.RenewLease, {}),
        ("session.seat", {"action": "ask"}, bus.TakeSeat, {"action": "ask"}),
        ("session.seat", {"action": "grant", "to": "s2"}, bus.TakeSeat, {"action": "grant", "to": "s2"}),
        ("session.close", {}, bus.CloseSession, {}),
    ],
)
def test_what_is_asked_of_a_session_goes_to_its_process_and_boot(
    stage: Stage, method: str, params: dict[str, Any], kind: type[bus.Operation], fields: dict[str, Any]
) -> None:
    session = stage.open_session("ada")
    [command] = commands(stage.call("ada", method, session=session, **params))
    assert command.operation == kind(session=session, **fields)
    assert (command.process, command.boot) == (CHECKOUT, BOOT)
    assert error(stage.call("bob", method, session=session, **params)) == UNKNOWN


@pytest.mark.parametrize("method", ["session.renew", "session.seat"])
def test_a_session_of_an_older_boot_has_nothing_to_renew_and_no_seat(stage: Stage, method: str) -> None:
    session = stage.open_session("ada")
    stage.presence(presence(boot="f" * 32, started=2000.0))
    effects = stage.call("ada", method, **{**PARAMS[method], "session": session})
    assert error(effects) in {("aborted", "stale_boot"), UNKNOWN}


def test_a_failure_is_passed_on_with_its_code(stage: Stage) -> None:
    [command] = commands(stage.call("ada", "process.source", process=CHECKOUT, path="/x"))
    failure = Failure(code=Code.NOT_FOUND, reason=Reason.NO_SUCH_FILE, message="no such file")
    assert error(stage.reply(command.id, failure=failure)) == ("not_found", "no_such_file")


def test_an_answer_counts_once_and_only_from_the_process_that_was_asked(stage: Stage) -> None:
    stage.presence(presence(CART))
    [command] = commands(stage.call("ada", "process.stacks", process=CHECKOUT))
    assert stage.reply(command.id, process=CART) == []
    assert stage.reply(command.id)
    assert stage.reply(command.id) == []
    assert stage.reply("never heard of") == []


def test_an_answer_without_result_and_failure_is_an_error_of_ours(stage: Stage) -> None:
    [command] = commands(stage.call("ada", "process.stacks", process=CHECKOUT))
    reply = bus.Reply(process=CHECKOUT, boot=BOOT, cause=command.id)
    assert error(stage.tell(ReplySeen(reply))) == ("internal", "bug")


def test_who_is_not_answered_is_told_so_two_seconds_after_the_sidecars_own_deadline(stage: Stage) -> None:
    session = stage.open_session("ada")
    [command] = commands(stage.dap("ada", session, "threads"))
    assert stage.after(command.timeout + 1.9) == []
    assert error(stage.after(0.2)) == ("deadline_exceeded", "no_answer")
    assert stage.reply(command.id) == []


def test_unanswered_calls_are_bounded_for_each_viewer(stage: Stage) -> None:
    for _ in range(64):
        assert commands(stage.call("ada", "process.stacks", process=CHECKOUT))
    assert error(stage.call("ada", "process.stacks", process=CHECKOUT)) == ("resource_exhausted", "too_many")
    assert commands(stage.call("bob", "process.stacks", process=CHECKOUT))


# what is refused


PARAMS: dict[str, dict[str, Any]] = {
    "whoami": {},
    "token.renew": {"token": "x"},
    "process.list": {},
    "subscribe": {"topics": ["events"]},
    "unsubscribe": {"subscription": 1},
    "process.stacks": {"process": CHECKOUT},
    "process.sources": {"process": CHECKOUT},
    "process.source": {"process": CHECKOUT, "path": "/a.py"},
    "process.tasks": {"process": CHECKOUT},
    "process.modules": {"process": CHECKOUT},
    "process.runtime": {"process": CHECKOUT},
    "process.diagnose": {"process": CHECKOUT, "path": "/a.py", "line": 3},
    "session.open": {"process": CHECKOUT},
    "session.close": {"session": "s"},
    "session.renew": {"session": "s"},
    "session.seat": {"session": "s", "action": "take"},
    "probe.add": {
        "probe": {"kind": {"type": "snapshot"}, "place": {"type": "line", "path": "a.py", "line": 1}}
    },
    "probe.list": {},
    "probe.show": {"probe": "abcdefghij"},
    "probe.remove": {"probe": "abcdefghij"},
    "probe.results": {"probe": "abcdefghij"},
    "snapshot.read": {"snapshot": "0123456789ab-1"},
    "history.events": {},
    "history.sessions": {},
    "history.session": {"session": "s"},
    "fleet.report": {},
}


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("method", PARAMS)
def test_each_method_needs_exactly_its_scope(stage: Stage, method: str, scope: Scope) -> None:
    stage.join("eve", claims("eve", scopes=(scope,)))
    effects = stage.call("eve", method, **PARAMS[method])
    needed = METHODS[method].scope
    denied = needed is not None and needed is not scope
    responses = [each for each in sent(effects, "eve") if "error" in each]
    reasons = {each["error"]["data"]["reason"] for each in responses}
    assert ("missing_scope" in reasons) == denied
    if denied:
        assert commands(effects) == []
        assert str(needed) in message(effects)


def test_every_method_is_in_the_table_above() -> None:
    assert PARAMS.keys() | {"dap"} == METHODS.keys()


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("command", dap.RULES)
def test_each_dap_request_needs_exactly_its_scope(stage: Stage, command: str, scope: Scope) -> None:
    stage.join("eve", claims("eve"))
    session = stage.open_session("eve")
    # The session stays, its viewer's rights shrink: only `control` keeps a session at all.
    scopes = {scope, Scope.CONTROL}
    answer(stage.call("eve", "token.renew", token=token("eve", now=1000, scopes=tuple(scopes))))
    effects = stage.dap("eve", session, command)
    if dap.RULES[command].scope in scopes:
        assert len(commands(effects)) == 1
    else:
        assert error(effects) == ("permission_denied", "missing_scope")


@pytest.mark.parametrize("field", ["condition", "hitCondition", "logMessage"])
@pytest.mark.parametrize("command", ["setBreakpoints", "setFunctionBreakpoints"])
def test_code_in_a_breakpoint_needs_execute(stage: Stage, command: str, field: str) -> None:
    stage.join("eve", claims("eve", scopes=(Scope.OBSERVE, Scope.INSPECT, Scope.CONTROL)))
    session = stage.open_session("eve")
    effects = stage.dap("eve", session, command, breakpoints=[{"line": 1}, {"line": 2, field: "boom()"}])
    assert error(effects) == ("permission_denied", "missing_scope")
    assert commands(effects) == []
    assert commands(stage.dap("eve", session, command, breakpoints=[{"line": 1}]))


@pytest.mark.parametrize(
    "command", ["launch", "terminate", "restart", "cancel", "loadedSources", "", "x" * 99]
)
def test_dap_requests_that_are_not_offered_are_refused(stage: Stage, command: str) -> None:
    session = stage.open_session("ada")
    assert error(stage.dap("ada", session, command)) == ("unimplemented", "dap_not_allowed")


@pytest.mark.parametrize(
    "request_",
    [
        {"command": "threads"},
        {"seq": 1},
        {"seq": "1", "command": "threads"},
        {"seq": 1, "type": "response", "command": "threads"},
        {"seq": 1, "command": "threads", "arguments": [1]},
        {"seq": 1, "command": "setBreakpoints", "arguments": {"breakpoints": 5}},
        {"seq": 1, "command": "setBreakpoints", "arguments": {"breakpoints": {"condition": "boom()"}}},
        "threads",
    ],
)
def test_what_is_no_dap_request_is_refused(stage: Stage, request_: Any) -> None:
    session = stage.open_session("ada")
    effects = stage.call("ada", "dap", session=session, request=request_)
    assert error(effects) == ("invalid_argument", "invalid_params")
    assert commands(effects) == []


@pytest.mark.parametrize("method", ["process.stacks", "process.sources", "session.open"])
def test_a_process_outside_the_token_cannot_be_told_from_one_that_does_not_exist(
    stage: Stage, method: str
) -> None:
    stage.join("eve", claims("eve", processes=("shop/cart/*",)))
    outside = stage.call("eve", method, process=CHECKOUT)
    stage.join("mallory", claims("mallory"))
    nowhere = stage.call("mallory", method, process="shop/checkout/pod-2")
    assert error(outside) == error(nowhere) == ("not_found", "unknown_process")
    assert message(outside) == message(nowhere).replace("pod-2", "pod-1")
    assert commands(outside) == commands(nowhere) == []


def test_refusals_are_logged_with_who_and_what(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.join("eve", claims("eve", scopes=()))
    stage.call("eve", "process.list")
    [record] = [each for each in caplog.records if each.levelname == "WARNING"]
    for fact in ("eve", "token-of-eve", "process.list", "missing_scope"):
        assert fact in record.getMessage()


# sessions


def test_a_session_of_somebody_else_cannot_be_told_from_one_that_does_not_exist(stage: Stage) -> None:
    session = stage.open_session("ada")
    assert error(stage.dap("bob", session)) == UNKNOWN
    assert error(stage.call("bob", "session.close", session=session)) == UNKNOWN
    assert error(stage.dap("ada", "nosuch")) == UNKNOWN
    assert commands(stage.dap("ada", session))


def test_a_viewer_that_leaves_closes_its_sessions_and_no_others(stage: Stage) -> None:
    hers = {stage.open_session("ada"), stage.open_session("ada")}
    his = stage.open_session("bob")
    closing = commands(stage.tell(ViewerLeft("ada")))
    assert {command.operation for command in closing} == {bus.CloseSession(session=each) for each in hers}
    assert commands(stage.dap("bob", his))


def test_a_close_that_nobody_answers_is_sent_again_but_not_for_ever(stage: Stage) -> None:
    session = stage.open_session("ada")
    stage.tell(ViewerLeft("ada"))
    again = commands(stage.after(60))
    assert [command.operation for command in again] == [bus.CloseSession(session=session)] * 2
    assert len({command.id for command in again}) == 2
    assert commands(stage.after(60)) == []


@pytest.mark.parametrize("failure", [None, GONE])
def test_a_close_that_was_answered_is_not_sent_again(stage: Stage, failure: Failure | None) -> None:
    stage.open_session("ada")
    [closing] = commands(stage.tell(ViewerLeft("ada")))
    assert commands(stage.reply(closing.id, process=CART)) == []
    assert stage.reply(closing.id, failure=failure) == []
    assert commands(stage.after(60)) == []


@pytest.mark.parametrize(
    "end", [BusDown(), PresenceSeen(ADDRESS, presence(state="ended"), b"1"), PresenceCleared(ADDRESS)]
)
def test_a_close_is_not_sent_again_to_who_is_gone(stage: Stage, end: Happening) -> None:
    stage.open_session("ada")
    assert commands(stage.tell(ViewerLeft("ada")))
    stage.tell(end)
    assert commands(stage.after(60)) == []


def test_sessions_of_boots_that_are_over_do_not_count(stage: Stage) -> None:
    for number in range(20):
        stage.presence(presence(boot=f"{number:032x}", started=1000.0 + number))
        stage.open_session("ada")


def test_a_viewer_whose_token_ends_closes_its_sessions_too(stage: Stage) -> None:
    stage.join("eve", claims("eve", expires=1010))
    session = stage.open_session("eve")
    [command] = commands(stage.after(11))
    assert command.operation == bus.CloseSession(session=session)


def test_a_session_that_is_still_being_opened_is_closed_as_well(stage: Stage) -> None:
    [opening] = commands(stage.call("ada", "session.open", process=CHECKOUT))
    [closing] = commands(stage.tell(ViewerLeft("ada")))
    assert isinstance(opening.operation, bus.OpenSession)
    assert closing.operation == bus.CloseSession(session=opening.operation.session)
    assert stage.reply(opening.id) == []


def test_an_opening_that_was_not_answered_in_time_is_undone(stage: Stage) -> None:
    [opening] = commands(stage.call("ada", "session.open", process=CHECKOUT))
    assert isinstance(opening.operation, bus.OpenSession)
    effects = stage.after(opening.timeout + 2)
    assert error(effects) == ("deadline_exceeded", "no_answer")
    [closing] = commands(effects)
    assert closing.operation == bus.CloseSession(session=opening.operation.session)


def test_a_session_that_was_refused_is_none(stage: Stage) -> None:
    [opening] = commands(stage.call("ada", "session.open", process=CHECKOUT))
    assert isinstance(opening.operation, bus.OpenSession)
    failure = Failure(code=Code.UNAVAILABLE, reason=Reason.DEBUGGER_UNAVAILABLE, message="no debugpy")
    assert error(stage.reply(opening.id, failure=failure)) == ("unavailable", "debugger_unavailable")
    assert error(stage.dap("ada", opening.operation.session)) == UNKNOWN
    assert commands(stage.tell(ViewerLeft("ada"))) == []


def test_a_closed_session_is_gone_and_is_not_closed_twice(stage: Stage) -> None:
    session = stage.open_session("ada")
    [closing] = commands(stage.call("ada", "session.close", session=session))
    assert answer(stage.reply(closing.id)) == {}
    assert error(stage.dap("ada", session)) == UNKNOWN
    assert commands(stage.tell(ViewerLeft("ada"))) == []


def test_a_session_whose_close_was_not_confirmed_is_closed_again_when_its_viewer_leaves(stage: Stage) -> None:
    session = stage.open_session("ada")
    stage.call("ada", "session.close", session=session)
    stage.after(60)
    [again] = commands(stage.tell(ViewerLeft("ada")))
    assert again.operation == bus.CloseSession(session=session)


def test_a_session_that_the_sidecar_closed_is_gone(stage: Stage) -> None:
    session = stage.open_session("ada")
    stage.events(batch(session_closed(1, session)))
    assert error(stage.dap("ada", session)) == UNKNOWN


def test_one_process_cannot_close_the_session_of_another(stage: Stage) -> None:
    session = stage.open_session("ada")
    stage.events(batch(session_closed(1, session, CART)))
    assert commands(stage.dap("ada", session))


def test_a_session_that_the_sidecar_does_not_know_is_gone(stage: Stage) -> None:
    session = stage.open_session("ada")
    [command] = commands(stage.dap("ada", session))
    assert error(stage.reply(command.id, failure=GONE)) == UNKNOWN
    assert commands(stage.dap("ada", session)) == []


def test_sessions_are_bounded_for_each_viewer(stage: Stage) -> None:
    for _ in range(16):
        stage.open_session("ada")
    assert error(stage.call("ada", "session.open", process=CHECKOUT)) == ("resource_exhausted", "too_many")


# processes and the bus coming and going


@pytest.mark.parametrize(("state", "code"), [("ended", "failed_precondition"), ("lost", "unavailable")])
def test_calls_to_a_process_that_is_gone_fail_the_pending_ones_too(
    stage: Stage, state: str, code: str
) -> None:
    session = stage.open_session("ada")
    [command] = commands(stage.dap("ada", session))
    assert error(stage.presence(presence(state=state))) == (code, "process_ended")
    assert stage.reply(command.id) == []
    for effects in (stage.dap("ada", session), stage.call("ada", "process.stacks", process=CHECKOUT)):
        assert error(effects) == (code, "process_ended")
    assert answer(stage.call("ada", "session.close", session=session)) == {}


def test_a_process_that_was_restarted_does_not_get_what_was_for_the_old_one(stage: Stage) -> None:
    session = stage.open_session("ada")
    stage.dap("ada", session)
    assert error(stage.presence(presence(boot=OTHER_BOOT))) == ("aborted", "stale_boot")
    assert error(stage.dap("ada", session)) == ("aborted", "stale_boot")
    assert answer(stage.call("ada", "session.close", session=session)) == {}


def test_a_process_that_comes_back_says_which_sessions_it_still_has(stage: Stage) -> None:
    kept, dropped = stage.open_session("ada"), stage.open_session("ada")
    stage.presence(presence(state="lost"))
    info = bus.SessionInfo(session=kept, viewer="ada", opened=1.0)
    stage.presence(presence(sessions=(info,)))
    assert commands(stage.dap("ada", kept))
    assert error(stage.dap("ada", dropped)) == UNKNOWN


def test_when_the_bus_is_lost_pending_calls_fail_and_sessions_are_over(stage: Stage) -> None:
    session = stage.open_session("ada")
    stage.dap("ada", session)
    effects = stage.tell(BusDown())
    assert error(effects) == ("unavailable", "bus_lost")
    assert error(stage.call("ada", "process.stacks", process=CHECKOUT)) == ("unavailable", "bus_lost")
    assert error(stage.dap("ada", session)) == ("unavailable", "bus_lost")
    assert commands(stage.tell(ViewerLeft("ada"))) == []
    stage.tell(BusUp())
    assert commands(stage.call("bob", "process.stacks", process=CHECKOUT))


def test_commands_survive_the_codec_of_the_wire(stage: Stage) -> None:
    session = stage.open_session("ada")
    [command] = commands(stage.dap("ada", session, "evaluate", expression="1", frameId=2))
    assert codec.decode(codec.encode(command), bus.Command) == command
