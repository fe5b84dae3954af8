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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests import page
from tests.pythons import ROOT, WANTED, as_variable, environments
from tests.support import parts

ON_EVERY_INTERPRETER = ("tests/wire", "tests/agent")
WHOLE = "tests/end_to_end"
AT_A_TIME = 3
"""Runs of pytest. More of them on two cores are little faster, and reach the deadlines of single tests."""


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


def pytest(
    python: str, *arguments: str, output: int | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`output` is where it prints, as `subprocess` has it; when it is not given, here."""
    return subprocess.run(
        [python, "-m", "pytest", "-q", "-rs", *arguments],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        text=True,
        check=False,
    )


@dataclass(frozen=True)
class Lane:
    """One run of pytest, beside others: the tests wait more than they compute."""

    name: str
    python: str
    paths: tuple[str, ...]

    def run(self, **variables: str) -> bool:
        """Whether all passed. What it prints is shown whole, when it has ended."""
        began = time.monotonic()
        alone = ("-p", "no:cacheprovider")  # the cache is one for all runs
        done = pytest(self.python, *alone, *self.paths, output=subprocess.PIPE, **variables)
        say(f"== {self.name}: {time.monotonic() - began:.0f} s\n{_without_dots(done.stdout)}")
        return done.returncode == 0


def _without_dots(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.endswith("%]"))


def lanes(pythons: dict[str, str]) -> list[Lane]:
    """The longest first, so that they end together."""
    inner = ("tests/wire", "tests/agent/sidecar", "tests/agent/tap")
    outer = tuple(
        f"tests/agent/{each.name}"
        for each in sorted((ROOT / "tests/agent").iterdir())
        if f"tests/agent/{each.name}" not in inner and (each.match("test_*.py") or _has_tests(each))
    )
    others = tuple(
        f"tests/{each.name}"
        for each in sorted((ROOT / "tests").iterdir())
        if f"tests/{each.name}" not in (*ON_EVERY_INTERPRETER, WHOLE) and _has_tests(each)
    )
    here = next(version for version, python in pythons.items() if python == sys.executable)
    whole = sorted((ROOT / WHOLE).glob("test_*.py"))
    found = [
        Lane(f"all of them, end to end, {half} of 2", sys.executable, tuple(map(str, whole[half - 1 :: 2])))
        for half in (1, 2)
    ]
    for version, python in pythons.items():
        found.append(Lane(f"CPython {version}: {' '.join(inner)}", python, inner))
    found.append(Lane(f"CPython {here}: {' '.join(others)}", sys.executable, others))
    for version, python in pythons.items():
        found.append(Lane(f"CPython {version}: the rest of tests/agent", python, outer))
    return found


def _has_tests(folder: Path) -> bool:
    return folder.is_dir() and any(folder.rglob("test_*.py"))


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
        return pytest(sys.executable, *arguments, SONDE_TEST_PYTHONS=programs).returncode

    failed: list[str] = []
    say("== the page")
    if page.main("test"):
        failed.append("the page")
    wanted = lanes(pythons)
    for lane in wanted:
        say(f"== begun: {lane.name}")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        passed = list(pool.map(lambda lane: lane.run(SONDE_TEST_PYTHONS=programs), wanted))
    failed += [lane.name for lane, good in zip(wanted, passed, strict=True) if not good]

    say(f"== tested on CPython {', '.join(sorted(pythons))} in {time.monotonic() - began:.0f} s")
    for line in left_out:
        say(f"== left out: {line}")
    for name in failed:
        say(f"== FAILED: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
