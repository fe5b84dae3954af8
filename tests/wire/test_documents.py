"""The tables in docs/wire.md say what the code says (a failure shows the table that belongs there), and the pages
name files that exist."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from sonde_wire import asyncapi, rpc, topics
from sonde_wire.dap import RULES
from sonde_wire.errors import Code, Failure, Reason

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "wire.md").read_text()


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def topics_table() -> str:
    channels = asyncapi.document()["channels"]
    return table(
        ("Topic", "Message", "Delivery"),
        [
            (
                f"`{channel['address']}`",
                f"`{next(iter(channel['messages']))}`",
                channel["description"].rstrip("."),
            )
            for channel in channels.values()
            if channel["address"] != rpc.WEBSOCKET_PATH
        ],
    )


def permissions_table() -> str:
    def listed(filters: tuple[str, ...]) -> str:
        return ", ".join(f"`{each}`" for each in filters)

    return table(
        ("Account", "May publish", "May subscribe"),
        [
            ("agent", listed(topics.AGENT_MAY_PUBLISH), listed(topics.AGENT_MAY_SUBSCRIBE)),
            ("broker", listed(topics.BROKER_MAY_PUBLISH), listed(topics.BROKER_MAY_SUBSCRIBE)),
        ],
    )


def methods_table() -> str:
    def scope(name: str) -> str:
        method = rpc.METHODS[name]
        if method.scope is not None:
            return f"`{method.scope}`"
        return "that of the DAP request" if name == "dap" else "any token"

    return table(
        ("Method", "Params", "Result", "Scope", "What it does"),
        [
            (
                f"`{name}`",
                f"`{method.params.__name__}`",
                f"`{method.result.__name__}`",
                scope(name),
                method.summary,
            )
            for name, method in rpc.METHODS.items()
        ],
    )


def notifications_table() -> str:
    return table(
        ("Notification", "Params", "What it tells"),
        [(f"`{name}`", f"`{kind.__name__}`", summary) for name, (kind, summary) in rpc.NOTIFICATIONS.items()],
    )


def dap_table() -> str:
    return table(
        ("Request", "Scope", "Answered by", "Only while stopped", "Only the driver", "Deadline"),
        [
            (
                f"`{command}`",
                f"`{rule.scope}`",
                rule.answers.value,
                "yes" if rule.stopped_only else "",
                "yes" if rule.drives else "",
                f"{rule.deadline:g} s",
            )
            for command, rule in RULES.items()
        ],
    )


def codes_table() -> str:
    return table(
        ("Code", "JSON-RPC number"),
        [(f"`{code}`", str(Failure(code=code, reason=Reason.BUG, message="").rpc_code)) for code in Code],
    )


def own_numbers_table() -> str:
    return table(
        ("Reason", "JSON-RPC number"),
        [
            (f"`{reason}`", str(number))
            for reason in Reason
            if (number := Failure(code=Code.INTERNAL, reason=reason, message="").rpc_code) < -32100
        ],
    )


def reasons() -> str:
    return ", ".join(f"`{reason}`" for reason in sorted(Reason)) + ".\n"


@pytest.mark.parametrize(
    "expected",
    [
        topics_table,
        permissions_table,
        methods_table,
        notifications_table,
        dap_table,
        codes_table,
        own_numbers_table,
        reasons,
    ],
)
def test_the_page_contains(expected: Callable[[], str]) -> None:
    assert expected() in PAGE


def test_the_page_names_the_versions() -> None:
    assert f"`{topics.ROOT}`" in PAGE
    assert f"`{rpc.SUBPROTOCOL}`" in PAGE
    assert f"`{rpc.BEARER_SUBPROTOCOL_PREFIX}<JWT>`" in PAGE


def test_the_page_explains_each_close_code_and_no_other() -> None:
    codes = {str(value): f"`{name}`" for name, value in vars(rpc).items() if name.startswith("CLOSE_")}
    lines = [line.split(" | ") for line in PAGE.splitlines() if "`CLOSE_" in line]
    assert {line[0].removeprefix("| "): line[1] for line in lines} == codes


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_a_page_names_only_files_that_exist(page: Path) -> None:
    files = {
        each.as_posix()
        for folder in (
            "wire",
            "agent",
            "broker",
            "viewer/sonde_viewer",
            "viewer/web/src",
            "deploy",
            "tests",
            "docs",
        )
        for each in (ROOT / folder).rglob("*.*")
    }
    for name in re.findall(r"`([\w./-]+\.(?:py|ts|tsx|md|json|yaml))`", page.read_text()):
        assert any(each.endswith(f"/{name}") for each in files), name
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link
