"""An expression: compiled once from its text, evaluated in any number of frames and threads."""

from __future__ import annotations

from sonde_expressions.compiling import compiled
from sonde_expressions.errors import ExpressionError, ExpressionFailed, InvalidExpression
from sonde_expressions.inert import PROXY, class_name, readable
from sonde_expressions.limits import STEPS
from sonde_expressions.parser import parse
from sonde_expressions.values import truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sonde_expressions.compiling import Run

_FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, MemoryError)
_OF_THE_INTERPRETER = (
    *(ZeroDivisionError, OverflowError, IndexError, KeyError, TypeError, ValueError, AttributeError),
    *(RuntimeError, RecursionError, MemoryError, UnicodeEncodeError),
)
"""What the interpreter's own kinds raise. Of any other class, an exception is one that the program throws into this
thread, from a signal's handler for example, and is not ours to keep."""


class Expression:
    """`names` has every name, attribute and constant text in a subscript: what redaction looks at."""

    __slots__ = ("_run", "names", "text")

    def __init__(self, text: str, names: frozenset[str], run: Run) -> None:
        self.text = text
        self.names = names
        self._run = run

    def __repr__(self) -> str:
        return f"<Expression {self.text}>"

    def evaluate(self, frame_locals: Mapping[str, Any], frame_globals: Mapping[str, Any]) -> Any:
        """Its value among the names of a frame; a name is a local one, or else one of the module.

        Runs nothing of the program's and takes at most some milliseconds (see `limits`). Raises `ExpressionFailed`.
        The value may be an object of the program's: asking it anything, even whether it is true, could run its code.
        """
        try:
            if type(frame_locals) is not dict or type(frame_globals) is not dict:
                frame_locals, frame_globals = readable(frame_locals), readable(frame_globals)
            return self._run(frame_locals, frame_globals, [STEPS])
        except ExpressionError:
            raise
        except _FAILURES as error:
            raise _failed(error) from None

    def holds(self, frame_locals: Mapping[str, Any], frame_globals: Mapping[str, Any]) -> bool:
        """Whether its value is true, without asking an object of the program's. Raises `ExpressionFailed`."""
        # as `evaluate`, written out: this is asked at most hits of a probe
        try:
            kind = type(frame_locals)
            if (kind is not dict and kind is not PROXY) or type(frame_globals) is not dict:
                frame_locals, frame_globals = readable(frame_locals), readable(frame_globals)
            value = self._run(frame_locals, frame_globals, [STEPS])
            return value if value is True or value is False else truth(value)
        except ExpressionError:
            raise
        except _FAILURES as error:
            raise _failed(error) from None


def compile_expression(text: str) -> Expression:
    """Raises `InvalidExpression` with the part that is not of the language. Takes some 10 us for each part."""
    return compile_part(text, 0, len(text))


def compile_part(text: str, start: int, stop: int) -> Expression:
    """The expression between two places of a text."""
    names: set[str] = set()
    try:
        run = compiled(parse(text, start, stop), names)
    except RecursionError:
        raise InvalidExpression(
            text, start, stop - start, "there is no room to read this; make it simpler"
        ) from None
    return Expression(text[start:stop].strip(), frozenset(names), run)


def _failed(error: BaseException) -> BaseException:
    kind = type(error)
    if any(kind is each for each in _OF_THE_INTERPRETER) or class_name(kind).startswith("decimal."):
        return ExpressionFailed(_reason(error))
    return error


def _reason(error: BaseException) -> str:
    """A sentence. The text of an exception can hold values of the program's and is left out."""
    if isinstance(error, ZeroDivisionError):
        return "this divides by zero; add a condition such as `n != 0 and ...`"
    if isinstance(error, RecursionError):
        return "the program is at its recursion limit, so that nothing more can be calculated here"
    if isinstance(error, OverflowError):
        return "a number here is too large for this"
    if isinstance(error, MemoryError):
        return "the program has no memory left for this"
    if isinstance(error, RuntimeError):
        return "something here changed while it was looked at; the next hit may succeed"
    return f"this cannot be calculated with these values ({type(error).__name__})"
