"""The command `sonde attach`.

1. Looks at the process, and says what is missing before anything is touched.
2. Finds a sidecar, or starts one, which stays beside the process until that has ended.
3. Injects, and waits until the process reports that the sidecar knows it.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sonde_agent import configuration, run
from sonde_agent.attach import facts, injection, judgement
from sonde_agent.attach.report import Report
from sonde_agent.link import SIDECAR_VARIABLE, TOKEN_FILE_VARIABLE, SidecarAddress
from sonde_agent.tap import identity
from sonde_agent.tap.errors import InvalidIdentity

FAILED, USAGE_ERROR, NOT_YET = 1, 2, 3
REPORT_TIMEOUT = 15.0
TRACER_TIMEOUT = 60.0
"""Seconds. A process with many libraries keeps gdb busy for 30."""
SIDECAR_TIMEOUT = 20.0
_EXAMPLES = """\
examples:
  sonde attach 4242
  sonde attach 4242 --check                     can it work? nothing is touched
  sonde attach 4242 --service checkout --label version=1.4.2
  sudo sonde attach 4242 --bus mqtt://127.0.0.1:1883
  sonde attach 4242 --sidecar unix:/run/sonde/sidecar.sock --token-file /run/sonde/token

The process stands still for a moment while it is attached to: for some 0.2 s by gdb, not at all where both run Python
3.14. What is not given is taken from SONDE_SIDECAR, SONDE_SIDECAR_TOKEN_FILE and SONDE_BUS, or as the process's own environment
has it. Without a sidecar one is started, which ends with the process.

