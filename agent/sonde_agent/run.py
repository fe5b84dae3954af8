"""`sonde run`: a Python program with the tap inside, unchanged.

    with SONDE_SIDECAR    this process becomes the program (exec), and its tap goes to that sidecar
    without               this process stays, as supervisor and sidecar in one, and ends as the program ends

Whatever happens to Sonde, the program runs: without a bus, without a sidecar, after a fault in either.
Python imports `inject/sitecustomize.py` before the program, and before the Python programs that this one starts;
`--no-children` is for the program alone, and the environment is then what it is without us. Otherwise the program
sees two things in its environment: our folder, first on PYTHONPATH, and the variables SONDE_INJECTION and
SONDE_PARENT. A child that gets neither, because it is started with an environment of its own, is not seen.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sonde_agent import configuration, link
from sonde_agent.configuration import InvalidConfiguration
from sonde_agent.tap import children, identity
from sonde_agent.tap.errors import InvalidIdentity

DRAIN_TIMEOUT = 3.0
"""Seconds for the news of the program's end to reach the bus."""
USAGE_ERROR = 2
NOT_STARTED = 127
FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_LOOK_AGAIN = 0.5
"""Seconds after which the thread that waits for signals looks whether the program has ended."""
_FROM_THE_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT})
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_EXAMPLES = """\
examples:
  sonde run app.py --port 8000
  sonde run --service checkout --label version=1.4.2 -m gunicorn shop:app
  sonde run --bus mqtt://127.0.0.1:1883 --namespace staging worker.py
  SONDE_SIDECAR=unix:/run/sonde/sonde.sock sonde run app.py     the pod's sidecar does the talking

What is not given is taken from the environment (SONDE_SERVICE, SONDE_BUS, ...), then from the file that --config
or SONDE_CONFIG names: see docs/configuration.md.
The service is named after the program where nobody names it.
"""


class RunningSidecar(Protocol):
    """What the supervisor needs of `sonde_agent.sidecar.service`."""

    @property
    def address(self) -> link.SidecarAddress: ...
    @property
    def token_file(self) -> Path: ...
    def child_ended(self, pid: int, returncode: int) -> None: ...
    async def drained(self, timeout: float) -> object: ...  # noqa: ASYNC109 - the sidecar's own face


