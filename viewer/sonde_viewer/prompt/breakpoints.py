"""The breakpoints of one prompt, numbered as people see them; pure. DAP sets them a file at a time."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from sonde_viewer.prompt.errors import InvalidLine


class Breakpoint(Struct, frozen=True, kw_only=True):
    number: int
    path: str
    line: int
    condition: str | None = None
    temporary: bool = False
    verified: bool = False
    message: str = ""
    """Why the debugger could not set it."""


class Breakpoints:
    def __init__(self) -> None:
        self._last = 0
        self._all: dict[int, Breakpoint] = {}

    @property
    def all(self) -> tuple[Breakpoint, ...]:
        return tuple(self._all.values())

    def add(self, path: str, line: int, condition: str | None, *, temporary: bool = False) -> Breakpoint:
        """Takes the place of one on the same line, as DAP has one a line."""
        for each in self.all:
            if (each.path, each.line) == (path, line):
                del self._all[each.number]
        self._last += 1
        made = Breakpoint(number=self._last, path=path, line=line, condition=condition, temporary=temporary)
        self._all[made.number] = made
        return made

    def remove(self, number: int) -> Breakpoint:
        """Raises `InvalidLine`."""
        if number not in self._all:
            raise InvalidLine(f"there is no breakpoint {number}; `breaks` lists them")
        return self._all.pop(number)

    def of(self, path: str) -> Mapping[int, str | None]:
        """Line to condition, in the order of `answered`."""
        return {each.line: each.condition for each in self.all if each.path == path}

    def answered(self, path: str, answers: list[dict[str, object]]) -> None:
        """DAP's Breakpoints for `of(path)`: whether each could be set, and where it went."""
        there = [each for each in self.all if each.path == path]
        for each, answer in zip(there, answers, strict=False):
            line = answer.get("line")
            self._all[each.number] = replace(
                each,
                verified=bool(answer.get("verified")),
                message=str(answer.get("message") or ""),
                line=line if isinstance(line, int) else each.line,
            )

    def get(self, number: int) -> Breakpoint:
        return self._all[number]

    def temporary_at(self, path: str, line: int) -> Breakpoint | None:
        at = ((each.path, each.line) for each in self.all)
        for each, place in zip(self.all, at, strict=True):
            if each.temporary and place == (path, line):
                return each
        return None
