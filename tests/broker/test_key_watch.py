"""Keys that change while the broker runs."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from sonde_broker import keys
from sonde_broker.counts import Counts
from sonde_broker.errors import BadToken
from sonde_broker.issue import SigningKey
from sonde_broker.key_watch import KeyWatch
from sonde_broker.relay_io import KeysChanged
from sonde_broker.settings import KeyChoice
from sonde_broker.tokens import Claims, TokenRules, no_longer_taken
from sonde_wire import bus, rpc
from tests.broker import tokens
from tests.broker.messages import presence
from tests.broker.stage import Stage, answer, closed, commands
from tests.broker.test_keys import private_pem
from tests.broker.viewer import viewer

ONE, TWO = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
NOW = 1_700_000_000.0


def jwks(**named: ed25519.Ed25519PrivateKey) -> str:
    algorithm = jwt.get_algorithm_by_name("EdDSA")
    return json.dumps(
        {
            "keys": [
                algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name}
                for name, key in named.items()
            ]
        }
    )


def issued(key: ed25519.Ed25519PrivateKey, name: str, now: float | None = None) -> str:
    return tokens.token(now=now, key=SigningKey("EdDSA", private_pem(key), name))


class Watched:
    """A watch over a file, and what it told."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.told: list[frozenset[str]] = []
        self.counts = Counts()
        choice = KeyChoice(jwks=file)
        rules = TokenRules(keys=choice.read(), issuer="sonde", audience="sonde")
        self.watch = KeyWatch(choice, rules, self.counts, self.told.append, look_every=0.01)

    def takes(self, token: str) -> bool:
        try:
            self.watch.verify(token, NOW)
        except BadToken:
            return False
        return True

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not holds():  # noqa: ASYNC110 - nothing says that a file was looked at
                await asyncio.sleep(0.001)


@asynccontextmanager
async def watched(directory: Path, **named: ed25519.Ed25519PrivateKey) -> AsyncIterator[Watched]:
    file = directory / "jwks.json"
    file.write_text(jwks(**named))
    it = Watched(file)
    running = asyncio.create_task(it.watch.run(), name="keys")
    try:
        yield it
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_key_that_is_added_is_taken_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    async with watched(tmp_path, one=ONE) as it:
        old, new = issued(ONE, "one", NOW), issued(TWO, "two", NOW)
        assert (it.takes(old), it.takes(new)) == (True, False)
        before = it.watch.verify(old, NOW)
        it.file.write_text(jwks(one=ONE, two=TWO))
        await it.until(lambda: len(it.told) == 1)
        assert (it.takes(old), it.takes(new)) == (True, True)
        assert no_longer_taken({"ada": before}, it.told[0]) == []
        it.file.write_text(jwks(two=TWO))
        await it.until(lambda: len(it.told) == 2)
        assert (it.takes(old), it.takes(new)) == (False, True)
        assert no_longer_taken({"ada": before}, it.told[1]) == ["ada"]
        assert it.counts.key_reloads == 2


async def test_another_key_under_the_same_name_is_another_key(tmp_path: Path) -> None:
    async with watched(tmp_path, one=ONE) as it:
        before = it.watch.verify(issued(ONE, "one", NOW), NOW)
        it.file.write_text(jwks(one=TWO))
        await it.until(lambda: it.told)
        assert no_longer_taken({"ada": before}, it.told[0]) == ["ada"]


async def test_what_cannot_be_taken_changes_nothing_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with watched(tmp_path, one=ONE) as it:
        for wrong in ("", '{"keys": []}', "nonsense"):
            before = it.counts.key_reload_failures
            it.file.write_text(wrong)
            await it.until(lambda before=before: it.counts.key_reload_failures > before)  # type: ignore[misc]
        it.file.unlink()
        await it.until(lambda: it.watch._seen is None)
        failures = it.counts.key_reload_failures
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert it.counts.key_reload_failures == failures
        assert it.takes(issued(ONE, "one", NOW))
        assert it.told == []
        it.file.write_text(jwks(two=TWO))
        await it.until(lambda: it.told)
    assert "the keys stay as they were" in caplog.text


