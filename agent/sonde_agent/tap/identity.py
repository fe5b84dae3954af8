"""Who this process says it is.

Each part comes from the argument, else from the environment, else from a guess. The names are levels of the
process's address; the rule is the wire's (sonde_wire.addresses), repeated here because the tap cannot import
it, and held to it by a test.
"""

# pathlib costs a program that does not use it more at start than it would be worth here.
# ruff: noqa: PTH100, PTH109, PTH119, PTH123

import os
import re
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import sonde_agent
from sonde_agent import link
from sonde_agent.tap.errors import InvalidIdentity

_LEVEL = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_NOT_ALLOWED = re.compile(r"[^a-z0-9._-]+")
_LEVEL_RULE = "use lower-case letters, digits, '.', '_' and '-' (at most 63, a letter or digit at both ends)"
_MOST_LABELS = 32
_LONGEST_LABEL = 255
_LONGEST_ARGUMENT = 4096
_MOST_ARGUMENTS = 256


@dataclass(frozen=True, kw_only=True)
class Identity:
    """An empty instance lets the sidecar make one from host and pid."""

    namespace: str
    service: str
    instance: str
    labels: Mapping[str, str]
    boot: str
    started: float

    def hello(self, token: str) -> link.Hello:
        return link.Hello(
            version=link.VERSION,
            token=token,
            boot=self.boot,
            namespace=self.namespace,
            service=self.service,
            instance=self.instance,
            pid=os.getpid(),
            parent_pid=os.getppid(),
            started=self.started,
            host=plain(socket.gethostname()),
            python=".".join(str(part) for part in sys.version_info[:3]),
            implementation=sys.implementation.name,
            executable=plain(sys.executable or ""),
            argv=[plain(argument[:_LONGEST_ARGUMENT]) for argument in sys.orig_argv[:_MOST_ARGUMENTS]],
            main=_main_path(),
            directory=_directory(),
            labels=dict(self.labels),
            agent_version=sonde_agent.VERSION,
        )


def resolve(
    service: str | None,
    namespace: str | None,
    instance: str | None,
    labels: Mapping[str, str] | None,
    environment: Mapping[str, str],
) -> Identity:
    """Raises `InvalidIdentity`, naming the part that is wrong."""
    chosen = service or environment.get("SONDE_SERVICE") or guess_service(sys.orig_argv)
    instance = instance or environment.get("SONDE_INSTANCE") or ""
    if labels is None:
        labels = parse_labels(environment.get("SONDE_LABELS", ""))
    return Identity(
        namespace=checked_level("namespace", namespace or environment.get("SONDE_NAMESPACE") or "default"),
        service=checked_level("service", chosen),
        instance=checked_level("instance", instance) if instance else "",
        labels=_checked_labels(labels),
        boot=os.urandom(16).hex(),
        started=process_started(),
    )


def checked_level(what: str, text: str) -> str:
    if not _LEVEL.fullmatch(text):
        raise InvalidIdentity(what, text, _LEVEL_RULE)
    return text


def to_level(text: str, fallback: str) -> str:
    """The nearest legal level to any text."""
    return _NOT_ALLOWED.sub("-", text.lower())[:63].strip("._-") or fallback


def guess_service(command: list[str]) -> str:
    """From the words after the interpreter: `python -m shop.worker` is `shop.worker`, `/srv/app.py` is `app`, a
    directory or its `__main__.py` is the directory's name."""
    target = program_of(command[1:])
    if target is None:
        return "python"
    kind, name = target
    if kind == "-m":
        return to_level(name.removesuffix(".__main__"), "python")
    directory, file = os.path.split(os.path.abspath(name))
    stem = file.removesuffix(".py")
    return to_level(os.path.basename(directory) if stem == "__main__" else stem, "python")


_TAKE_A_VALUE = frozenset("WX")


def program_of(words: list[str]) -> tuple[str, str] | None:
    """What a Python command line runs: ("-m", module) or ("file", path); None for -c, standard input, nothing."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(rest, None)
            continue
        if not word.startswith("-") or word == "-":
            return ("file", word) if word and word != "-" else None
        for position, letter in enumerate(word[1:], start=2):
            attached = word[position:]
            if letter == "m":
                module = attached or next(rest, "")
                return ("-m", module) if module else None
            if letter == "c":
                return None
            if letter in _TAKE_A_VALUE:
                if not attached:
                    next(rest, None)
                break
    return None


def parse_labels(text: str) -> dict[str, str]:
    """`k=v,k=v`. Raises `InvalidIdentity`."""
    labels = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals:
            raise InvalidIdentity("label", pair, "labels are written key=value,key=value")
        labels[key.strip()] = value.strip()
    return labels


def _checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    if len(labels) > _MOST_LABELS:
        raise InvalidIdentity("labels", str(len(labels)), f"at most {_MOST_LABELS} are allowed")
    for key, value in labels.items():
        checked_level("name of a label", key)
        if not isinstance(value, str) or len(value) > _LONGEST_LABEL:
            raise InvalidIdentity(
                f"label {key}", str(value), f"use text of at most {_LONGEST_LABEL} characters"
            )
    return {key: plain(value) for key, value in labels.items()}


def process_started() -> float:
    """Seconds since the epoch, from the kernel (proc_pid_stat(5), field 22); now, where there is no /proc."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/stat", "rb") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith(b"btime "))
        return boot + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return time.time()


def plain(text: str) -> str:
    """Text without lone surrogates (a path or argument that is not UTF-8 has some), so that it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode()


def _main_path() -> str | None:
    """Of the main script. Before `__main__` has run, as when injected, from the command line."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(path, str):
        target = program_of(sys.orig_argv[1:])
        path = target[1] if target and target[0] == "file" else None
    try:
        return plain(os.path.abspath(path)) if path else None
    except OSError:  # the working directory is gone
        return plain(path or "") or None


def _directory() -> str:
    try:
        return plain(os.getcwd())
    except OSError:
        return ""
