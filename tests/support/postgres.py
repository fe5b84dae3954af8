"""A private PostgreSQL: a cluster in a temporary directory, on a Unix socket there and on no port.

PostgreSQL does not run as root, so root starts it as an unprivileged user.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from tests.support import parts

USER = "sonde"
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "40",
    "shared_buffers": "16MB",
    "fsync": "off",  # it is killed here, but the machine is not
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


def programs() -> Path | None:
    """Where initdb and pg_ctl are."""
    return Path(parts.INITDB).resolve().parent if parts.INITDB else None


def missing() -> str:
    """Why it cannot be used here; empty: it can."""
    if programs() is None:
        return "PostgreSQL is not here (as root: apt-get install postgresql)"
    if os.geteuid() == 0 and _unprivileged() is None:
        return "there is no unprivileged user to run PostgreSQL as"
    return ""


def _unprivileged() -> str | None:
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    return None


class Cluster:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._names = count(1)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@/{database}?host={self.directory}"

    def new_database(self) -> str:
        """Its URL."""
        name = f"test{next(self._names)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def run(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(
            f"user={USER} dbname={database} host={self.directory}", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        settings = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
        self._program(
            "pg_ctl",
            *("-w", "-t", "30", "-l", str(self.directory / "log")),
            *("-o", f"-k '{self.directory}' {settings}", "start"),
        )

    def stop(self, how: str = "fast") -> None:
        """`immediate` is the end without a word, as by kill."""
        self._program("pg_ctl", "-w", "-t", "30", "-m", how, "stop")

    def make(self) -> None:
        self._program("initdb", "--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync")

    def _program(self, name: str, *arguments: str) -> None:
        found = programs()
        assert found is not None
        user = _unprivileged() if os.geteuid() == 0 else None
        done = subprocess.run(
            [str(found / name), "-D", str(self.directory / "data"), *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    directory = Path(tempfile.mkdtemp(prefix="sonde-pg-"))  # short: a socket's path has at most 107 bytes
    if os.geteuid() == 0:
        account = pwd.getpwnam(_unprivileged() or "nobody")
        os.chown(directory, account.pw_uid, account.pw_gid)
    made = Cluster(directory)
    try:
        made.make()
        made.start()
        try:
            yield made
        finally:
            made.stop("immediate")
    finally:
        shutil.rmtree(directory)
