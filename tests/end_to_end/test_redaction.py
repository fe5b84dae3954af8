"""A secret does not leave its process, wherever the program has it and whatever a viewer asks.

Each place has a canary of its own, which no source text contains: a debuggee with all of them is looked through, and
what crossed the bus, what the viewer got and what was logged are searched.
"""

import asyncio
import base64
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from sonde_broker.bus import EmbeddedBus
from sonde_viewer import DapError, DebugSession, Refused, Viewer
from sonde_wire import bus, mqtt, topics
from tests.support import expect
from tests.support.debuggee import Program, Running
from tests.support.site import Site, appeared, site

PLACES = (
    *("local", "key", "item", "field", "nested", "type", "header", "url", "jwt", "pem", "slot", "result"),
    *("printed", "logged", "raised", "thread", "argument", "variable", "ended"),
)
PROGRAM = """
    import asyncio, dataclasses, os, sys, threading

    canary = os.environ["SHOP_PASSWORD"].removesuffix("variable").__add__

    @dataclasses.dataclass
    class User:
        name: str
        api_key: str

    class SecretStr:
        def __init__(self, value):
            self.inside = value

        def __repr__(self):
            return "SecretStr('**********')"

    class Slotted:
        __slots__ = ("token",)

    def secrets():
        slotted = Slotted()
        slotted.token = canary("slot")
        return {
            "password": canary("local"),
            "settings": {"db_password": canary("key"), "credentials": {"first": canary("nested")}, "colour": "blue"},
            "arguments": ["serve", "--token", canary("item")],
            "user": User("ana", canary("field")),
            "wrapped": SecretStr(canary("type")),
            "headers": [("Authorization", "Bearer " + canary("header"))],
            "database": "postgres://shop:" + canary("url") + "@db/shop",
            "some": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ." + canary("jwt"),
            "text": "-----BEGIN PRIVATE KEY-----\\n" + canary("pem") + "\\n-----END PRIVATE KEY-----",
            "slotted": slotted,
        }

    def make_token(place):
        return canary(place)

    def step(count, password, settings, arguments, user, wrapped, headers, database, some, text, slotted):
        count = make_token("result") and count  # stop here
        try:
            raise ValueError("no such user: password=" + canary("raised"))  # raises
        except ValueError:
            count += 1
        return count

    def stand(token=canary("thread")):
        asking.wait()

    asking = threading.Event()
    threading.Thread(target=stand, name="token=" + canary("thread"), daemon=True).start()
    print("password=" + canary("printed"), flush=True)
    while True:
        step(1, **secrets())
        if sys.stdin.readline() == "end\\n":
            raise RuntimeError("token=" + canary("ended"))
"""
EXPRESSIONS = (
    *("password", "settings", "settings['db_password']", "arguments", "user", "vars(user)", "user.api_key"),
    *("wrapped", "headers", "headers[0]", "database", "some", "text", "str(user)"),
    *(
        "repr(settings)",
        "slotted.token",
        "int(password)",
        "int(user.api_key)",
        "make_token('result')",
        "locals()",
    ),
    "__import__('json').dumps(settings)",
)


@dataclass
class Everything:
    """What can be looked at from outside, by where it was found."""

    canary: str
    seen: dict[str, list[bytes]] = field(default_factory=lambda: {"bus": [], "viewer": [], "logs": []})

    def found(self, where: str) -> dict[str, str]:
        """By place: what was around it."""
        return {place: around for place in PLACES if (around := self._around(place, where))}

    def _around(self, place: str, where: str) -> str:
        plain = (self.canary + place).encode()
        for form in (plain, plain.hex().encode(), base64.b64encode(plain).rstrip(b"=")[:-1]):
            for each in self.seen[where]:
                if (at := each.find(form)) >= 0:
                    return each[max(at - 200, 0) : at + 100].decode(errors="replace")
        return ""


@asynccontextmanager
async def recorded(
    directory: Path, canary: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Site, Viewer, Everything]]:
    """Of all that happens in the block. The logs are read at its end."""
    everything = Everything(canary)
    receive = ClientConnection.recv

    async def record(self: ClientConnection, *arguments: Any, **options: Any) -> Any:
        frame = await receive(self, *arguments, **options)
        everything.seen["viewer"].append(frame.encode() if isinstance(frame, str) else frame)
        return frame

    async def listen(line: mqtt.BusConnection) -> None:
        async for message in line:
            everything.seen["bus"].append(message.payload)

    monkeypatch.setattr(ClientConnection, "recv", record)
    log = ("--log-level", "debug", "--log-file", str(directory / "broker.log"))
    async with (
        EmbeddedBus() as server,  # one that lets anybody hear everything
        mqtt.connect(mqtt.BusUrl.parse(server.url), client_id="everything") as line,
        site(directory, "--bus", server.url, *log) as here,
        here.viewer() as viewer,
        asyncio.TaskGroup() as group,
    ):
        await line.subscribe(f"{topics.ROOT}/#")
        listening = group.create_task(listen(line), name="listen")
        yield here, viewer, everything
        listening.cancel()
    everything.seen["logs"] += [(directory / f"{name}.log").read_bytes() for name in ("broker", "sidecar")]


