"""Which exceptions stop: what sessions ask for, and the one set that pydevd gets."""

from typing import Any

import pytest

from sonde_agent.sidecar.filters import MOST_NAMES, Filters, Wanted, read
from sonde_wire import Reason, Refused


def option(mode: str, *names: str) -> dict[str, Any]:
    path = [{"names": ["Python Exceptions"]}]
    return {"path": [*path, {"names": list(names)}] if names else path, "breakMode": mode}


def test_filters_are_united() -> None:
    table = Filters()
    assert table.replace("a", read({"filters": ["raised"]}))
    table.learn(table.at_pydevd())
    assert not table.replace("b", read({"filters": ["raised"]}))
    assert table.replace("b", read({"filterOptions": [{"filterId": "uncaught"}]}))
    assert table.to_request() == {"filters": ["raised", "uncaught"]}
    assert table.forget("a")
    assert table.to_request() == {"filters": ["uncaught"]}
    table.learn(table.at_pydevd())
    assert table.forget("b") and table.to_request() == {"filters": []}


def test_once_somebody_names_an_exception_the_filters_of_all_become_options() -> None:
    table = Filters()
    table.replace("a", read({"filters": ["uncaught", "raised"]}))
    table.replace("b", read({"exceptionOptions": [option("userUnhandled", "KeyError", "shop.SoldOut")]}))
    assert table.to_request() == {
        "filters": [],
        "exceptionOptions": [
            option("always"),
            option("unhandled"),
            option("userUnhandled", "KeyError"),
            option("userUnhandled", "shop.SoldOut"),
        ],
    }


def test_an_exception_stops_where_any_session_wants_it_to() -> None:
    table = Filters()
    table.replace("a", read({"exceptionOptions": [option("never", "KeyError"), option("always")]}))
    table.replace("b", read({"exceptionOptions": [option("unhandled", "KeyError")]}))
    assert table.to_request()["exceptionOptions"] == [option("always"), option("unhandled", "KeyError")]
    table.forget("a")
    assert table.to_request()["exceptionOptions"] == [option("unhandled", "KeyError")]


def test_what_pydevd_has_not_confirmed_is_told_again() -> None:
    table = Filters()
    table.replace("a", read({"filters": ["raised"]}))
    table.to_request()
    assert table.replace("b", read({"filters": ["raised"]}))
    table.learn(table.at_pydevd())
    assert not table.replace("b", read({"filters": ["raised"]}))


def test_while_they_sleep_pydevd_has_none_and_sessions_keep_theirs() -> None:
    table = Filters()
    table.replace("a", read({"filters": ["raised"]}))
    table.armed = False
    assert table.in_use and table.to_request() == {"filters": []}
    table.learn(Wanted())
    table.armed = True
    assert table.in_use and table.to_request() == {"filters": ["raised"]}


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": "raised"},
        {"filters": ["caught"]},
        {"filters": [["raised"]]},
        {"filterOptions": [{"filterId": "raised", "condition": "x"}]},
        {"filterOptions": [{"filterId": []}]},
        {"exceptionOptions": [option("sometimes", "KeyError")]},
        {"exceptionOptions": [option("always", "__import__('os').abort()")]},
        {"exceptionOptions": [option("always", "KeyError ")]},
        {"exceptionOptions": [{"path": [{"names": ["KeyError"]}], "breakMode": "always"}]},
        {"exceptionOptions": [{"path": "x", "breakMode": "always"}]},
        {"exceptionOptions": [{"path": [{"names": ["Python Exceptions"], "negate": True}], "breakMode": []}]},
        {"exceptionOptions": ["KeyError"]},
    ],
)
def test_what_is_malformed_or_would_be_run_as_python_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        read(arguments)
    assert refused.value.failure.reason is Reason.INVALID_PARAMS


def test_names_are_bounded() -> None:
    names = [f"E{number}" for number in range(MOST_NAMES + 1)]
    with pytest.raises(Refused) as refused:
        read({"exceptionOptions": [option("always", *names)]})
    assert refused.value.failure.reason is Reason.TOO_MANY
