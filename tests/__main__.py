"""`make test`: every test, on every CPython of 3.11, 3.12 and 3.13 that the machine has.

Installs the real parts that are missing (Mosquitto, Chromium) where it may; otherwise runs on the embedded
parts and says at the end which tests were left out, and why. Arguments go to pytest, which then runs once, on
this interpreter only.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests import page
from tests.pythons import ROOT, WANTED, as_variable, environments
from tests.support import parts

ON_EVERY_INTERPRETER = ("tests/wire", "tests/agent")


def say(text: str) -> None:
    print(text, flush=True)


def install_real_parts() -> list[str]:
    """Returns a line for each part that is still missing."""
    missing = [name for name in parts.PACKAGES if not parts.find(name)]
    if not missing:
        return []
    if os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [package for name in missing for package in parts.PACKAGES[name]]
        say(f"== installing {', '.join(packages)} with apt-get")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

        def apt(*arguments: str) -> None:
            subprocess.run(
                ["apt-get", "-qq", *arguments], stdout=subprocess.DEVNULL, env=environment, check=False
            )

        apt("update")
        # Only what the tests use: mosquitto's own service must not start on this machine.
        policy = Path("/usr/sbin/policy-rc.d")
        ours = not policy.exists()
        if ours:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        try:
            apt("install", "-y", "--no-install-recommends", *packages)
        finally:
            if ours:
                policy.unlink()
    still = [name for name in missing if not parts.find(name)]
    return [
        f"{name} is not here (as root: apt-get install {' '.join(parts.PACKAGES[name])})" for name in still
    ]


def pytest(python: str, *arguments: str, **variables: str) -> int:
    command = [python, "-m", "pytest", "-q", "-rs", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False).returncode


def main(arguments: list[str]) -> int:
    began = time.monotonic()
    os.environ["PATH"] += f"{os.pathsep}/usr/sbin"
    left_out = install_real_parts()
    pythons = environments()
    left_out += [
        f"CPython {version}: it is not here, or its virtual environment could not be made"
        for version in WANTED
        if version not in pythons
    ]
    programs = as_variable(pythons)

    if arguments:
        return pytest(sys.executable, *arguments, SONDE_TEST_PYTHONS=programs)

    failed: list[str] = []
    say("== the page")
    if page.main("test"):
        failed.append("the page")
    for version, python in pythons.items():
        here = python == sys.executable
        say(f"== CPython {version}: {'everything' if here else ' '.join(ON_EVERY_INTERPRETER)}")
        if pytest(python, *(() if here else ON_EVERY_INTERPRETER), SONDE_TEST_PYTHONS=programs):
            failed.append(f"CPython {version}")

    say(f"== tested on CPython {', '.join(sorted(pythons))} in {time.monotonic() - began:.0f} s")
    for line in left_out:
        say(f"== left out: {line}")
    for name in failed:
        say(f"== FAILED: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
