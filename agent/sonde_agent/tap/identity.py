"""Who this process says it is.

Each part comes from the argument, else from the environment, else from its parent (the service), else from a
guess. A child that was given its parent's names gets its number behind the instance. The names are levels of the
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

import sonde_agent
from sonde_agent import link
from sonde_agent.records import Record, changed
from sonde_agent.tap import children, redacting
from sonde_agent.tap.errors import InvalidIdentity

_LEVEL = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_NOT_ALLOWED = re.compile(r"[^a-z0-9._-]+")
_LEVEL_RULE = "use lower-case letters, digits, '.', '_' and '-' (at most 63, a letter or digit at both ends)"
_LONGEST_LEVEL = 63
_MOST_LABELS = 32
_LONGEST_LABEL = 255
_MOST_ARGUMENTS = 256


class Identity(Record):
    """An empty namespace is the sidecar's; an empty instance lets it make one from host and pid. `is_numbered`: the
    process gets its number behind the instance, because another, that made it, has the name."""

    namespace: str
    service: str
    instance: str
    labels: Mapping[str, str]
    boot: str
    pid: int
    parent_boot: str = ""
    is_numbered: bool = False
    _if_alive: tuple[int, str] | None = None
    """Number and boot of the process that made this one: when it still lives, that is the parent."""

    def forked(self, known: bool | None) -> "Identity":
        """Of a child, in the child. `known`: whether this process is known to anybody; None when it will be if it
        lives for another moment. One that is not is nobody's parent: its own takes its place."""
        certain = self.boot if known else self.parent_boot
        # not its number from getppid(): it may have ended already
        uncertain = (self.pid, self.boot) if known is None else None
        return changed(
            self,
            boot=_new_boot(),
            pid=os.getpid(),
            parent_boot=certain,
            _if_alive=uncertain,
            is_numbered=True,
        )

    def known(self) -> "Identity":
        """At the moment in which it becomes known."""
        if self._if_alive is None:
            return self
        pid, boot = self._if_alive
        parent_boot = boot if os.getppid() == pid else self.parent_boot
        return changed(self, parent_boot=parent_boot, _if_alive=None)

    def as_parent(self, sidecar: str, token_file: str) -> children.Parent:
        return children.Parent(
            boot=self.boot,
            pid=self.pid,
            parent_boot=self.parent_boot,
            service=self.service,
            instance=self.instance,
            is_numbered=self.is_numbered,
            sidecar=sidecar,
            token_file=token_file,
        )

    @property
    def full_instance(self) -> str:
        if not self.instance or not self.is_numbered:
            return self.instance
        number = f"-{self.pid}"
        return self.instance[: _LONGEST_LEVEL - len(number)] + number

    def hello(self, token: str, process: str = "", numbered: int = 0) -> link.Hello:
        """The last two are what the sidecar before this one has told."""
        return link.Hello(
            version=link.VERSION,
            token=token,
            boot=self.boot,
            namespace=self.namespace,
            service=self.service,
            instance=self.full_instance,
            pid=os.getpid(),
            parent_pid=os.getppid(),
            started=process_started(),
            host=plain(socket.gethostname()),
            python=".".join(str(part) for part in sys.version_info[:3]),
            implementation=sys.implementation.name,
            executable=plain(sys.executable or ""),
            argv=redacting.current().arguments([plain(each) for each in sys.orig_argv[:_MOST_ARGUMENTS]])[0],
            main=_main_path(),
            directory=_directory(),
            labels=dict(self.labels),
            agent_version=sonde_agent.VERSION,
            process=process,
            numbered=numbered,
            parent_boot=self.parent_boot,
            redaction=redacting.own().mode,
            redact_names=sorted(redacting.own().extra_names),
            show_names=sorted(redacting.own().shown_names),
        )


def resolve(
    service: str | None,
    namespace: str | None,
    instance: str | None,
    labels: Mapping[str, str] | None,
    environment: Mapping[str, str],
    parent: children.Parent | None = None,
) -> Identity:
    """Raises `InvalidIdentity`, naming the part that is wrong. A `parent` with this process's number is what it was
    before it became another program."""
    chosen = (
        service
        or environment.get("SONDE_SERVICE")
        or (parent and parent.service)
        or guess_service(sys.orig_argv)
    )
    namespace = namespace or environment.get("SONDE_NAMESPACE") or ""
    instance = instance or environment.get("SONDE_INSTANCE") or ""
    if labels is None:
        labels = parse_labels(environment.get("SONDE_LABELS", ""))
    same = parent is not None and parent.pid == os.getpid()
    return Identity(
        namespace=checked_level("namespace", namespace) if namespace else "",
        service=checked_level("service", chosen),
        instance=checked_level("instance", instance) if instance else "",
        labels=_checked_labels(labels),
        boot=_new_boot(),
        pid=os.getpid(),
        parent_boot="" if parent is None else parent.parent_boot if same else parent.boot,
        is_numbered=parent is not None
        and (parent.service, parent.instance) == (chosen, instance)
        and (parent.is_numbered or not same),
    )


def _new_boot() -> str:
    return os.urandom(16).hex()


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
