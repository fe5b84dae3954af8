"""Conditions and hit counts of breakpoints, as pydevd decides them, but compiled once.

The order is pydevd's (`PyDB.handle_breakpoint_condition`): the hit is counted; a hit condition that holds stops, and
else a condition that holds does. A hit condition is the text that pydevd makes of the viewer's (`@HIT@ >= 5`). Those of
its grammar are compared as numbers; any other text is its own to evaluate.
"""

import re
import traceback
from collections.abc import Callable
from io import StringIO
from operator import eq, ge, gt, le, lt
from types import CodeType
from typing import Any

from sonde_agent.tap.pydevd import Pydevd

_MOST_KEPT = 1000
_HITS = re.compile(r"@HIT@ (==|>=|<=|>|<) ?(0|[1-9][0-9]{0,17})", re.ASCII)
_EVERY = re.compile(r"@HIT@ % ?(0|[1-9][0-9]{0,17}) == 0", re.ASCII)
_COMPARE: dict[str, Callable[[int, int], bool]] = {"==": eq, ">=": ge, "<=": le, ">": gt, "<": lt}


class Conditions:
    def __init__(self, pydevd: Pydevd) -> None:
        self._pydevd = pydevd
        self._plain = pydevd.debugger_class.handle_breakpoint_condition
        self._compiled: dict[str, CodeType | SyntaxError | ValueError] = {}
        self._counts: dict[str, Callable[[int], bool] | None] = {}

    def runs_code(self, point: Any) -> bool:
        """Whether the program's code could run: else no more than a hit is counted."""
        hits: str | None = getattr(point, "hit_condition", None)
        return bool(point.condition) or (hits is not None and hits != "" and self._count(hits) is None)

    def holds(self, debugger: Any, info: Any, point: Any, frame: Any) -> Any:
        """Raises what is not an `Exception`, as pydevd does. What is one goes to the viewers, once for a breakpoint."""
        if BaseException not in debugger.skip_suspend_on_breakpoint_exception:
            return self._plain(debugger, info, point, frame)  # it is to stop at what goes wrong
        try:
            if self._is_hit(point, frame):
                return True
            if not point.condition:
                return False
            return eval(self._code(point.condition), frame.f_globals, frame.f_locals)  # noqa: S307 - as pydevd does
        except Exception as error:  # noqa: BLE001 - it is for whoever set the breakpoint
            if not isinstance(error, debugger.skip_print_breakpoint_exception):
                self._say(debugger, point, error)
            return False

    def _is_hit(self, point: Any, frame: Any) -> bool:
        hits: str | None = getattr(point, "hit_condition", None)
        count = self._count(hits) if hits else None
        if count is None:
            return bool(point.handle_hit_condition(frame))
        with point._hit_condition_lock:
            point._hit_count += 1
            return count(point._hit_count)

    def _count(self, text: str) -> Callable[[int], bool] | None:
        if text not in self._counts:
            _make_room(self._counts)
            self._counts[text] = _counted(text)
        return self._counts[text]

    def _code(self, text: str) -> CodeType:
        found = self._compiled.get(text)
        if found is None:
            _make_room(self._compiled)
            try:
                # `eval` of a text takes these off too
                found = compile(text.lstrip(" \t"), "<string>", "eval", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                found = error
            self._compiled[text] = found
        if isinstance(found, CodeType):
            return found
        raise found.with_traceback(None)

    def _say(self, debugger: Any, point: Any, error: Exception) -> None:
        if getattr(point, "sonde_has_said", False):
            return
        point.sonde_has_said = True
        told = StringIO()
        # without this file, which is none of theirs
        where = error.__traceback__.tb_next if error.__traceback__ is not None else None
        traceback.print_exception(type(error), error, where, file=told)
        self._pydevd.warn(
            debugger,
            "Error while evaluating expression in conditional breakpoint (said once for each breakpoint): "
            f"{point.condition or point.hit_condition}\n{told.getvalue()}",
        )


def _counted(text: str) -> Callable[[int], bool] | None:
    if (found := _HITS.fullmatch(text)) is not None:
        compare, number = _COMPARE[found[1]], int(found[2])
        return lambda count: compare(count, number)
    if (found := _EVERY.fullmatch(text)) is not None:
        divisor = int(found[1])
        return lambda count: divisor != 0 and count % divisor == 0
    return None


def _make_room(kept: dict[str, Any]) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