async def test_a_file_is_replaced_as_kubernetes_does_it(tmp_path: Path) -> None:
    """The mounted name is a link over another link, which is swapped."""
    for name, content in (("v1", jwks(one=ONE)), ("v2", jwks(two=TWO))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jwks.json").write_text(content)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "jwks.json").symlink_to("..data/jwks.json")
    it = Watched(tmp_path / "jwks.json")
    running = asyncio.create_task(it.watch.run(), name="keys")
    try:
        (tmp_path / "..new").symlink_to("v2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        await it.until(lambda: it.told)
        assert it.takes(issued(TWO, "two", NOW))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_who_asks_is_served_without_a_change(tmp_path: Path) -> None:
    async with watched(tmp_path, one=ONE) as it:
        it.file.write_text("nonsense")
        await it.until(lambda: it.counts.key_reload_failures == 1)
        it.watch.ask()
        await it.until(lambda: it.counts.key_reload_failures == 2)


def test_a_bearer_goes_with_the_key_and_not_with_its_name() -> None:
    def bearer(key_id: str) -> Claims:
        return tokens.claims(key_id=key_id)

    connected = {"ada": bearer("k1"), "bob": bearer("k2"), "old": bearer("")}
    assert no_longer_taken(connected, frozenset({"k2"})) == ["ada", "old"]
    assert no_longer_taken({}, frozenset()) == []


def test_the_core_closes_who_has_an_old_key_and_what_it_has_open() -> None:
    stage = Stage()
    stage.join("old", tokens.claims("ada", key_id="k1"))
    stage.join("new", tokens.claims("bob", key_id="k2"))
    stage.presence(presence())
    session = stage.open_session("old")
    effects = stage.tell(KeysChanged(frozenset({"k2"})))
    assert closed(effects) == [("old", rpc.CLOSE_UNAUTHENTICATED)]
    [command] = commands(effects)
    assert command.operation == bus.CloseSession(session=session)
    assert stage.call("old", "whoami") == []
    assert answer(stage.call("new", "whoami"))["subject"] == "bob"


def test_a_fingerprint_says_nothing_of_a_secret() -> None:
    [found] = keys.from_secret(tokens.SECRET).fingerprints
    [same] = keys.from_secret(tokens.SECRET).fingerprints
    [other] = keys.from_secret(tokens.SECRET[::-1]).fingerprints
    assert found == same != other
    assert found not in tokens.SECRET.decode()


@pytest.mark.parametrize("asked", [True, False], ids=["SIGHUP", "by itself"])
async def test_a_running_broker_lets_go_of_who_has_an_old_key(tmp_path: Path, asked: bool) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(jwks(one=ONE, two=TWO))
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sonde_broker", "serve", "--listen", "127.0.0.1:0", "--jwks", str(file)),
        *("--announce-fd", str(writing), "--log-format", "json"),
        env=os.environ | {"SONDE_SITE": str(tmp_path / "site.json")},
        pass_fds=(writing,),
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            url = json.loads(await asyncio.to_thread(pipe.readline))["url"]
        async with viewer(url, issued(ONE, "one")) as old, viewer(url, issued(TWO, "two")) as new:
            await old.result("whoami")
            file.write_text(jwks(two=TWO))
            if asked:
                process.send_signal(signal.SIGHUP)
            assert (await old.closed())[0] == rpc.CLOSE_UNAUTHENTICATED
            await new.result("whoami")
        process.terminate()
        _, log = await process.communicate()
        assert process.returncode == 0
        [line] = [
            each
            for each in map(json.loads, log.splitlines())
            if "key" in each["message"] and "viewer" in each
        ]
        assert (line["subject"], line["level"]) == ("ada", "info")
        assert line["token_id"]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
