"""Source files of the process: which it has imported, and the text of one.

A viewer may read what the process runs and nothing else: after links are followed, the file must be one that
a loaded module came from, or a `.py` file below the main script's directory or the working directory. Every
other path, whether it exists or not, gets the same answer.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH100, PTH109, PTH115, PTH116, PTH117, PTH120

import io
import os
import stat
import sys
import tokenize
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sonde_agent.tap import digest
from sonde_agent.tap.errors import CallRefused
from sonde_agent.tap.identity import plain

LARGEST = 2 * 1024 * 1024
"""Bytes of a source file."""
MOST_FILES = 20_000
MOST_FILES_OF_LINES = 200
"""Files of which single lines are shown at a time; lines of further ones are left out."""
LONGEST_LINE = 200

_NOT_SOURCE = (".pyc", ".so", ".pyd", ".zip", ".egg")
OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__))
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def list_files() -> dict[str, Any]:
    """Fields of the wire's `Sources`; one entry a file, under the first module that came from it."""
    files: dict[str, dict[str, Any]] = {}
    for name, path in _module_files():
        if path.endswith(".py") and path not in files and len(files) < MOST_FILES:
            entry = {"path": plain(path), "module": plain(name), "application": is_application(path)}
            files[path] = entry
    return {"files": list(files.values())}


def read(path: str) -> dict[str, Any]:
    """Fields of the wire's `Source`. Raises `CallRefused` (not_found, no_such_file)."""
    if not is_path(path) or not os.path.isabs(path):
        raise _no_such_file()
    real = os.path.realpath(path)
    if not _is_ours_to_show(path, real):
        raise _no_such_file()
    content = read_file(real, in_place=True)
    if content is None:
        raise _no_such_file()
    return {"path": path, "text": decode(content), "sha256": digest.sha256(content)}


class Lines:
    """Single lines of source, for the time of one answer. Not by `linecache`, whose cache is the program's."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def at(self, path: str, line: int) -> str:
        """Empty where there is none."""
        if path not in self._files:
            if len(self._files) >= MOST_FILES_OF_LINES or path.startswith("<"):
                return ""
            self._files[path] = decode(read_file(path) or b"").split("\n")
        lines = self._files[path]
        return plain(lines[line - 1].strip()[:LONGEST_LINE]) if 0 < line <= len(lines) else ""


def may_be_read(path: str) -> bool:
    """Whether a path leads to a source file of the process, by its name and place; it need not exist."""
    return is_path(path) and os.path.isabs(path) and _is_ours_to_show(path, os.path.realpath(path))


def is_path(text: str) -> bool:
    """Whether a text can name a file at all: what arrives may have a zero in it, or be no text in any encoding."""
    try:
        return b"\0" not in os.fsencode(text) and text != ""
    except UnicodeEncodeError:
        return False


def is_application(path: str) -> bool:
    """False for the standard library, what is installed beside it, and Sonde itself."""
    if any(part in path for part in _INSTALLED):
        return False
    return not any(path.startswith(directory + os.sep) for directory in (_STANDARD_LIBRARY, OURS))


def read_file(path: str, *, in_place: bool = False) -> bytes | None:
    """The bytes of a regular file of at most LARGEST; None for anything else. Never waits for a FIFO or device.

    With `in_place` what was opened must be what the path says: between a check of the path and here, a directory
    of it may have become a link to another.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            return None
        if in_place and _opened_path(descriptor, path) != path:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return content if len(content) <= LARGEST else None


def decode(content: bytes) -> str:
    """As Python reads source (PEP 263); what is not text in its encoding is replaced."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding, "replace")
    except (SyntaxError, LookupError, ValueError):
        return content.decode("utf-8", "replace")


def _opened_path(descriptor: int, path: str) -> str:
    """Where an open file is, as the kernel says it (proc_pid_fd(5)); where it cannot say, as the path leads now."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        same = os.path.samestat(os.stat(path), os.fstat(descriptor))
        return os.path.realpath(path) if same else ""


def _is_ours_to_show(path: str, real: str) -> bool:
    if real.endswith(_NOT_SOURCE):
        return False
    if real.endswith(".py") and any(real.startswith(root + os.sep) for root in _roots()):
        return True
    files = {file for _, file in _module_files()}
    return path in files or real in files or any(real == os.path.realpath(file) for file in files)


def _roots() -> Iterator[str]:
    """Never the file system's root, which is where a container without WORKDIR stands."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    candidates = [os.path.dirname(os.path.abspath(main))] if isinstance(main, str) else []
    try:
        candidates.append(os.getcwd())
    except OSError:  # it is gone
        return
    yield from filter(lambda root: root != os.sep, map(os.path.realpath, candidates))


def _module_files() -> Iterator[tuple[str, str]]:
    """Without running any code of the modules, some of which load themselves when touched."""
    for name, module in sys.modules.copy().items():
        if not issubclass(type(module), ModuleType):
            continue
        path = object.__getattribute__(module, "__dict__").get("__file__")
        if type(name) is str and type(path) is str and path:
            yield name, os.path.abspath(path)


def _no_such_file() -> CallRefused:
    return CallRefused(
        "not_found",
        "no_such_file",
        "this is not a source file of the process, or it cannot be read: sources are the files of imported "
        "modules and .py files below the program's directory, at most 2 MiB each",
    )