async def look_into(session: DebugSession, reference: int, depth: int = 4) -> None:
    """All that can be unfolded."""
    for each in await session.variables(reference):
        is_group = each["name"].endswith(" variables")
        if each["variablesReference"] and depth and not is_group:
            await look_into(session, each["variablesReference"], depth - 1)


async def debug(session: DebugSession, program: Program, started: Running) -> None:
    """Stops, reads, evaluates, steps, logs, and stops at an exception."""
    logs = {"line": program.line("raises"), "logMessage": "{make_token('logged')} and {user}"}
    stops = {"line": program.line("stop here")}
    source = {"path": str(program.path)}
    await session.request("setBreakpoints", source=source, breakpoints=[stops, logs])
    await started.hears("again")
    frames = await expect.stopped_at(session, program, "stop here")
    frame = frames[0]["id"]
    for scope in (await session.scopes(frame))[:1]:
        await look_into(session, scope["variablesReference"])
        for name, value in (("password", "password + 'x'"), ("some", "some + 'x'")):
            await session.request(
                "setVariable", variablesReference=scope["variablesReference"], name=name, value=value
            )
    for expression in EXPRESSIONS:
        for context in ("watch", "hover", "repl", "clipboard"):
            with suppress(DapError):
                await session.evaluate(expression, frame=frame, context=context)
    await session.request("setExpression", expression="user.api_key", value="password", frameId=frame)
    await session.threads()
    output = session.events()
    await session.request("setExceptionBreakpoints", filters=["raised"])
    await session.next()
    await session.stopped()
    frame = (await session.stack())[0]["id"]
    await look_into(session, (await session.scopes(frame))[0]["variablesReference"])
    await session.continue_()
    stopped = await session.stopped()
    await session.request("exceptionInfo", threadId=stopped.thread)
    async for event in output:
        if event["event"] == "output":
            break
    await session.request("setExceptionBreakpoints", filters=[])
    await session.set_breakpoints(str(program.path), [])
    await session.continue_()


async def look_at_all(
    directory: Path, python: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Everything, list[dict[str, Any]]]:
    """And the variables that the viewer saw."""
    canary = "canary" + secrets.token_hex(8)
    program = Program.write(directory, PROGRAM)
    options = {
        "SHOP_PASSWORD": canary + "variable",
        "SONDE_REDACTION": mode,
        "SONDE_LOG_LEVEL": "debug",
        "SONDE_LOG_FILE": str(directory / "sidecar.log"),
    }
    async with recorded(directory, canary, monkeypatch) as (here, viewer, everything):
        arguments = ("--token", canary + "argument")
        async with here.run(program, *arguments, service="shop", python=python, **options) as started:
            (presence,) = await appeared(viewer, "shop")
            await started.says("printed")
            async with viewer.debug(presence.process) as session:
                await debug(session, program, started)
            await viewer.stacks(presence.process)
            await viewer.tasks(presence.process)
            await viewer.diagnose(presence.process)
            runtime = await viewer.runtime(presence.process)
            assert runtime.flags["redaction"] == mode
            with suppress(Refused):
                await viewer.modules(presence.process)
            ended = asyncio.ensure_future(_ended(viewer, presence.process))
            await started.hears("end")
            await ended
    return everything, _variables(everything)


async def _ended(viewer: Viewer, process: str) -> None:
    async for changed in viewer.watch("presence", process):
        assert isinstance(changed, bus.Presence)
        if changed.state == "ended":
            return


def _variables(everything: Everything) -> list[dict[str, Any]]:
    """By the bodies of the answers."""
    bodies = [json.loads(each).get("result") for each in everything.seen["viewer"]]
    found = [
        each["body"].get("variables", []) for each in bodies if isinstance(each, dict) and "body" in each
    ]
    return [variable for each in found for variable in each]


async def test_no_canary_leaves_the_process(
    tmp_path: Path, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything, variables = await look_at_all(tmp_path, python, "standard", monkeypatch)
    for where in everything.seen:
        assert everything.found(where) == {}
    shown = {each["name"]: each["value"] for each in variables}
    assert (shown["password"], shown["'colour'"], shown["name"]) == ("<redacted>", "'blue'", "'ana'")
    assert all(everything.seen.values())


async def test_where_no_values_are_shown_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything, variables = await look_at_all(tmp_path, sys.executable, "strict", monkeypatch)
    for where in everything.seen:
        assert everything.found(where) == {}
    shown = {each["name"]: each["value"] for each in variables}
    assert (shown["password"], shown["count"], shown["user"]) == ("<redacted>", "<int>", "<User>")
    assert "blue" not in repr(variables)


async def test_the_search_would_find_each_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything, _ = await look_at_all(tmp_path, sys.executable, "off", monkeypatch)
    for where in ("bus", "viewer"):
        # what the program prints, and the text of what ended it, are nobody's to see in any mode
        assert everything.found(where).keys() == set(PLACES) - {"printed", "ended"}
