"""`sonde doctor`: why is nothing seen, or a breakpoint not hit?"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from sonde_viewer import checkup, screen
from sonde_viewer.__main__ import FAILED
from sonde_viewer.checkup import finding
from sonde_viewer.client import Viewer, connect
from sonde_viewer.commands.connection import add_connection, add_json, print_json, told
from sonde_viewer.errors import (
    AmbiguousProcess,
    ConnectionDenied,
    ConnectionLost,
    NoAnswer,
    Refused,
    UnknownProcess,
)
from sonde_viewer.prompt import paths
from sonde_viewer.prompt.errors import UnknownFile
from sonde_viewer.untrusted import one_line
from sonde_wire import bus, looking
from sonde_wire.scopes import Scope

DESCRIPTION = """\
Look for what keeps a process from being seen or stopped: the broker, the token, the sidecar, the process, and with
a FILE or FILE:LINE whether a breakpoint there can be hit. Nothing is stopped for it.

A FILE that is here as well is compared with the one that the process has. Where a debugger is attached already, and
the token may control, its breakpoints are asked for; none is attached for it.

Exit code 0 when no problem was found, 1 when one was."""
EXAMPLES = """\
  sonde doctor shop
  sonde doctor shop shop/cart.py:42
  sonde doctor shop /srv/app/cart.py:42 --json | jq '.findings[] | select(.level == "problem")'
"""
_STYLES = {"fine": "green", "note": "yellow", "problem": "bold red"}
_SIGNS = {"fine": "ok", "note": "note", "problem": "PROBLEM"}
_LARGEST = 8 * 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("process", help="its address, its service or instance, or the beginning of one")
    parser.add_argument(
        "place",
        nargs="?",
        metavar="FILE[:LINE]",
        help="where a breakpoint is to be hit; FILE or the end of its path",
    )
    add_json(parser, "one JSON document")
    add_connection(parser)


@dataclass
class Report:
    """What was found so far."""

    findings: list[looking.Finding]
    process: str = ""
    path: str | None = None
    line: int | None = None
    lines: tuple[int, ...] = ()


def run(arguments: argparse.Namespace) -> int:
    async def work() -> int:
        report = Report([])
        try:
            async with connect(arguments.url, arguments.token) as viewer:
                await _examine(viewer, arguments, report)
        except ConnectionDenied as error:
            report.findings.append(finding("token.valid", "problem", str(error)))
        except ConnectionLost as error:
            report.findings.append(finding("broker.reachable", "problem", str(error)))
        if arguments.json:
            print_json(_document(report))
        else:
            _show(report)
        return FAILED if any(each.level == "problem" for each in report.findings) else 0

    return told(work)


async def _examine(viewer: Viewer, arguments: argparse.Namespace, report: Report) -> None:
    """From the outside to the inside; what is behind something that is broken is not asked."""
    name, line = checkup.place(arguments.place) if arguments.place else (None, None)
    report.line = line
    welcome = await viewer.whoami()
    report.findings += checkup.of_token(welcome, time.time(), to_stop=name is not None)
    if Scope.OBSERVE not in welcome.scopes:
        return
    try:
        process = await viewer.process(arguments.process)
    except (UnknownProcess, AmbiguousProcess) as error:
        report.findings.append(finding("process.known", "problem", _why_unknown(error, welcome.selectors)))
        return
    report.process = process.process
    report.findings.append(checkup.of_presence(process))
    if process.state != "online":
        return
    report.findings += await _sidecar(viewer, process)
    report.findings.append(checkup.of_sessions(process))
    if Scope.INSPECT in welcome.scopes:
        await _inside(viewer, process, name, report)
    if process.debugger == "attached" and Scope.CONTROL in welcome.scopes:
        await _sessions(viewer, process, report)


def _why_unknown(error: UnknownProcess | AmbiguousProcess, selectors: Sequence[str]) -> str:
    if isinstance(error, AmbiguousProcess):
        return str(error)
    return (
        f"{error}; it may not have been started with Sonde (`sonde run`), its sidecar may not reach the bus, or this "
        f"token, which sees {', '.join(selectors) or 'nothing'}, may not see it"
    )


async def _sidecar(viewer: Viewer, process: bus.Presence) -> list[looking.Finding]:
    """Waits for the next metrics."""
    async with viewer.watch("metrics", process.process) as metrics:
        try:
            async with asyncio.timeout(checkup.METRICS_WITHIN):
                return checkup.of_metrics(await anext(metrics), time.time())
        except TimeoutError:
            return checkup.of_metrics(None, time.time())


async def _inside(viewer: Viewer, process: bus.Presence, name: str | None, report: Report) -> None:
    try:
        sha256 = None
        if name is not None:
            here, sha256 = await asyncio.to_thread(_local, name)
            report.path = _meant(name, here, (await viewer.sources(process)).files, exists=sha256 is not None)
            if sha256 is not None:
                report.findings.append(
                    finding("file.local", "fine", f"yours is {here}, theirs {report.path}")
                )
        diagnosis = await viewer.diagnose(process, report.path, report.line if name else None, sha256)
    except UnknownFile as error:
        report.findings.append(finding("file.named", "problem", str(error)))
    except (Refused, NoAnswer) as error:
        report.findings.append(
            finding("process.answers", "problem", f"the process was asked in vain: {error}")
        )
    else:
        report.findings += diagnosis.findings
        report.lines = diagnosis.lines


def _meant(name: str, here: str, files: Sequence[looking.SourceFile], *, exists: bool) -> str:
    """The path of the file over there. `here` is the path on this machine, where it may not exist. Raises
    `UnknownFile` when it could be several."""
    there = checkup.path_over_there(here, files) if exists else here
    if there != here or any(file.path == here for file in files):
        return there
    try:
        return paths.find(name, files)
    except UnknownFile as error:
        if error.candidates:
            raise
        return here if exists else name


def _local(name: str) -> tuple[str, str | None]:
    """The whole path here, and the hash of the file, if there is one."""
    path = Path(name)
    here = str(path.absolute())
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return here, None
        return here, checkup.sha256(path.read_bytes())
    except OSError:
        return here, None


async def _sessions(viewer: Viewer, process: bus.Presence, report: Report) -> None:
    try:
        state = await viewer.debugging(process)
    except (Refused, NoAnswer) as error:
        report.findings.append(
            finding("debugger.answers", "problem", f"the debugger was asked in vain: {error}")
        )
    else:
        report.findings += checkup.of_debugging(state, report.path, report.line)


def _document(report: Report) -> dict[str, object]:
    problems = sum(each.level == "problem" for each in report.findings)
    return {
        "process": report.process,
        "path": report.path,
        "line": report.line,
        "findings": report.findings,
        "lines": report.lines,
        "problems": problems,
    }


def _show(report: Report) -> None:
    console = screen.console()
    width = max(len(each.check) for each in report.findings)
    for each in report.findings:
        line = Text(f"{_SIGNS[each.level]:<8}", style=_STYLES[each.level])
        line.append(f"{one_line(each.check):<{width}}  ", style="dim")
        console.print(line.append(one_line(each.message, 1000), style="default"), soft_wrap=True)
    problems = sum(each.level == "problem" for each in report.findings)
    console.print()
    if problems:
        console.print(Text(f"{problems} {'problem' if problems == 1 else 'problems'}", style="bold red"))
    else:
        console.print(Text("no problem was found", style="green"))
