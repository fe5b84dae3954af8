"""What is typed while a session is replayed, to what is to be done; pure."""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

HELP = "n next, p previous, s next stop, b stop before, g N go to step N, a all that is left, q quit"


class Move(Enum):
    NEXT = "n"
    PREVIOUS = "p"
    NEXT_STOP = "s"
    STOP_BEFORE = "b"
    ALL = "a"
    QUIT = "q"
    HELP = "?"


@dataclass(frozen=True)
class Goto:
    step: int


_ALSO = {
    " ": "n",
    "\r": "n",
    "\n": "n",
    "h": "?",
    "\x04": "q",
    "\x1b[C": "n",
    "\x1b[B": "n",
    "\x1b[D": "p",
    "\x1b[A": "p",
}
"""Space, Enter, Ctrl-D and the arrows."""


def presses(text: str) -> list[str]:
    """One of each key, of what was read at once."""
    return re.findall(r"\x1b\[[0-9;]*[A-Za-z~]|.", text, re.DOTALL)


@dataclass
class Keys:
    """`typed` is the number after `g`, while it is being typed."""

    typed: str | None = field(default=None)

    def press(self, key: str) -> Move | Goto | Literal["typing", "nothing"]:
        """`key` is one of `presses`."""
        if self.typed is not None:
            return self._number(key)
        key = _ALSO.get(key, key)
        if key == "g":
            self.typed = ""
            return "typing"
        try:
            return Move(key)
        except ValueError:
            return "nothing"

    def _number(self, key: str) -> Goto | Literal["typing", "nothing"]:
        assert self.typed is not None  # noqa: S101 - asked by `press`
        if key in {"\r", "\n"}:
            typed, self.typed = self.typed, None
            return Goto(int(typed)) if typed else "nothing"
        if key in {"\x7f", "\b"}:
            self.typed = self.typed[:-1]
            return "typing"
        if key.isdecimal() and key.isascii() and len(self.typed) < 9:
            self.typed += key
            return "typing"
        if key == " " and not self.typed:
            return "typing"
        self.typed = None
        return "nothing"