Exit codes: 0 it can be seen now (or: it can be attached to), 1 it cannot, and why is said, 2 wrong usage, 3 the tap
was brought in but is not to be seen yet.
"""


class NoSidecar(Exception):
    pass


@dataclass
class Outcome:
    """What is told. `state`: possible, impossible, attached, already, waiting or failed."""

    pid: int
    state: str
    way: str = ""
    process: str = ""
    sidecar: str = ""
    problems: list[judgement.Problem] = field(default_factory=list)

    @property
    def code(self) -> int:
        return {"possible": 0, "attached": 0, "already": 0, "waiting": NOT_YET}.get(self.state, FAILED)


@dataclass(frozen=True)
class Place:
    address: str
    token_file: str | None
    started: "subprocess.Popen[bytes] | None" = None

    def give_up(self) -> None:
        """Nobody needs what was started for this."""
        if self.started is not None:
            self.started.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.started.wait(SIDECAR_TIMEOUT)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        start = _start(options)
        named = _named_place(options)
    except (InvalidIdentity, ValueError) as error:
        return _complain(str(error), USAGE_ERROR)
    try:
        process = facts.of_process(options.pid)
    except facts.NoSuchProcess as error:
        return _complain(str(error), FAILED)
    outcome = judge(process, facts.of_caller(), named)
    if outcome.state == "possible" and not options.check:
        try:
            place = named or _start_sidecar(process, options.bus)
        except ModuleNotFoundError as error:
            return run.missing(error)
        except NoSidecar as error:
            return _complain(str(error), FAILED)
        outcome = attach(process, outcome.way, place, {**start, "sidecar": place.address}, options.timeout)
        if outcome.state == "failed":
            place.give_up()
    _tell(outcome, options.json)
    return outcome.code


def judge(process: facts.Process, caller: facts.Caller, named: Place | None) -> Outcome:
    """possible, with the way, or impossible, with the problems."""
    way = judgement.way(caller, process)
    out_of_reach = facts.out_of_reach(process, _needed(), _shared(way, named)) if process.may_trace else []
    problems = judgement.problems(caller, process, out_of_reach)
    return Outcome(process.pid, "impossible" if problems else "possible", way.value, problems=problems)


def attach(process: facts.Process, way: str, place: Place, start: dict[str, Any], timeout: float) -> Outcome:
    """attached, already, waiting or failed."""
    pid = process.pid
    parked = facts.parked(pid)
    if parked is not None and facts.of_caller().has_gdb:
        way = judgement.Way.GDB.value  # it may not come to a safe point for long
    outcome = Outcome(pid, "failed", way, sidecar=place.address)
    remotely = way == judgement.Way.REMOTE_EXEC.value
    with Report(pid) as report:
        told = {
            "report": report.name,
            "packages": facts.packages(),
            "start": start,
            "token_file": place.token_file or "",
            "script": injection.write_script() if remotely else "",
            "timeout": timeout,
        }
        source = injection.words(told)
        try:
            if remotely:
                injection.by_remote_exec(pid, source, str(told["script"]))
            else:
                injection.by_gdb(pid, source, parked, TRACER_TIMEOUT)
        except injection.TracerHangs as error:
            outcome.problems = [
                judgement.Problem(
                    f"{way} (process {error.pid}) has been at it for {TRACER_TIMEOUT:g} s",
                    "it was left alone, because the process would crash if it were ended now",
                )
            ]
            return outcome
        except injection.InjectionFailed as error:
            outcome.problems = [_why(way, error.output)]
            return outcome
        return _heard(outcome, report, timeout)


def _heard(outcome: Outcome, report: Report, timeout: float) -> Outcome:
    here = report.facts(timeout)
    if here is not None and here.get("state") == "here":
        said = report.facts(timeout + 1.0) or {}
    else:
        said = here or {}
    outcome.state = str(said.get("state", "failed" if here else "waiting"))
    outcome.process = str(said.get("process", ""))
    problem = str(said.get("problem", ""))
    if outcome.state == "failed":
        outcome.problems = [
            judgement.Problem("the tap could not be started there", problem or "it ended, or took too long")
        ]
    elif outcome.state == "waiting" and here is not None:
        outcome.problems = [
            judgement.Problem(
                "the tap is there, but no sidecar knows it yet", problem or "look at the sidecar's log"
            )
        ]
    elif outcome.state == "waiting":
        outcome.problems = [
            judgement.Problem(
                f"the process has not come to it within {timeout:g} s",
                "its main thread is in C code, as in a long computation; it attaches when that returns to Python",
            )
        ]
    return outcome


def _why(way: str, output: str) -> judgement.Problem:
    explained = judgement.explanation(output)
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "it said nothing")
    return explained or judgement.Problem(f"{way} failed", last.strip()[:300])


def _needed() -> list[str]:
    """Files that the process opens itself."""
    return [
        *(str(Path(place, name, "__init__.py")) for name, place in facts.packages().items()),
        injection.INSIDE,
    ]


def _shared(way: judgement.Way, named: Place | None) -> list[str]:
    """Files by which it and we meet. Where a sidecar is started, its place is in the directory for temporary files."""
    shared: list[str] = []
    if way is judgement.Way.REMOTE_EXEC or named is None:
        shared.append(tempfile.gettempdir())
    if named is not None:
        shared += filter(None, (SidecarAddress.parse(named.address).path, named.token_file))
    return shared


def _start(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `sonde_agent.start`. Raises `InvalidIdentity`."""
    start: dict[str, Any] = {}
    for name in ("service", "namespace", "instance"):
        if value := getattr(options, name):
            start[name] = identity.checked_level(name, value)
    if options.label:
        start["labels"] = {}
        for label in options.label:
            start["labels"] |= identity.parse_labels(label)
    return start


def _named_place(options: argparse.Namespace) -> Place | None:
    """Raises `ValueError`."""
    text = options.sidecar or os.environ.get(SIDECAR_VARIABLE)
    if not text:
        return None
    token_file = options.token_file or os.environ.get(TOKEN_FILE_VARIABLE)
    address = SidecarAddress.parse(text)
    beside = Path(address.path).with_name("token") if address.path else None
    if not token_file and beside is not None and beside.exists():
        token_file = str(beside)
    return Place(str(address), str(Path(token_file).absolute()) if token_file else None)


