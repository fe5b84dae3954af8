"""`sonde broker --check`: what it finds, and what it never says."""

import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sonde_broker import check
from sonde_broker.__main__ import main
from sonde_broker.bus import Account, BusSettings, EmbeddedBus
from sonde_broker.check import Finding, Report
from sonde_wire import topics
from tests.broker.test_options import given
from tests.broker.tokens import SECRET
from tests.support import parts

PASSWORDS = {"broker": "the password of brokers", "agent": "the password of agents"}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return path


@pytest.fixture
async def bus() -> AsyncIterator[EmbeddedBus]:
    accounts = (
        Account(
            user="broker",
            password=PASSWORDS["broker"],
            publish=topics.BROKER_MAY_PUBLISH,
            subscribe=topics.BROKER_MAY_SUBSCRIBE,
        ),
        Account(
            user="agent",
            password=PASSWORDS["agent"],
            publish=topics.AGENT_MAY_PUBLISH,
            subscribe=topics.AGENT_MAY_SUBSCRIBE,
        ),
    )
    async with EmbeddedBus(BusSettings(accounts=accounts)) as started:
        yield started


async def looked(secret: Path, *arguments: str, **environment: str) -> Report:
    told = given("--secret-file", str(secret), "--listen", "127.0.0.1:0", *arguments, **environment)
    return await check.look(told, environment)


def of(report: Report, part: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.part == part]


async def test_what_would_be_used_is_said_with_its_place(secret: Path) -> None:
    report = await looked(secret, "--compress", "never", SONDE_BROKER_ISSUER="https://id.example")
    assert report.code == 0
    used = {each.option: (each.value, each.source) for each in report.settings}
    assert used["compress"] == ("never", "--compress")
    assert used["issuer"] == ("https://id.example", "SONDE_BROKER_ISSUER")
    assert used["audience"] == ("sonde", "default")
    assert used["secret-file"] == (str(secret), "--secret-file")
    [keys] = of(report, "keys")
    assert keys.text == "one key, HS256"


async def test_every_wrong_setting_is_told_and_not_only_the_first(secret: Path) -> None:
    wrong = ("--allow-origin", "*", "--allow-host", "a/b", "--max-token-lifetime", "x", "--bus", "http://x")
    report = await looked(secret, *wrong, "--page", "/nowhere", "--history-size", "1")
    told = [finding.text for finding in report.findings if finding.state == "wrong"]
    for option in (
        "--allow-origin",
        "--allow-host",
        "--max-token-lifetime",
        "--bus",
        "--page",
        "--history-size",
    ):
        assert any(option in text for text in told), option
    assert report.code == 2


async def test_a_taken_port_is_not_reachable(secret: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        report = await looked(secret, "--metrics-listen", where)
    [port] = of(report, "metrics-listen")
    assert (port.state, report.code) == ("unreachable", 1)
    assert where in port.text


@pytest.fixture
def open_secret(secret: Path) -> Path:
    secret.chmod(0o644)
    return secret


async def test_files_that_others_can_read_or_change_are_told(open_secret: Path) -> None:
    report = await looked(open_secret)
    [warning] = [finding for finding in of(report, "keys") if finding.state == "warning"]
    assert "can be read by others" in warning.text
    assert report.code == 0


async def test_the_bus_is_tried_with_the_credentials_that_would_be_used(
    secret: Path, bus: EmbeddedBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    monkeypatch.setitem(os.environ, "SONDE_BUS_PASSWORD_FILE", str(password))
    url = f"mqtt://broker@127.0.0.1:{bus.port}"
    password.write_text(PASSWORDS["broker"])
    [found] = [each for each in of(await looked(secret, "--bus", url), "bus") if each.state != "warning"]
    assert (found.state, "answers" in found.text) == ("ok", True)
    password.write_text("another password")
    report = await looked(secret, "--bus", url)
    assert report.code == 1
    assert {each.option: each.value for each in report.settings}["bus"] == url


async def test_an_account_that_may_not_do_what_brokers_do_is_found(secret: Path, bus: EmbeddedBus) -> None:
    report = await looked(secret, "--bus", bus.url_for("agent"))
    [found] = of(report, "bus")
    assert found.state == "unreachable"
    assert "access list" in found.text


async def test_a_node_of_a_cluster_that_does_not_answer_is_a_warning(secret: Path, bus: EmbeddedBus) -> None:
    here = bus.url_for("broker")
    report = await looked(secret, "--bus", f"{here},127.0.0.1:1")
    assert [finding.state for finding in of(report, "bus")] == ["ok", "warning"]
    assert report.code == 0


@pytest.mark.skipif(parts.MOSQUITTO is None, reason="Mosquitto is not here (apt-get install mosquitto)")
async def test_mosquitto_is_looked_for(secret: Path) -> None:
    [found] = of(await looked(secret, "--bus", "mosquitto"), "bus")
    assert found.state == "ok"


@pytest.mark.parametrize("problems", [[], ["the disk is full"]])
async def test_the_history_is_asked_whether_it_works(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problems: list[str]
) -> None:
    asked: list[str] = []

    def answer(url: str) -> list[str]:
        asked.append(url)
        return problems

    monkeypatch.setattr(check, "check_store", answer)
    report = await looked(secret, "--history", str(tmp_path / "h.db"), "--history-days", "2")
    assert asked == [f"sqlite:///{tmp_path}/h.db"]
    [found] = of(report, "history")
    assert (found.state, report.code) == (("unreachable", 1) if problems else ("ok", 0))
    assert ("2 days" in found.text) == (not problems)


async def test_a_history_is_looked_at_and_not_made(secret: Path, tmp_path: Path) -> None:
    [found] = of(await looked(secret, "--history", str(tmp_path / "h.db")), "history")
    assert found.state == "ok"
    assert not (tmp_path / "h.db").exists()
    (tmp_path / "h.db").write_text("something else")
    assert (await looked(secret, "--history", str(tmp_path / "h.db"))).code == 1
    [found] = of(await looked(secret, "--history", "postgresql://u@127.0.0.1:1/x"), "history")
    assert found.state == "unreachable"


async def test_a_misspelt_variable_is_a_warning(secret: Path) -> None:
    report = await looked(secret, SONDE_BROKER_LISTN="x")
    [found] = of(report, "environment")
    assert (found.state, report.code) == ("warning", 0)


@pytest.mark.parametrize("as_json", [True, False])
def test_nothing_secret_is_printed_and_nothing_is_made(
    secret: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    as_json: bool,
) -> None:
    monkeypatch.setitem(os.environ, "SONDE_SITE", str(tmp_path / "state" / "site.json"))
    options = ["serve", "--check", "--site", "--bus", "mqtt://broker:geheim@127.0.0.1:1"]
    more = ["--history", "postgresql://u:geheim@127.0.0.1:1/x", *(["--json"] if as_json else [])]
    assert main([*options, *more]) == 1
    said = capsys.readouterr().out
    assert "geheim" not in said
    assert "mqtt://broker@127.0.0.1:1" in said
    assert "postgresql://u@127.0.0.1:1/x" in said
    assert not (tmp_path / "state").exists()
    if as_json:
        told = json.loads(said)
        assert told["ok"] is False
        assert {"part", "state", "text"} == set(told["findings"][0])
        assert {"option", "value", "source"} == set(told["settings"][0])
