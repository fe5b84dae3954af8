"""The real parts that tests use where the machine has them. Standard library only: the runner asks too."""

import os
import shutil
from pathlib import Path

PACKAGES = {
    "mosquitto": ("mosquitto", "mosquitto-clients"),
    "nats-server": ("nats-server",),
    "chromium": ("chromium",),
    "gdb": ("gdb",),
    "initdb": ("postgresql",),
}
"""Debian's packages of each part."""


def find(part: str) -> str | None:
    """Its path. Debian keeps servers in /usr/sbin, and PostgreSQL's in a directory of their own, which are not on
    everybody's PATH."""
    postgresql = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    everywhere = (os.environ["PATH"], "/usr/sbin", "/usr/local/sbin", *postgresql)
    return shutil.which(part, path=os.pathsep.join(everywhere))


MOSQUITTO = find("mosquitto")
NATS = find("nats-server")
GDB = find("gdb")
CHROMIUM = find("chromium") or find("chromium-browser")
INITDB = find("initdb")
