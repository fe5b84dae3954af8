"""What a line at the debugger's prompt means; pure. Commands can be shortened while they stay unique, and
pdb's own short names mean what they mean in pdb."""

import re
from collections.abc import Mapping

from msgspec import Struct

from sonde_viewer.prompt.errors import InvalidLine


class Usage(Struct, frozen=True):
    arguments: str
    summary: str
    short: tuple[str, ...] = ()


COMMANDS: Mapping[str, Usage] = {
    "break": Usage("[FILE:]LINE [if CONDITION]", "stop there; without arguments list them", ("b",)),
    "tbreak": Usage("[FILE:]LINE [if CONDITION]", "stop there once"),
    "clear": Usage("[NUMBER]", "take a breakpoint away, or all of them", ("cl",)),
    "breaks": Usage("", "list the breakpoints"),
    "continue": Usage("", "let all threads run, until one stops", ("c", "cont")),
    "next": Usage("", "run to the next line of this function", ("n",)),
    "step": Usage("", "run to the next line, into calls", ("s",)),
    "out": Usage("", "run until this function returns", ("r", "return")),
    "pause": Usage("[THREAD]", "stop a thread where it is"),
    "where": Usage("", "the stack of the stopped thread", ("w", "bt")),
    "up": Usage("[COUNT]", "to the caller's frame", ("u",)),
    "down": Usage("[COUNT]", "to the called frame", ("d",)),
    "list": Usage("[LINE]", "source lines around the current one", ("l",)),
    "print": Usage("EXPRESSION", "the value of an expression in this frame", ("p", "pp")),
    "eval": Usage("STATEMENT", "run a statement in this frame; `!` is short for it"),
    "locals": Usage("", "the local variables of this frame", ("a", "args")),
    "threads": Usage("", "all threads, and which of them stand"),
    "thread": Usage("THREAD", "look at another stopped thread", ("t",)),
    "seat": Usage("", "who drives, who asks for the seat, and how long what stands goes on standing"),
    "take": Usage("", "take the driver's seat, while it is free"),
    "release": Usage("", "give the driver's seat back"),
    "ask": Usage("", "ask the driver for the seat"),
    "grant": Usage("[NAME]", "give the seat to who asks, or to that viewer or session"),
    "help": Usage("", "this list", ("h", "?")),
    "quit": Usage("", "leave; the process runs on", ("q", "exit")),
}
_SHORT = {short: name for name, usage in COMMANDS.items() for short in usage.short}
_PLACE = re.compile(r"^(?:(?P<file>.+):)?(?P<line>\d+)$")


class Line(Struct, frozen=True):
    command: str
    rest: str


class Place(Struct, frozen=True):
    """`file` is as it was typed; None means the one that is looked at."""

    file: str | None
    line: int
    condition: str | None = None


def read(text: str) -> Line:
    """Raises `InvalidLine`."""
    text = text.strip()
    if text.startswith("!"):
        return Line("eval", text[1:].strip())
    word, _, rest = text.partition(" ")
    return Line(_command(word), rest.strip())


def _command(word: str) -> str:
    if word in COMMANDS:
        return word
    if word in _SHORT:
        return _SHORT[word]
    begun = [name for name in COMMANDS if word and name.startswith(word)]
    match begun:
        case [only]:
            return only
        case []:
            raise InvalidLine(f"{word[:40]!r} is not a command; `help` lists them, `print` shows a value")
        case _:
            raise InvalidLine(f"{word!r} could be {', '.join(begun)}")


def read_place(text: str) -> Place:
    """`shop.py:10 if total < 0`. Raises `InvalidLine`."""
    where, separator, condition = text.partition(" if ")
    found = _PLACE.match(where.strip())
    if found is None or int(found["line"]) < 1:
        raise InvalidLine(f"{where.strip()[:80]!r} is not a place; say FILE:LINE, such as app.py:10")
    if separator and not condition.strip():
        raise InvalidLine("the condition is empty")
    return Place(found["file"], int(found["line"]), condition.strip() or None)


def read_number(text: str, default: int | None = None) -> int:
    """Raises `InvalidLine`."""
    if not text and default is not None:
        return default
    if not text.isdecimal():
        raise InvalidLine(f"{text[:40]!r} is not a number" if text else "say which number")
    return int(text)


def help_text() -> str:
    lines = []
    for name, usage in COMMANDS.items():
        short = f" ({', '.join(usage.short)})" if usage.short else ""
        lines.append(f"  {f'{name} {usage.arguments}':<34} {usage.summary}{short}")
    return "\n".join(lines)
