"""Texts that may be any Python, for whoever may run that: read here, never run, and refused as those of the language are.

Compiled and not only parsed: `await x` parses, and is nothing that a frame could be asked. What Python merely warns of,
such as `1 is 1`, goes where warnings go; whoever checks a stranger's text on a terminal of its own silences them.
"""

from __future__ import annotations

from sonde_expressions.errors import InvalidExpression
from sonde_expressions.template import end_of_part


def check_python(text: str) -> None:
    """Raises `InvalidExpression` with the part that is no Python expression. Space around it is left aside."""
    code = text.strip()
    before = len(text) - len(text.lstrip())
    try:
        compile(code, "<probe>", "eval", dont_inherit=True)
    except SyntaxError as error:
        position, length = _part(code, error)
        raise InvalidExpression(text, before + position, length, _said(code, position, error)) from None
    except (ValueError, RecursionError, MemoryError):
        raise InvalidExpression(
            text, 0, len(text), "this is no Python expression that can be read: make it simpler"
        ) from None


def check_python_template(text: str) -> None:
    """A log text: what may stand in an f-string. Raises `InvalidExpression` as above."""
    try:
        check_python(f"f{text!r}")
    except InvalidExpression as error:
        _check_parts(text)  # says where; of an f-string Python itself does so only from 3.12 on
        raise InvalidExpression(text, 0, len(text), error.message) from None


def _said(code: str, position: int, error: SyntaxError) -> str:
    if not code:
        return "write an expression, as in len(orders) > 100"
    what = "something is missing at its end" if position == len(code) else error.msg
    return f"this is no Python expression: {what}"


def _part(code: str, error: SyntaxError) -> tuple[int, int]:
    """Python counts lines and characters from 1; at the end of the text, where something is missing, from 0."""
    if not error.lineno or not error.offset:
        return (0, len(code)) if "\0" in code else (len(code), 0)
    lines = code.split("\n")
    number = min(error.lineno, len(lines))
    start = sum(len(each) + 1 for each in lines[: number - 1]) + error.offset - 1
    ends_here = error.end_lineno == error.lineno and (error.end_offset or 0) > error.offset
    length = (error.end_offset or 0) - error.offset if ends_here else 1
    start = min(start, len(code))
    return start, min(length, len(code) - start)


def _check_parts(text: str) -> None:
    position = 0
    while (opening := text.find("{", position)) >= 0:
        if text.startswith("{{", opening):
            position = opening + 2
            continue
        stop, close = end_of_part(text, opening, conversions=True)
        part = text[opening + 1 : stop].rstrip().removesuffix("=")  # `{n=}` shows the text too
        try:
            check_python(part)
        except InvalidExpression as error:
            at = opening + 1 + error.position
            raise InvalidExpression(text, at, error.length, error.message) from None
        position = close + 1
