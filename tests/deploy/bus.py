"""Mosquitto with the configuration of deploy/, on a port and with paths of a test."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sonde_wire.mqtt import BusUrl
from tests.deploy import make_secrets_file
from tests.deploy.manifests import DEPLOY
from tests.support import parts

FILES = DEPLOY / "mosquitto"
PROGRAM = parts.MOSQUITTO
PATIENCE = 10.0


class Bus:
    def __init__(self, port: int, secrets: Path) -> None:
        self.port = port
        self.secrets = secrets

    def url(self, user: str) -> BusUrl:
        password = (self.secrets / f"{user}-bus-password").read_text()
        return BusUrl("127.0.0.1", self.port, user=user, password=password)


@asynccontextmanager
async def running(tmp_path: Path, port: int) -> AsyncIterator[Bus]:
    if PROGRAM is None:
        pytest.skip("mosquitto is not installed")
    secrets = tmp_path / "secrets"
    make_secrets_file.module().make(secrets)
    text = (FILES / "mosquitto.conf").read_text()
    for there, here in (
        ("listener 1883", f"listener {port} 127.0.0.1"),
        ("/run/secrets", str(secrets)),
        ("/etc/sonde", str(FILES)),
    ):
        assert there in text
        text = text.replace(there, here)
    text += "log_type information\n"  # says when it is running
    if os.geteuid() == 0:
        text += "user root\n"  # otherwise it changes to a user that cannot enter the private directory
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(text)
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "-c", str(configuration), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            seen = b""
            while b" running" not in seen:
                line = await process.stderr.readline()
                assert line, f"mosquitto ended: {seen.decode()}"
                seen += line
        drain = asyncio.create_task(process.stderr.read(), name="mosquitto's log")
        yield Bus(port, secrets)
    finally:
        process.terminate()
        await process.wait()
    await drain
