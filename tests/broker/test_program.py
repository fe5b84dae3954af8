"""The broker as a program: options, exit codes, what it leaves behind."""

import asyncio
import json
import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from sonde_broker.__main__ import main
from sonde_broker.errors import CannotListen, InvalidSettings
from sonde_broker.serve import running
from sonde_broker.settings import HostPort, KeyChoice, check_hosts, check_origins, choose_key, make_secret
from sonde_broker.tokens import verify
from sonde_wire import Scope, Selector, codec, local, rpc
from tests.broker.conftest import settings
from tests.broker.tokens import RULES, SECRET


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "given"
    path.write_bytes(SECRET)
    return path


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "no key"),
        (["--listen", "0.0.0.0:0"], "can be reached by others"),
        (["--listen", "0.0.0.0:0", "--site"], "can be reached by others"),
        (["--listen", "[::]:0", "--secret-file", "{secret}", "--site"], "can be reached by others"),
        (["--listen", "example.com:80", "--secret-file", "{secret}"], "IP address and a port"),
        (["--listen", "127.0.0.1:99999", "--secret-file", "{secret}"], "IP address and a port"),
        (["--secret-file", "{secret}", "--jwks", "x"], "only one of"),
        (["--secret-file", "/nowhere"], "cannot read"),
        (["--public-key", "{secret}"], "not a public key"),
        (["--site", "--jwks", "x"], "takes --secret-file only"),
        (["--secret-file", "{secret}", "--bus", "http://x"], "--bus"),
        (["--secret-file", "{secret}", "--allow-origin", "https://x/y"], "--allow-origin"),
        (["--secret-file", "{secret}", "--allow-origin", "*"], "--allow-origin"),
        (["--secret-file", "{secret}", "--allow-host", "https://x"], "--allow-host"),
        (["--secret-file", "{secret}", "--page", "/nowhere"], "--page"),
    ],
)
def test_wrong_settings_exit_with_2_and_say_why(
    options: list[str],
    problem: str,
    secret: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SONDE_SITE", str(tmp_path / "site.json"))
    listen = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    assert main(["serve", *listen, *(option.format(secret=secret) for option in options)]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "site.json").exists()


def test_a_port_in_use_exits_with_1_and_is_announced(
    secret: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ["--listen", where, "--secret-file", str(secret), "--announce-fd", str(writing)]
        assert main(["serve", *options]) == 1
    with os.fdopen(reading) as file:
        announced = json.loads(file.read())
    assert where in announced["error"]
    assert "--listen" in capsys.readouterr().err


async def test_a_port_that_nobody_asked_for_gives_way_to_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = HostPort("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(CannotListen):
            async with running(settings(listen=listen)):
                pass
        async with running(settings(listen=listen, any_port=True)) as broker:
            assert not broker.url.endswith(f":{listen.port}")


@pytest.mark.parametrize("command", [["serve"], ["token", "issue"], ["token", "show"]])
def test_every_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "examples:" in capsys.readouterr().out


def test_a_token_that_is_issued_is_taken(secret: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--secret-file",
        str(secret),
        "--sub",
        "ada",
        "--scope",
        "observe,inspect",
        "--scope",
        "control",
    ]
    processes = ["--processes", "shop", "--processes", "bank/vault/pod-* a/b/c", "--ttl", "15m"]
    assert main(["token", "issue", *options, *processes, "--json"]) == 0
    issued = json.loads(capsys.readouterr().out)
    claims = verify(issued["token"], RULES, time.time())
    assert claims.scopes == {Scope.OBSERVE, Scope.INSPECT, Scope.CONTROL}
    assert claims.selectors == (
        Selector(service="shop"),
        Selector("bank", "vault", "pod-*"),
        Selector("a", "b", "c"),
    )
    assert abs(issued["expires"] - time.time() - 900) < 60

    assert main(["token", "show", "--secret-file", str(secret), issued["token"]]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["claims"]["sub"] == "ada"
    assert "valid" in shown.err
    assert main(["token", "show", "--secret-file", str(secret), issued["token"][:-4] + "AAAA"]) == 1
    assert main(["token", "show", "nonsense"]) == 1


def test_a_token_is_issued_with_the_key_of_the_site_that_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SONDE_SITE", str(tmp_path / "site.json"))
    (tmp_path / "secret").write_bytes(SECRET)
    asked = ["token", "issue", "--sub", "ana", "--scope", "observe inspect", "--processes", "prod/checkout/*"]
    assert main(asked) == 2
    assert "sonde up" in capsys.readouterr().err
    local.write(local.Site(url="http://127.0.0.1:1", bus="mqtt://127.0.0.1:1", token="t", pid=os.getpid()))
    assert main(asked) == 0
    assert verify(capsys.readouterr().out.strip(), RULES, time.time()).subject == "ana"


@pytest.mark.parametrize(
    "options",
    [
        ["--scope", "root"],
        ["--scope", "observe", "--processes", "a/b/c/d"],
        ["--scope", "observe", "--private-key", "/nowhere"],
    ],
)
def test_a_token_that_nobody_would_take_is_not_issued(options: list[str], secret: Path) -> None:
    assert main(["token", "issue", "--secret-file", str(secret), "--sub", "ada", *options]) in {1, 2}


async def test_a_site_is_made_used_and_cleaned_up(tmp_path: Path) -> None:
    site = tmp_path / "state" / "site.json"
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sonde_broker", "serve", "--site", "--listen", "127.0.0.1:0"),
        *("--announce-fd", str(writing)),
        env=os.environ | {"SONDE_SITE": str(site)},
        pass_fds=(writing,),
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as file:
            told = json.loads(await asyncio.to_thread(file.readline))
        assert json.loads(site.read_text()) == told | {"pid": process.pid}
        for path in (site, site.parent / "secret"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        address = told["url"].replace("http", "ws") + "/ws"
        headers = {"Authorization": f"Bearer {told['token']}"}
        async with connect(
            address, additional_headers=headers, subprotocols=[Subprotocol(rpc.SUBPROTOCOL)], proxy=None
        ) as line:
            await line.send('{"jsonrpc":"2.0","id":1,"method":"whoami"}')
            answered = json.loads(await line.recv())["result"]
            welcome = codec.decode(codec.encode(answered), rpc.Welcome)
            assert set(welcome.scopes) == set(Scope)
            assert welcome.bus == "up"
            process.send_signal(signal.SIGTERM)
            await line.wait_closed()
            assert line.close_code == 1012
        _, log = await process.communicate()
        assert process.returncode == 0
        assert told["token"].encode() not in log
        assert told["bus"].split("@")[0].rpartition(":")[2].encode() not in log
        assert not site.exists()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    make_secret(path)
    first = path.read_text()
    make_secret(path)
    assert path.read_text() == first
    path.chmod(0o644)
    with pytest.raises(InvalidSettings, match="read by others"):
        make_secret(path)


def test_loopback_is_told_from_the_rest() -> None:
    for text in ("127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "8080"):
        assert HostPort.parse(text, "--listen").loopback
    for text in ("0.0.0.0:1", "[::]:1", "10.0.0.1:1"):
        listen = HostPort.parse(text, "--listen")
        assert not listen.loopback
        with pytest.raises(InvalidSettings):
            choose_key(KeyChoice(), listen, site=False)


def test_hosts_and_origins_are_exact() -> None:
    assert check_origins(["https://Sonde.example", "http://[::1]:80"]) == (
        "https://sonde.example",
        "http://[::1]:80",
    )
    assert check_hosts(["Sonde.example", "::1", "10.0.0.1"]) == ("sonde.example", "::1", "10.0.0.1")
    for host in ("sonde.example:80", "a/b", "", "user@host"):
        with pytest.raises(InvalidSettings):
            check_hosts([host])
