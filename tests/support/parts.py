"""The real parts that tests use where the machine has them. Standard library only: the runner asks too."""

import os
import shutil

PACKAGES = {"mosquitto": ("mosquitto", "mosquitto-clients"), "chromium": ("chromium",), "gdb": ("gdb",)}
"""Debian's packages of each part."""


def find(part: str) -> str | None:
    """Its path. Debian keeps servers in /usr/sbin, which is not on everybody's PATH."""
    return shutil.which(part, path=os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/usr/local/sbin")))


MOSQUITTO = find("mosquitto")
GDB = find("gdb")
CHROMIUM = find("chromium") or find("chromium-browser")
