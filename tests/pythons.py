"""The CPythons of this machine that Sonde is tested and measured on, each with an environment of its own."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
WANTED = ("3.11", "3.12", "3.13")


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
    """The interpreter of a virtual environment with the agent and pytest in it; None when it cannot be made. Tests and a
    bench that begin together wait for one another."""
    home = ROOT / ".venvs" / version
    home.parent.mkdir(exist_ok=True)
    with (home.parent / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _environment_in(home, version, base)


def _environment_in(home: Path, version: str, base: str) -> str | None:
    python, stamp = home / "bin" / "python", home / ".installed"
    wanted = (ROOT / "requirements-test.lock").read_text() + (ROOT / "pyproject.toml").read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return str(python)
    print(f"== a virtual environment for CPython {version}", file=sys.stderr, flush=True)
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


def environments() -> dict[str, str]:
    """The interpreter to use for each version; one whose environment cannot be made is left out."""
    pythons: dict[str, str] = {}
    for version, base in interpreters().items():
        python = sys.executable if base == sys.executable else environment_of(version, base)
        if python is not None:
            pythons[version] = python
    return pythons


def as_variable(pythons: dict[str, str]) -> str:
    """The value of SONDE_TEST_PYTHONS, which `tests.support.debuggee` reads."""
    return os.pathsep.join(f"{version}={python}" for version, python in pythons.items())
