"""What keeps somebody from seeing or stopping a process, as far as a viewer can tell; pure: facts in, findings out.

    token     may it do what is needed?          process   is it there, and its sidecar?
    sessions  who debugs it, and do breakpoints sleep?     file  is the file here the one over there?

What the process itself knows (`Viewer.diagnose`) has findings of the same kind.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal

from sonde_wire import bus, codec, looking, rpc
from sonde_wire.scopes import Scope

Level = Literal["fine", "note", "problem"]

METRICS_WITHIN = 3.0
"""Seconds. They come each second from a sidecar that lives and reaches the bus."""
_SKEW = 2.0
_SOON = 300.0
_MOST_NAMED = 5


def finding(check: str, level: Level, message: str) -> looking.Finding:
    return looking.Finding(check=check, level=level, message=message)


def of_token(welcome: rpc.Welcome, now: float, *, to_stop: bool) -> list[looking.Finding]:
    """`to_stop`: a breakpoint is asked about, which takes more rights than to look."""
    found = [
        finding("broker.reachable", "fine", f"broker {welcome.broker} answers, to {welcome.subject}"),
    ]
    if welcome.bus == "down":
        found.append(
            finding(
                "broker.bus",
                "problem",
                "the broker does not reach the bus: what it shows is stale; see its log, and whether the MQTT server "
                "runs",
            )
        )
    needed = [Scope.OBSERVE, Scope.INSPECT, *([Scope.CONTROL] if to_stop else [])]
    missing = [scope for scope in needed if scope not in welcome.scopes]
    if missing:
        found.append(
            finding(
                "token.scopes",
                "problem",
                f"the token lacks {', '.join(missing)}: ask for one that has it (`sonde token issue --scopes ...`)",
            )
        )
    else:
        found.append(finding("token.scopes", "fine", f"the token allows {', '.join(welcome.scopes)}"))
    if to_stop and Scope.EXECUTE not in welcome.scopes:
        found.append(
            finding(
                "token.execute",
                "note",
                "the token lacks execute: breakpoints with conditions, hit counts or log messages are refused",
            )
        )
    if welcome.expires < now + _SOON:
        found.append(
            finding(
                "token.expires",
                "note",
                f"the token ends in {max(0.0, welcome.expires - now):.0f} s: get a fresh one",
            )
        )
    return found


def of_presence(presence: bus.Presence) -> looking.Finding:
    name = presence.process
    if presence.state == "online":
        return finding(
            "process.online",
            "fine",
            f"{name} is online, pid {presence.pid} on {presence.host}, Python {presence.python}",
        )
    if presence.state == "ended":
        how = presence.exit.message if presence.exit else "nobody saw how"
        return finding("process.online", "problem", f"{name} has ended ({how}): start it again")
    return finding(
        "process.online",
        "problem",
        f"{name} is lost: its sidecar, or the sidecar's line to the bus, is gone, and the process may still run; see "
        "the sidecar's log",
    )


def of_metrics(metrics: bus.Metrics | None, now: float) -> list[looking.Finding]:
    """`now` is when they came."""
    if metrics is None:
        return [
            finding(
                "sidecar.alive",
                "problem",
                f"no metrics came within {METRICS_WITHIN:g} s, though they are sent each second: the sidecar hangs, or "
                "its line to the bus does",
            )
        ]
    found = [finding("sidecar.alive", "fine", "its sidecar sends metrics")]
    skew = metrics.time - now
    if abs(skew) > _SKEW:
        how = "ahead of" if skew > 0 else "behind"
        found.append(
            finding(
                "clock.skew",
                "note",
                f"the clock there is {abs(skew):.0f} s {how} the one here: times of events look wrong, and tokens are "
                "refused too early or too late",
            )
        )
    if metrics.unavailable:
        found.append(finding("metrics.complete", "note", _unavailable(metrics.unavailable)))
    return found


def _unavailable(reasons: Mapping[str, str]) -> str:
    names: dict[str, list[str]] = {}
    for name, why in sorted(reasons.items()):
        names.setdefault(why, []).append(name)
    said = (f"{', '.join(several[:_MOST_NAMED])} ({why})" for why, several in names.items())
    return f"some metrics cannot be read: {'; '.join(said)}"


def of_sessions(presence: bus.Presence) -> looking.Finding:
    """Nobody's breakpoints are armed while there is no session."""
    if presence.debugger == "detached":
        return finding(
            "debugger.attached",
            "note",
            f"nobody debugs it now, so that no breakpoint is armed: `sonde debug {presence.process}` begins",
        )
    who = ", ".join(dict.fromkeys(each.viewer for each in presence.sessions)) or "somebody"
    standing = f"; {presence.stopped_threads} of its threads stand" if presence.stopped_threads else ""
    return finding("debugger.attached", "fine", f"the debugger is attached, for {who}{standing}")


def of_debugging(state: bus.SessionState, path: str | None, line: int | None) -> list[looking.Finding]:
    """What those who debug it now have set, at that place."""
    found = []
    if state.asleep:
        found.append(
            finding(
                "lease.asleep",
                "problem",
                "breakpoints sleep, because something stood and nobody renewed its lease: they are armed again when a "
                "session asks anything, such as `threads` at its prompt",
            )
        )
    if path is None:
        return found
    viewers = {each.session: each.viewer for each in state.sessions}
    set_here = []
    for held in state.breakpoints:
        if held.path != path:
            continue
        owner = viewers.get(held.owner, held.owner)
        for each in map(codec.decode_any, held.breakpoints):
            if line is None or each.get("line") == line:
                set_here.append(_of_breakpoint(each, owner, path))
    if not set_here:
        where = f"{path}:{line}" if line is not None else path
        others = sorted(
            {held.path for held in state.breakpoints if held.path and _same_name(held.path, path)}
        )
        beside = (
            f"; there are some in {', '.join(others[:_MOST_NAMED])}" if others and path not in others else ""
        )
        set_here.append(finding("breakpoint.set", "note", f"no session has a breakpoint at {where}{beside}"))
    return found + set_here


def _of_breakpoint(breakpoint: dict[str, object], owner: str, path: str) -> looking.Finding:
    where = f"{path}:{breakpoint.get('line')}"
    if breakpoint.get("verified"):
        return finding("breakpoint.set", "fine", f"{owner} has a breakpoint at {where}, and pydevd took it")
    why = breakpoint.get("message") or "pydevd gave no reason"
    return finding("breakpoint.set", "problem", f"{owner}'s breakpoint at {where} is not set: {why}")


def place(text: str) -> tuple[str, int | None]:
    """FILE or FILE:LINE."""
    found = re.fullmatch(r"(.+?):([1-9]\d{0,8})", text)
    return (found[1], int(found[2])) if found else (text, None)


def path_over_there(local: str, files: Iterable[looking.SourceFile]) -> str:
    """The process's path for a file of the caller's: the path itself where the process has it, else the one that
    agrees with it in most of its last parts, and in two at least. Without one, the caller's own."""
    paths = {file.path for file in files}
    if local in paths:
        return local
    parts = PurePosixPath(local).parts
    alike = [(_agreement(parts, PurePosixPath(each).parts), each) for each in paths]
    best = max((number for number, _ in alike), default=0)
    fits = [each for number, each in alike if number == best]
    return fits[0] if best >= 2 and len(fits) == 1 else local


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _agreement(one: Sequence[str], other: Sequence[str]) -> int:
    number = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs:
            break
        number += 1
    return number


def _same_name(one: str, other: str) -> bool:
    return PurePosixPath(one).name == PurePosixPath(other).name
