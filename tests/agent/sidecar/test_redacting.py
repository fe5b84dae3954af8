"""What viewers get of what pydevd says: names, types and sizes of what is hidden, and no value."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.redaction import HIDDEN, Redaction
from sonde_agent.sidecar.dap.channel import Incoming, body_of
from sonde_agent.sidecar.redacting import Redacting
from sonde_wire import bus, codec
from tests.agent.sidecar.by_hand import FILE, THREAD, Bench, stopped

STRICT = Redaction("strict")


@pytest.fixture
def bench() -> Bench:
    return standing(Redaction())


def standing(redaction: Redaction) -> Bench:
    """One session, attached, at a stop."""
    bench = Bench(redaction=redaction)
    bench.open("s1")
    bench.connect()
    stopped(bench)
    return bench


def asked(bench: Bench, request: str, answer: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """The body of what the session is answered."""
    command = bench.ask("s1", request, **arguments)
    bench.respond(**answer)
    body = bench.response(command)["body"]
    assert isinstance(body, dict)
    return body


def listed(bench: Bench, *variables: dict[str, Any], of: int = 1) -> list[dict[str, Any]]:
    answer = asked(bench, "variables", {"variables": variables}, variablesReference=of)
    return list(answer["variables"])


def variable(name: str, value: str, kind: str = "str", reference: int = 0, **fields: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "type": kind, "variablesReference": reference, **fields}


# Variables


@pytest.mark.parametrize(
    "name",
    ["password", "'password'", "b'authorization'", "_User__api_key", "(return) get_token", "'token' (1234)"],
)
def test_a_variable_with_a_telling_name_has_no_value_and_no_children(bench: Bench, name: str) -> None:
    (shown,) = listed(bench, variable(name, "'hunter2'", "dict", 7, evaluateName="x", indexedVariables=3))
    assert shown == {
        "name": name,
        "value": HIDDEN,
        "type": "dict",
        "variablesReference": 0,
        "indexedVariables": 0,
    }


def test_others_are_as_pydevd_says(bench: Bench) -> None:
    others = [
        variable("count", "3", "int", evaluateName="count"),
        variable("special variables", "", "", 9),
        variable("get_password", "<function get_password at 0x1>", "function", 10),
        variable("password", "None", "NoneType"),
        variable("len()", "3", "int"),
    ]
    assert listed(bench, *others) == others


def test_values_of_telling_types_are_hidden(bench: Bench) -> None:
    (shown,) = listed(bench, variable("plain", "SecretStr('hunter2')", "SecretStr", 8))
    assert (shown["value"], shown["variablesReference"]) == (HIDDEN, 0)


def test_secrets_in_values_and_keys_are_hidden_and_an_expression_does_not_tell_them(bench: Bench) -> None:
    jwt = "eyJhbGciOiJub25lIn0.hunter2.c2ln"
    first, second = listed(
        bench,
        variable("rows", "[{'id': 1, 'pin': '1234'}]", "list", 5, evaluateName="rows"),
        variable(f"'{jwt}'", "1", "int", evaluateName=f"d['{jwt}']"),
    )
    assert first == variable("rows", "[{'id': 1, 'pin': '***'}]", "list", 5, evaluateName="rows")
    assert second == variable("'***'", "1", "int")


def test_what_follows_a_telling_item_is_hidden(bench: Bench) -> None:
    items = [
        variable("0", "'serve'"),
        variable("1", "'--token'"),
        variable("2", "'hunter2'"),
        variable("3", "'x'"),
    ]
    assert [each["value"] for each in listed(bench, *items)] == ["'serve'", "'--token'", HIDDEN, "'x'"]


def test_the_parts_of_a_url_with_a_password_are_not_to_be_had(bench: Bench) -> None:
    (shown,) = listed(bench, variable("url", "postgres://u:hunter2@h/", "URL", 5))
    assert (shown["value"], shown["variablesReference"]) == ("postgres://u:***@h/", 0)
    (shown,) = listed(bench, variable("url", "URL('http://h/')", "URL", 6))
    assert shown["variablesReference"] == 6


def test_who_guesses_the_reference_of_a_hidden_variable_gets_nothing(bench: Bench) -> None:
    listed(bench, variable("credentials", "['a', 'b']", "list", 7))
    first, group = listed(bench, variable("0", "'a'"), variable("special variables", "", "", 9), of=7)
    assert first["value"] == group["value"] == HIDDEN
    assert group["variablesReference"] == 0
    body = asked(bench, "setVariable", {"value": "'hunter2'"}, variablesReference=7, name="0", value="'x'")
    assert body["value"] == HIDDEN


def test_an_object_that_is_also_reachable_by_a_shown_name_can_be_looked_into(bench: Bench) -> None:
    listed(bench, variable("credentials", "[]", "list", 7), variable("names", "[]", "list", 7))
    assert listed(bench, variable("0", "'a'"), of=7)[0]["value"] == "'a'"


def test_references_are_forgotten_when_nothing_stands(bench: Bench) -> None:
    listed(bench, variable("credentials", "[]", "list", 7))
    bench.say("continued", threadId=1, allThreadsContinued=True)
    stopped(bench)
    assert listed(bench, variable("0", "'a'"), of=7)[0]["value"] == "'a'"


# Expressions


@pytest.mark.parametrize(
    "expression", ["password", "user['password']", "f(db_password)", "x.get_secret_value()"]
)
@pytest.mark.parametrize("context", ["watch", "hover", "repl", "clipboard"])
def test_an_expression_that_names_something_hidden_has_no_result(
    bench: Bench, expression: str, context: str
) -> None:
    answer = {"result": "'hunter2'", "type": "str", "variablesReference": 4}
    body = asked(bench, "evaluate", answer, expression=expression, context=context)
    assert body == {"result": HIDDEN, "type": "str", "variablesReference": 0}


def test_nor_does_the_error_that_it_raises_say_anything(bench: Bench) -> None:
    command = bench.ask("s1", "evaluate", expression="int(password)")
    error = Incoming(
        type="response",
        request_seq=bench.sent[-1]["seq"],
        success=False,
        message="invalid literal: 'hunter2'",
        body=codec.raw({"error": "hunter2"}),
    )
    redacted = Redacting(Redaction()).response("evaluate", error, hides=True)
    assert "hunter2" not in (redacted.message or "") and not redacted.body
    bench.respond(success=False, error="hunter2")
    assert "hunter2" not in repr(bench.response(command))


def test_results_and_new_values_are_searched(bench: Bench) -> None:
    body = asked(bench, "evaluate", {"result": "{'pin': 1234, 'n': 1}", "type": "dict"}, expression="row")
    assert body["result"] == "{'pin': ***, 'n': 1}"
    for request, name in (("setVariable", "name"), ("setExpression", "expression")):
        answer = {"value": "'postgres://u:hunter2@h'", "type": "str"}
        assert asked(bench, request, answer, **{name: "x", "value": "y"})["value"] == "'postgres://u:***@h'"
        assert asked(bench, request, answer, **{name: "token", "value": "y"})["value"] == HIDDEN
    assert asked(bench, "evaluate", {"result": ""}, expression="password = 1")["result"] == ""


def test_a_log_message_loses_the_expressions_that_name_something_hidden(bench: Bench) -> None:
    messages = ["{token} of {user}, {f({'a': password})} {", "no expression", "{{x}}"]
    breakpoints = [{"line": at, "logMessage": message} for at, message in enumerate(messages, 1)]
    bench.ask("s1", "setBreakpoints", source={"path": FILE}, breakpoints=breakpoints)
    sent = bench.requests("setBreakpoints")[-1]["breakpoints"]
    assert [each["logMessage"] for each in sent] == [f"{HIDDEN} of {{user}}, {HIDDEN} {{", *messages[1:]]


# Exceptions, output, threads


def test_the_text_of_an_exception_is_searched() -> None:
    inner = {"message": "token=hunter2", "typeName": "KeyError"}
    details = {"message": "pin=1234", "stackTrace": 'f("password=hunter2")', "innerException": [inner]}
    answer = {
        "exceptionId": "ValueError",
        "description": "pin=1234",
        "breakMode": "always",
        "details": details,
    }
    body = asked(standing(Redaction()), "exceptionInfo", answer, threadId=1)
    assert (body["exceptionId"], body["description"]) == ("ValueError", "pin=***")
    assert body["details"]["message"] == "pin=***"
    assert body["details"]["stackTrace"] == 'f("password=***")'
    assert body["details"]["innerException"] == [{"message": "token=***", "typeName": "KeyError"}]
    strict = asked(standing(STRICT), "exceptionInfo", answer, threadId=1)
    assert strict["description"] == strict["details"]["message"] == "<8 characters>"


def test_output_and_the_reason_of_a_stop_are_searched(bench: Bench) -> None:
    bench.say("output", output="logged in with password=hunter2\n", category="stdout", data={"x": "hunter2"})
    bench.say("stopped", reason="exception", threadId=2, text="ValueError", description="bad token=hunter2")
    ((_, output),) = bench.dap_events("output")
    assert output["output"] == "logged in with password=***\n" and "data" not in output
    _, told = bench.dap_events("stopped")[-1]
    assert (told["text"], told["description"]) == ("ValueError", "bad token=***")
    late = bench.state(bench.open("s2"))
    assert b"hunter2" not in b"".join(bytes(each) for each in late.stops)


def test_the_names_of_threads_are_searched(bench: Bench) -> None:
    assert (
        asked(bench, "threads", {"threads": [{"id": 1, "name": "token=a"}]})["threads"][0]["name"]
        == "token=***"
    )
    slow = Bench(slow=True)
    slow.open("s1")
    slow.connect()
    slow.respond(threads=[THREAD, {"id": 2, "name": "token=hunter2"}])
    (joined,) = [each for each in slow.answers.values() if each.result]
    threads = codec.decode(joined.result or b"", bus.SessionState).threads
    assert [codec.decode_any(each)["name"] for each in threads] == ["MainThread", "token=***"]


# Strict, and off


def test_where_no_values_are_shown_types_and_sizes_are() -> None:
    bench = standing(STRICT)
    shown = listed(
        bench,
        variable("count", "41", "int"),
        variable("name", "'ana'", reference=0, evaluateName="name"),
        variable("'ana@example.com'", "{'a': 1}", "dict", 5, evaluateName="d['ana@example.com']"),
        variable("x", "1", "int", evaluateName="d['ana@example.com'].x"),
        variable("len()", "3", "int"),
        variable("f", "<function f at 0x1>", "function"),
        variable("special variables", "", "", 9),
    )
    assert shown == [
        variable("count", "<int>", "int"),
        variable("name", "<str, 5 characters>", evaluateName="name"),
        variable("<key>", "<dict>", "dict", 5),
        variable("x", "<int>", "int"),
        variable("len()", "3", "int"),
        variable("f", "<function f at 0x1>", "function"),
        variable("special variables", "", "", 9),
    ]
    assert asked(bench, "evaluate", {"result": "41", "type": "int"}, expression="count")["result"] == "<int>"
    bench.say("output", output="ana\n")
    assert bench.dap_events("output")[-1][1]["output"] == "<4 characters>\n"


def test_when_redaction_is_off_everything_is_as_pydevd_says() -> None:
    bench = standing(Redaction("off"))
    all_of_it = variable("password", "'hunter2'", "str", 3, evaluateName="password")
    assert listed(bench, all_of_it) == [all_of_it]
    bench.say("output", output="password=hunter2")
    assert bench.dap_events("output")[-1][1] == {"output": "password=hunter2"}


def test_what_is_not_what_it_should_be_is_passed_or_left_out() -> None:
    redacting = Redacting(Redaction())
    odd = {"variables": [1, {"name": 2, "value": "hunter2"}, {"name": "password", "value": 3}]}
    response = Incoming(type="response", body=codec.raw(odd))
    assert body_of(redacting.response("variables", response, hides=False)) == {
        "variables": [{"name": "password", "value": 3}]
    }
    assert redacting.arguments("setBreakpoints", {"breakpoints": [1, {"logMessage": 2}]}) == {
        "breakpoints": [1, {"logMessage": 2}]
    }
    assert not redacting.hides("evaluate", {"expression": 3}) and not redacting.hides("variables", {})


KEYS = (
    *(
        "variables",
        "name",
        "value",
        "type",
        "variablesReference",
        "evaluateName",
        "result",
        "details",
        "message",
    ),
    *("innerException", "stackTrace", "description", "threads", "breakpoints", "logMessage", "expression"),
    *("output", "text", "reason"),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.sampled_from(
        ["variables", "evaluate", "setVariable", "setExpression", "exceptionInfo", "threads", "scopes"]
    ),
    anything,
    st.sampled_from(["off", "standard", "strict"]),
    st.booleans(),
)
def test_whatever_is_said_can_be_redacted(request: str, body: Any, mode: str, hides: bool) -> None:
    redacting = Redacting(Redaction(mode))
    arguments = body if isinstance(body, dict) else {}
    redacting.hides(request, arguments)
    redacting.arguments("setBreakpoints", arguments)
    redacting.event("output", arguments)
    redacting.event("stopped", arguments)
    redacting.response(request, Incoming(type="response", body=codec.raw(body)), hides=hides)


@given(st.text(max_size=60), st.sampled_from(["str", "dict", "shop.Order", ""]), st.integers(0, 5))
def test_what_is_under_a_hidden_name_never_gets_out(value: str, kind: str, reference: int) -> None:
    secret = f"hunter2{value}"
    redacting = Redacting(Redaction())
    said = {"variables": [variable("api_key", secret, kind, reference, evaluateName=secret)]}
    redacted = redacting.response("variables", Incoming(type="response", body=codec.raw(said)), hides=False)
    assert "hunter2" not in repr(body_of(redacted))
    assert redacting.hides("variables", {"variablesReference": reference}) is (reference > 0)
