"""`make test`: every test, on every CPython of 3.11, 3.12 and 3.13 that the machine has.

Installs the real parts that are missing (Mosquitto, Chromium) where it may; otherwise runs on the embedded
parts and says at the end which tests were left out, and why. Arguments go to pytest, which then runs once, on
this interpreter only.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests import page

ROOT = Path(__file__).parent.parent
REAL_PARTS = {"mosquitto": ("mosquitto", "mosquitto-clients"), "chromium": ("chromium",)}
ON_EVERY_INTERPRETER = ("tests/wire", "tests/agent")
WANTED = ("3.11", "3.12", "3.13")


def say(text: str) -> None:
    print(text, flush=True)


def install_real_parts() -> list[str]:
    """Returns a line for each part that is still missing."""
    missing = [name for name in REAL_PARTS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]
    if not missing:
        return []
    if os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [package for name in missing for package in REAL_PARTS[name]]
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
    still = [name for name in missing if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]
    return [f"{name} is not here (as root: apt-get install {' '.join(REAL_PARTS[name])})" for name in still]


def interpreters() -> dict[str, str]:
    """One CPython for each wanted version, this one first."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}

    def candidates() -> Iterator[str]:
        for version in WANTED:
            yield f"python{version}"
        yield from sorted(map(str, Path.home().glob(".pyenv/versions/3.1[123].*/bin/python")), reverse=True)

    for candidate in candidates():
        path = shutil.which(candidate)
        if path is None:
            continue
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        match = re.match(r"Python (3\.\d+)\.", told)
        if match and match[1] in WANTED:
            found.setdefault(match[1], path)
    return found


def environment_of(version: str, base: str) -> str | None:
    """The interpreter of a virtual environment with the agent and pytest in it; None when it cannot be made."""
    home = ROOT / ".venvs" / version
    python, stamp = home / "bin" / "python", home / ".installed"
    wanted = (ROOT / "requirements-test.lock").read_text() + (ROOT / "pyproject.toml").read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return str(python)
    say(f"== a virtual environment for CPython {version}")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for step in (
        [base, "-m", "venv", "--clear", str(home)],
        [*pip, "--require-hashes", "-r", "requirements-test.lock"],
        [*pip, "--no-deps", "-e", "."],
    ):
        if subprocess.run(step, cwd=ROOT, env={**os.environ, "SONDE_SKIP_WEB": "1"}, check=False).returncode:
            return None
    stamp.write_text(wanted)
    return str(python)


def pytest(python: str, *arguments: str, **variables: str) -> int:
    command = [python, "-m", "pytest", "-q", "-rs", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False).returncode


def main(arguments: list[str]) -> int:
    began = time.monotonic()
    os.environ["PATH"] += f"{os.pathsep}/usr/sbin"
    left_out = install_real_parts()
    pythons: dict[str, str] = {}
    for version, base in interpreters().items():
        python = sys.executable if base == sys.executable else environment_of(version, base)
        if python is None:
            left_out.append(f"CPython {version} at {base}: its virtual environment could not be made")
        else:
            pythons[version] = python
    left_out += [f"CPython {version} is not here" for version in WANTED if version not in pythons]
    programs = os.pathsep.join(f"{version}={python}" for version, python in pythons.items())

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
