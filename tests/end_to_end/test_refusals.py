"""What must not work, over the real path: each case gets its defined code, and nothing else breaks."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets import Origin, Subprotocol
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sonde_viewer import Refused, Viewer, connect
from sonde_viewer.errors import ConnectionDenied
from sonde_wire import Code, Reason
from sonde_wire.rpc import CLOSE_UNAUTHENTICATED, SUBPROTOCOL
from tests.support.debuggee import Program
from tests.support.site import Site, appeared


async def _still_works(viewer: Viewer) -> None:
    assert await viewer.processes() is not None


async def _raw(site: Site, token: str | None = None) -> ClientConnection:
    return await websocket(
        site.url.replace("http", "ws", 1) + "/ws",
        additional_headers={"Authorization": f"Bearer {token or site.token}"},
        subprotocols=[Subprotocol(SUBPROTOCOL)],
    )


async def _ask(line: ClientConnection, message: Any) -> dict[str, Any]:
    await line.send(message if isinstance(message, str) else json.dumps(message))
    async with asyncio.timeout(10):
        while True:
            told: dict[str, Any] = json.loads(await line.recv())
            if "method" not in told:  # no notification
                return told


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iat": 1_000, "nbf": 1_000, "exp": 2_000}, id="expired"),
        pytest.param({"aud": "another-service"}, id="wrong audience"),
        pytest.param({"iss": "somebody-else"}, id="wrong issuer"),
    ],
)
async def test_a_token_that_does_not_hold_is_refused(
    here: Site, viewer: Viewer, claims: dict[str, Any]
) -> None:
    good = jwt.decode_complete(here.token, options={"verify_signature": False})
    secret = (here.directory / "secret").read_bytes().strip()
    token = jwt.encode({**good["payload"], **claims}, secret, algorithm="HS256", headers=good["header"])
    with pytest.raises(InvalidStatus) as refused:
        await _raw(here, token)
    assert refused.value.response.status_code == 401
    with pytest.raises(ConnectionDenied) as told:
        async with connect(here.url, token):
            pass
    assert told.value.failure.code is Code.UNAUTHENTICATED
    await _still_works(viewer)


async def test_a_browser_with_a_bad_token_is_closed_with_its_own_code(here: Site, viewer: Viewer) -> None:
    line = await websocket(
        here.url.replace("http", "ws", 1) + "/ws",
        origin=Origin(here.url),
        subprotocols=[Subprotocol(SUBPROTOCOL), Subprotocol("sonde.bearer.not-a-token")],
    )
    with pytest.raises(ConnectionClosed) as closed:
        await line.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == CLOSE_UNAUTHENTICATED
    assert line.subprotocol == SUBPROTOCOL
    await _still_works(viewer)


async def test_a_page_of_another_origin_gets_no_socket(here: Site) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await websocket(
            here.url.replace("http", "ws", 1) + "/ws",
            origin=Origin("https://evil.example"),
            subprotocols=[Subprotocol(SUBPROTOCOL), Subprotocol(f"sonde.bearer.{here.token}")],
        )
    assert refused.value.response.status_code == 403


async def test_what_the_scopes_do_not_allow_is_not_done(here: Site, viewer: Viewer, tmp_path: Path) -> None:
    program = Program.write(tmp_path, "import time\nwhile True:\n    time.sleep(0.01)  # stop here\n")
    token = here.issue("--sub", "bob", "--scope", "observe control", "--processes", "*/*/*")
    async with here.run(program, service="guarded"), here.viewer(token) as bob:
        (presence,) = await appeared(viewer, "guarded")
        with pytest.raises(Refused) as stacks:
            await bob.stacks(presence.process)
        assert stacks.value.failure.reason is Reason.MISSING_SCOPE
        async with bob.debug(presence.process) as session:
            canary = tmp_path / "executed"
            code = f"open({str(canary)!r}, 'w').close()"
            with pytest.raises(Refused) as evaluated:
                await session.request("evaluate", expression=code)
            assert evaluated.value.failure.code is Code.PERMISSION_DENIED
            with pytest.raises(Refused) as conditional:
                await session.request(
                    "setBreakpoints",
                    source={"path": str(program.path)},
                    breakpoints=[{"line": program.line("stop here"), "condition": code}],
                )
            assert conditional.value.failure.reason is Reason.MISSING_SCOPE
            await session.set_breakpoints(str(program.path), [program.line("stop here")])
            await session.stopped()
            assert not canary.exists()
    await _still_works(viewer)


async def test_a_process_outside_the_selector_looks_like_none(
    here: Site, viewer: Viewer, tmp_path: Path
) -> None:
    program = Program.write(tmp_path, "import time\nwhile True: time.sleep(0.01)")
    token = here.issue("--sub", "bob", "--scope", "observe inspect", "--processes", "*/other/*")
    async with here.run(program, service="secret"), here.viewer(token) as bob:
        (presence,) = await appeared(viewer, "secret")
        assert not await bob.processes()
        for name in (presence.process, "default/nothing/here"):
            with pytest.raises(Refused) as refused:
                await bob.stacks(name)
            assert refused.value.failure.reason is Reason.UNKNOWN_PROCESS


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param("{", Reason.MALFORMED_MESSAGE, id="not JSON"),
        pytest.param("[]", Reason.MALFORMED_MESSAGE, id="an array"),
        pytest.param(
            {"jsonrpc": "2.0", "id": 1, "method": "no.such"}, Reason.UNKNOWN_METHOD, id="unknown method"
        ),
        pytest.param(
            {"jsonrpc": "2.0", "id": 1, "method": "process.list", "params": {"selector": 3}},
            Reason.INVALID_PARAMS,
            id="wrong type",
        ),
        pytest.param(
            {"jsonrpc": "2.0", "id": 1, "method": "process.list", "params": {"colour": "red"}},
            Reason.INVALID_PARAMS,
            id="unknown field",
        ),
        pytest.param(
            {"jsonrpc": "2.0", "id": 1, "method": "process.stacks", "params": {"process": "a/b/c"}},
            Reason.UNKNOWN_PROCESS,
            id="unknown process",
        ),
        pytest.param(
            {"jsonrpc": "2.0", "id": 1, "method": "session.close", "params": {"session": "x"}},
            Reason.UNKNOWN_SESSION,
            id="unknown session",
        ),
    ],
)
async def test_rubbish_is_answered_with_its_reason_and_the_line_lives(
    here: Site, viewer: Viewer, message: Any, reason: Reason
) -> None:
    async with await _raw(here) as line:
        answer = await _ask(line, message)
        assert answer["error"]["data"]["reason"] == reason
        again = await _ask(line, {"jsonrpc": "2.0", "id": 2, "method": "whoami"})
        assert again["result"]["subject"]
    await _still_works(viewer)


async def test_an_oversized_message_closes_its_sender_only(here: Site, viewer: Viewer) -> None:
    async with await _raw(here) as line:
        with pytest.raises(ConnectionClosed) as closed:
            await _ask(line, "x" * 1_000_000)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    await _still_works(viewer)