def _start_sidecar(process: facts.Process, bus: str | None) -> Place:
    """In a directory that only the process's user (and root) can enter; it goes when the process has gone. Raises
    `ModuleNotFoundError` when the extra is not installed, `NoSidecar`."""
    from sonde_agent.sidecar import settings
    from sonde_agent.sidecar.errors import InvalidSettings

    try:
        chosen = configuration.choose("sidecar", {"bus": bus}, os.environ, settings.CHECKS)
        bus_url = settings.from_choice(chosen).bus_url()
    except (configuration.InvalidConfiguration, InvalidSettings) as error:
        raise NoSidecar(f"a sidecar could not be started: {error}") from None
    if bus_url is None:
        _say(
            "no bus is known (--bus, SONDE_BUS, or a local site by `sonde up`); the sidecar keeps looking for one"
        )
    directory = Path(tempfile.gettempdir(), f"sonde-{secrets.token_hex(8)}")
    directory.mkdir(mode=0o700)
    command = [sys.executable, "-P", "-m", "sonde_agent.sidecar", "--directory", str(directory)]
    command += ["--follow-pid", str(process.pid)]
    if process.uid != os.geteuid():
        os.chown(directory, process.uid, -1)
        command += ["--socket-mode", "0666"]
    reading, writing = os.pipe()
    environment = {**os.environ, "SONDE_BUS": bus} if bus else None
    try:
        started = subprocess.Popen(
            [*command, "--announce-fd", str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            start_new_session=True,
            env=environment,
        )
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as announcements:
        line = announcements.readline()
    told = json.loads(line) if line else {"error": "it ended at once"}
    if "error" in told:
        started.wait()
        raise NoSidecar(f"a sidecar could not be started: {told['error']}")
    return Place(str(told["sidecar"]), str(told["token_file"]), started)


def _tell(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        body = {**asdict(outcome), "problems": [asdict(each) for each in outcome.problems]}
        sys.stdout.write(json.dumps(body) + "\n")
        return
    match outcome.state:
        case "possible":
            sys.stdout.write(f"process {outcome.pid} can be attached to, by {outcome.way}\n")
        case "attached" | "already":
            has = "has the tap already" if outcome.state == "already" else "can be seen now"
            sys.stdout.write(f"process {outcome.pid} {has}: {outcome.process}\n")
        case "waiting":
            _say(f"process {outcome.pid}: {outcome.problems[0]}")
        case _:
            _say(
                f"process {outcome.pid} cannot be attached to"
                + "".join(f"\n  {each}" for each in outcome.problems)
            )


def _complain(text: str, code: int) -> int:
    _say(text)
    return code


def _say(text: str) -> None:
    sys.stderr.write(f"sonde: {text}\n")
    sys.stderr.flush()


def _pid(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a process id: use a number, as `ps` shows it")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sonde attach",
        description="Bring Sonde into a Python process that runs already, without restarting it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("pid", type=_pid, metavar="PID", help="the process, as `ps` shows it here")
    parser.add_argument(
        "--check", action="store_true", help="only say whether it can work, and what is missing"
    )
    parser.add_argument("--service", metavar="NAME", help="what the program is (default: named after it)")
    parser.add_argument("--namespace", metavar="NAME", help="where it runs, such as prod")
    parser.add_argument("--instance", metavar="NAME", help="which one it is (default: from host and pid)")
    parser.add_argument("--label", metavar="KEY=VALUE", action="append", help="any number of them")
    parser.add_argument("--sidecar", metavar="ADDRESS", help="unix:/path/to/socket or tcp:127.0.0.1:port")
    parser.add_argument(
        "--token-file", metavar="FILE", help="the sidecar's token (default: beside its socket)"
    )
    parser.add_argument("--bus", metavar="URL", help="the MQTT server, for a sidecar that is started")
    parser.add_argument(
        "--timeout",
        type=float,
        default=REPORT_TIMEOUT,
        metavar="SECONDS",
        help="how long to wait for the process to be seen (%(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser
