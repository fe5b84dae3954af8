"""Which call a path and a query are, and what an answer becomes."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from sonde_broker import answers, http_view
from sonde_broker.http_view import ROUTES, Asked
from sonde_wire import Code, Failure, Reason, Refused, rpc

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
NOW = 1_700_000_000.0
SNAPSHOT = "0123456789ab-7"


def asked(path: str, query: str = "") -> Asked:
    return http_view.read(f"/api/v1{path}", query, NOW)


def refusal(path: str, query: str = "") -> Failure:
    with pytest.raises(Refused) as caught:
        asked(path, query)
    return caught.value.failure


@pytest.mark.parametrize(
    ("path", "query", "method", "params"),
    [
        ("/whoami", "", "whoami", rpc.Nothing()),
        ("/processes", "", "process.list", rpc.ListProcesses()),
        ("/processes", "selector=shop/*/*", "process.list", rpc.ListProcesses(selector="shop/*/*")),
        ("/processes", "selector=shop%2F*%2F*", "process.list", rpc.ListProcesses(selector="shop/*/*")),
        ("/processes/shop/cart/pod-1", "", "process.list", rpc.ListProcesses(selector="shop/cart/pod-1")),
        ("/probes", "ended=true", "probe.list", rpc.ListProbes(ended=True)),
        ("/probes/abcdefghij", "", "probe.show", rpc.OfProbe(probe="abcdefghij")),
        (
            "/probes/abcdefghij/results",
            "limit=7",
            "probe.results",
            rpc.ProbeResultsCall(probe="abcdefghij", limit=7),
        ),
        (
            "/events",
            "kind=session_opened&kind=dap&since=15m&until=1699999999.5&text=a+b&limit=3",
            "history.events",
            rpc.HistoryEvents(
                kinds=("session_opened", "dap"), since=NOW - 900, until=1699999999.5, text="a b", limit=3
            ),
        ),
        ("/events", "session=s1&cursor=abc", "history.events", rpc.HistoryEvents(session="s1", cursor="abc")),
        (
            "/sessions",
            "viewer=ada&since=2023-11-14T22:13:20Z",
            "history.sessions",
            rpc.HistorySessions(viewer="ada", since=NOW),
        ),
        ("/sessions", "since=2023-11-14T22:13:20", "history.sessions", rpc.HistorySessions(since=NOW)),
        ("/sessions/s1", "", "history.session", rpc.OfSession(session="s1")),
        ("/report", "since=7d", "fleet.report", rpc.MakeReport(since=NOW - 7 * 86400)),
    ],
)
def test_a_path_is_a_call(path: str, query: str, method: str, params: rpc.Params) -> None:
    call = asked(path, query).call
    assert (call.method, call.params) == (method, params)


def test_a_snapshot_is_read_by_its_id() -> None:
    call = asked(f"/snapshots/{SNAPSHOT}").call
    assert (call.method, call.params) == ("snapshot.read", rpc.OfSnapshot(snapshot=SNAPSHOT))


@pytest.mark.parametrize(
    ("path", "query", "problem"),
    [
        ("/processes", "selektor=x", "there is no parameter 'selektor'"),
        ("/processes", "selector=#", "selector"),
        ("/processes", "selector=a/b/c&selector=d/e/f", "given twice"),
        ("/processes/shop/cart/pod-*", "", "not a process name"),
        ("/processes/shop/cart/pod-1", "selector=*/*/*", "there is no parameter"),
        ("/probes/../../etc", "", "there is no such path"),
        ("/probes/%2e%2e", "", "probe"),
        ("/probes/abcdefghij/results", "limit=many", "limit"),
        ("/probes/abcdefghij/results", "limit=0", "limit"),
        ("/probes/abcdefghij/results", "probe=other", "there is no parameter"),
        ("/events", "since=yesterday", "since"),
        ("/events", "since=-5", "since"),
        ("/events", "limit=100000", "limit"),
        ("/events", "%ff=%ff", "cannot be read"),
        ("/events", "&".join(["kind=a"] * 65), "cannot be read"),
        ("/events", "=", "there is no parameter"),
        ("", "", "there is no such path"),
        ("/events/", "", "there is no such path"),
        ("/processes/shop", "", "there is no such path"),
    ],
)
def test_what_is_wrong_is_said(path: str, query: str, problem: str) -> None:
    failure = refusal(path, query)
    assert problem in failure.message
    status, body = http_view.failure(failure)
    assert status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}
    assert json.loads(body)["error"]["reason"] == failure.reason


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_only_what_changes_nothing_can_be_asked(route: http_view.Route) -> None:
    reads = {
        "whoami",
        "process.list",
        "snapshot.read",
        "fleet.report",
        "probe.list",
        "probe.show",
        "probe.results",
    }
    assert route.method in reads or route.method.startswith("history.")


@pytest.mark.parametrize("code", Code)
def test_each_refusal_has_a_status(code: Code) -> None:
    status, body = http_view.failure(Failure(code=code, reason=Reason.BUG, message="so it is"))
    assert 400 <= status < 600
    assert json.loads(body) == {"error": {"code": code, "reason": "bug", "message": "so it is"}}


def test_the_page_has_the_table() -> None:
    head, *rest = http_view.table_rows()
    lines = [head, tuple("---" for _ in head), *rest]
    expected = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
    assert expected in PAGE.read_text(), expected


def test_the_result_of_the_call_is_the_body() -> None:
    told = answers.result(1, {"probes": []})
    assert http_view.answer(asked("/probes"), told) == (HTTPStatus.OK, b'{"probes":[]}')


def test_a_refused_call_is_an_error_of_http() -> None:
    why = Failure(code=Code.NOT_FOUND, reason=Reason.UNKNOWN_PROBE, message="there is none")
    status, body = http_view.answer(asked("/probes/abcdefghij"), answers.failure(1, why))
    assert (status, json.loads(body)["error"]["reason"]) == (HTTPStatus.NOT_FOUND, "unknown_probe")


@pytest.mark.parametrize(
    ("found", "status", "body"),
    [
        ([{"process": "a/b/c"}], HTTPStatus.OK, {"process": "a/b/c"}),
        ([], HTTPStatus.NOT_FOUND, None),
    ],
)
def test_one_process_is_the_only_one_of_its_list(found: Any, status: HTTPStatus, body: Any) -> None:
    got, told = http_view.answer(asked("/processes/a/b/c"), answers.result(1, {"processes": found}))
    assert got == status
    assert body is None or json.loads(told) == body


def test_a_notification_is_no_answer() -> None:
    assert not http_view.is_answer(answers.notification("bus", rpc.BusStatus(bus="up")))
    assert http_view.is_answer(answers.result(1, {}))
