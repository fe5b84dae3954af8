"""Where a sidecar listens, held against a second one, and cleaned of what a killed one left.

    with place(settings) as place:
        server = await asyncio.start_unix_server(..., sock=listening(place.where, settings.socket_mode))

A sidecar that is killed cannot take its socket away, and a socket file alone does not tell whether anybody
listens. So whoever listens at a path holds a lock beside it, which the kernel lets go of when its process ends,
however it ends: a path without a holder is free, one with a holder is refused.
"""

import errno
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from sonde_agent.sidecar.errors import InvalidSettings
from sonde_agent.sidecar.settings import SidecarSettings, read_listen, read_or_make_token

_PREFIX = "sonde-"
_LOCK = "lock"
_ATTEMPTS = 10
_SURELY_STARTED = 300.0
"""Seconds."""


class Place(Struct, frozen=True):
    where: tuple[str, int] | str
    """Host and port, or the path of a Unix socket."""
    token_file: Path
    token: str


@contextmanager
def place(settings: SidecarSettings) -> Iterator[Place]:
    """What was made for it is taken away again. Raises `InvalidSettings`, also when another sidecar is there."""
    with ExitStack() as cleaning:
        directory = Path()
        if settings.listen is None or settings.token_file is None:
            sweep()
            directory = cleaning.enter_context(private_directory(settings.directory))
        where = read_listen(settings.listen) if settings.listen else str(directory / "sidecar.sock")
        if isinstance(where, str) and settings.listen:
            cleaning.enter_context(_alone(Path(where)))
        token_file = Path(settings.token_file) if settings.token_file else directory / "token"
        yield Place(where, token_file, read_or_make_token(token_file, settings.socket_mode))


def listening(path: str, mode: int) -> socket.socket:
    """A Unix socket there, for whom `mode` says. The path is ours (`place`): what a dead sidecar left is removed.
    Raises `OSError`."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is not a socket", path)
        Path(path).unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # by umask and not by chmod after it: in between somebody else could connect
        before = os.umask(0o777 & ~mode)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        listener.listen(100)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


@contextmanager
def private_directory(made: str | None = None) -> Iterator[Path]:
    """A directory that only this user can enter, new or just made by whoever starts us, locked as long as it is
    used."""
    for _ in range(_ATTEMPTS):
        directory = Path(made or tempfile.mkdtemp(prefix=_PREFIX, dir=_runtime()))
        held = _lock(directory / _LOCK)
        if held is not None:
            break
        # whoever sweeps came in between and has taken it away
    else:
        raise InvalidSettings(f"no directory for the socket could be made in {_runtime()}")
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(held)


def sweep() -> None:
    """Removes the private directories of this user whose sidecar was killed. One that is not locked yet because it
    is just being made has no lock file, and is left for a while."""
    for directory in _runtime().glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = directory.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                continue
            if not (directory / _LOCK).is_file():
                if time.time() - status.st_mtime > _SURELY_STARTED:
                    directory.rmdir()  # when it is empty: whoever made it was killed before its sidecar came
                continue
            held = _lock(directory / _LOCK)
            if held is None:
                continue
            try:
                for name in ("sidecar.sock", "token", _LOCK):
                    (directory / name).unlink(missing_ok=True)
                directory.rmdir()
            finally:
                os.close(held)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds the path. The lock and the socket are removed while the lock is held, so never a successor's."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        held = _lock(lock)
    except OSError as error:
        raise InvalidSettings(f"cannot listen on unix:{path}: {error.strerror}: {error.filename}") from None
    if held is None or _answers(path):
        if held is not None:
            os.close(held)
        raise InvalidSettings(
            f"somebody listens on unix:{path} already, most likely another sidecar: give processes its address in "
            "SONDE_SIDECAR, end it, or listen elsewhere"
        )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)
        os.close(held)


def _lock(file: Path) -> int | None:
    """A descriptor that holds the lock; None when somebody else does. Raises `OSError`."""
    for _ in range(_ATTEMPTS):
        held = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # its last holder may have removed it between our open and our lock
            if file.stat().st_ino == os.fstat(held).st_ino:
                return held
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(held)
            return None
        os.close(held)
    return None


def _answers(path: Path) -> bool:
    """Whether somebody who does not know of the lock listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line, suppress(OSError):
        line.settimeout(1.0)
        line.connect(str(path))
        return True
    return False


def _runtime() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) if runtime and Path(runtime).is_dir() else Path(tempfile.gettempdir())