Serve = Callable[[], AbstractAsyncContextManager[RunningSidecar]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`program` is what the interpreter gets: a script or `-m module`, then arguments."""

    python: str
    program: tuple[str, ...]
    start: Mapping[str, str | Mapping[str, str]]
    """Arguments of `sonde_agent.start`."""
    namespace: str
    sidecar: str | None = None
    """The one that does the talking, where one is named."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `configuration.choose` takes."""
    with_children: bool = True

    @property
    def command(self) -> list[str]:
        return [self.python, *self.program]


def main(arguments: Sequence[str]) -> int:
    """Returns the program's code, 128 + n when signal n ended it, 2 when it was not started."""
    try:
        plan = make_plan(arguments, os.environ)
    except (InvalidIdentity, InvalidConfiguration) as error:
        return _complain(str(error))
    if shutil.which(plan.python) is None:
        return _complain(f"there is no interpreter {plan.python!r}")
    environment = injected_environment(plan, os.environ)
    if plan.sidecar:
        return _become(plan.command, environment)
    try:
        serve, drain = _sidecar(plan)
    except ModuleNotFoundError as error:
        return missing(error)
    except ValueError as error:
        return _complain(str(error))
    with _signals_held() as mask:
        return asyncio.run(supervise(plan.command, environment, serve, mask, drain))


def missing(error: ModuleNotFoundError) -> int:
    return _complain(f"{error.name} is not installed; the sidecar needs it: pip install 'sonde[agent]'")


def make_plan(arguments: Sequence[str], environment: Mapping[str, str]) -> Plan:
    """Exits as argparse does when the arguments are wrong; raises `InvalidIdentity` for a bad name."""
    parser = _parser()
    options, program = split(arguments)
    chosen = parser.parse_args(options)
    if not program:
        parser.error("name the program: app.py, or -m module")
    environment = configuration.with_file(environment, chosen.config)
    python = chosen.python or sys.executable
    start: dict[str, str | Mapping[str, str]] = {}
    if not chosen.service and not environment.get("SONDE_SERVICE"):
        chosen.service = identity.guess_service([python, *program])
    for name in ("service", "namespace", "instance"):
        if value := getattr(chosen, name):
            start[name] = identity.checked_level(name, value)
    if chosen.labels:
        labels = identity.parse_labels(environment.get("SONDE_LABELS", ""))
        for label in chosen.labels:
            labels |= identity.parse_labels(label)
        start["labels"] = labels
    resolved = identity.resolve(**{"labels": None, **dict.fromkeys(_NAMES), **start}, environment=environment)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - a mapping of its own arguments
    return Plan(
        python=python,
        program=tuple(program),
        start=start,
        namespace=resolved.namespace or "default",
        sidecar=environment.get(link.SIDECAR_VARIABLE) or None,
        options=vars(chosen),
        with_children=not chosen.no_children and children.are_followed(environment),
    )


_NAMES = ("service", "namespace", "instance")
_HIDES = ("redaction", "redact_names", "show_names")
"""Options that the program's tap heeds as the sidecar does."""
_WITHOUT_A_VALUE = frozenset({"-h", "--help", "--no-children"})


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our options, and the program with its own: it begins at `--`, at `-m`, or at the first word that is
    neither an option nor an option's value."""
    rest = list(arguments)
    position = 0
    while position < len(rest):
        word = rest[position]
        if word == "--":
            return rest[:position], rest[position + 1 :]
        if word.startswith("-m") or not word.startswith("-") or word == "-":
            break
        position += 1 if "=" in word or word in _WITHOUT_A_VALUE else 2
    return rest[:position], rest[position:]


def injected_environment(plan: Plan, environment: Mapping[str, str]) -> dict[str, str]:
    """The program's environment, with what makes Python import our sitecustomize first, and what that needs to
    put everything back. The program may itself be a child of one that was started so: it is then known by
    `parent`."""
    path = children.without_injection(environment).get("PYTHONPATH")
    config = plan.options.get("config")
    injection = {
        "pythonpath": path,
        "packages": _packages(),
        "start": plan.start,
        "parent": environment.get(children.VARIABLE),
        "children": plan.with_children,
    }
    return {
        **environment,
        **({configuration.CONFIG_VARIABLE: str(Path(config).absolute())} if config else {}),
        **{configuration.BY_NAME[name].variable: said for name in _HIDES if (said := plan.options.get(name))},
        # an empty part would mean the working directory
        "PYTHONPATH": os.pathsep.join(filter(None, (children.INJECT, path))),
        children.INJECTION: json.dumps(injection),
    }


def _packages() -> dict[str, str]:
    """Where an interpreter that does not have them finds the two packages that the tap needs."""
    places = {"sonde_agent": str(Path(__file__).parent.parent)}
    for path in sys.path:
        if (Path(path) / "debugpy" / "__init__.py").is_file():
            places["debugpy"] = path
            break
    return places


def _sidecar(plan: Plan) -> tuple[Serve, Callable[[], float]]:
    """How to serve, and how long to wait for the last news to get out: not at all where it cannot. Raises `ModuleNotFoundError` when the extra is not installed, `ValueError` for wrong settings."""
    from sonde_agent.sidecar.errors import InvalidSettings
    from sonde_agent.sidecar.service import serve
    from sonde_agent.sidecar.settings import CHECKS, from_choice, log_settings
    from sonde_wire import logs

    chosen = configuration.choose("run", plan.options, os.environ, CHECKS)
    try:
        # the tap brings its labels itself
        settings = from_choice({**chosen, "namespace": plan.namespace, "labels": None})
        logs.set_up(log_settings(chosen, quiet=True))
        for sentence in configuration.unknown_variables(os.environ):
            logging.getLogger(__name__).warning("%s", sentence)
    except (InvalidSettings, logs.NoLogFile) as error:
        raise ValueError(str(error)) from None
    if settings.bus_url() is None:
        _say(
            "no bus is known (--bus, SONDE_BUS, or a local site by `sonde up`); "
            "the program runs, and Sonde keeps looking for one"
        )
    return lambda: serve(settings), lambda: DRAIN_TIMEOUT if settings.bus_url() else 0.0


async def supervise(
    command: list[str],
    environment: Mapping[str, str],
    serve: Serve,
    mask: set[signal.Signals],
    drain: Callable[[], float] = lambda: DRAIN_TIMEOUT,
) -> int:
    """Runs the program beside a sidecar until it ends. `mask` are the signals that it starts with blocked.

    Runs beside it: the sidecar (its own tasks, ended by leaving `serve`), a thread that waits for signals and
    one that waits for the program, both ended by its end.
    """
    child: Child | None = None
    try:
        async with serve() as sidecar:
            beside = {
                link.SIDECAR_VARIABLE: str(sidecar.address),
                link.TOKEN_FILE_VARIABLE: str(sidecar.token_file),
            }
            child = Child.start(command, {**environment, **beside}, mask)
            returncode = await child.ended()
            sidecar.child_ended(child.pid, returncode)
            await sidecar.drained(drain())
    except Exception as error:  # noqa: BLE001 - the top of this program: our fault must not end the user's
        _say(f"the sidecar failed ({type(error).__name__}); the program runs on without it")
    if child is None:
        child = Child.start(command, environment, mask)
    returncode = await child.ended()
    return returncode if returncode >= 0 else 128 - returncode


class Child:
    """The program, from `start` to `ended`. Signals to this process go on to it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._returncode: int | None = None
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._forward, args=(loop,), name="signals", daemon=True).start()

    @classmethod
    def start(cls, command: list[str], environment: Mapping[str, str], mask: set[signal.Signals]) -> "Child":
        """With our standard streams. Raises `OSError`."""
        return cls(
            os.posix_spawnp(command[0], command, environment, setsigmask=mask, setsigdef=_IGNORED_BY_PYTHON)
        )

    def _forward(self, loop: asyncio.AbstractEventLoop) -> None:
        """Until the program has ended."""
        while self._returncode is None:
            info = signal.sigtimedwait(FORWARDED, _LOOK_AGAIN)
            if info and is_to_forward(info.si_signo, info.si_code, os.getsid(0) == os.getpid()):
                with contextlib.suppress(RuntimeError):  # the program has just ended, and so has the loop
                    loop.call_soon_threadsafe(self.send, info.si_signo)

    def send(self, number: int) -> None:
        if self._returncode is None:
            os.kill(self.pid, number)

    async def ended(self) -> int:
        """Its code, or -n when signal n ended it. It is reaped here and nowhere else, so that until then its
        number is nobody else's. For one caller at a time."""
        if self._returncode is None:
            await asyncio.to_thread(os.waitid, os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            _, status = os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it has ended: this does not wait
            self._returncode = os.waitstatus_to_exitcode(status)
        return self._returncode


def is_to_forward(number: int, code: int, leads_session: bool) -> bool:
    """A terminal's Ctrl-C reaches the program without us, because it goes to the whole group; `code` tells it
    from a signal that a process sent (sigaction(2): SI_USER and below). When the terminal goes away, only the
    session's leader is told."""
    sent_by_a_process = code <= 0
    if number in _FROM_THE_TERMINAL:
        return sent_by_a_process
    return sent_by_a_process or number != signal.SIGHUP or leads_session


@contextlib.contextmanager
def _signals_held() -> Iterator[set[signal.Signals]]:
    """Blocked in every thread that is started inside, so that only the one that waits for them gets them;
    what comes before it waits is kept by the kernel."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        yield {signal.Signals(number) for number in old}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _become(command: list[str], environment: Mapping[str, str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - becoming the program is the point
    except OSError as error:
        _complain(f"{command[0]!r} cannot be started: {error.strerror}")
        return NOT_STARTED


def _say(text: str) -> None:
    sys.stderr.write(f"sonde: {text}\n")
    sys.stderr.flush()


def _complain(text: str) -> int:
    _say(text)
    return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sonde run",
        usage="sonde run [options] [--] app.py [arguments ...]\n       sonde run [options] -m module [arguments ...]",
        description="Run a Python program, unchanged, so that it can be watched and debugged live.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    configuration.add_options(parser, "run")
    parser.add_argument("--python", metavar="PATH", help="the interpreter (default: Sonde's own)")
    parser.add_argument(
        "--no-children",
        action="store_true",
        help="the program alone, without the Python programs that it starts (or SONDE_CHILDREN=0)",
    )
    return parser
