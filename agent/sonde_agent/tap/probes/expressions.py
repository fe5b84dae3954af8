"""Expressions of probes: of the safe language, or any Python where the probe may.

Either is asked alike, and raises `sonde_expressions.ExpressionFailed` where it has no value, with a sentence that holds
nothing of the program's.
"""

from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any, Protocol

from sonde_agent.tap.errors import CallRefused
from sonde_expressions import (
    ExpressionFailed,
    InvalidExpression,
    Template,
    compile_expression,
    compile_template,
)


class Expression(Protocol):
    @property
    def text(self) -> str: ...

    @property
    def names(self) -> frozenset[str]:
        """All names, attributes and constant texts in it: what redaction looks at."""
        ...

    def evaluate(self, frame_locals: Mapping[str, Any], frame_globals: Mapping[str, Any]) -> Any: ...

    def holds(self, frame_locals: Mapping[str, Any], frame_globals: Mapping[str, Any]) -> bool: ...


class _Python:
    """Runs whatever it says, in the program's thread. What it raises ends here, an exit of the interpreter too."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._code = compile(text, "<sonde>", "eval", dont_inherit=True)
        self.names = frozenset(_names(self._code))
        self._has_inner = any(type(each) is CodeType for each in self._code.co_consts)

    def evaluate(self, frame_locals: Mapping[str, Any], frame_globals: Mapping[str, Any]) -> Any:
        try:
            return self._value(frame_locals, frame_globals)
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - whoever asked hears of it
            raise self._failure(error) from None

    def holds(self, frame_locals: Mapping[str, Any], frame_globals: Mapping[str, Any]) -> bool:
        try:
            return bool(self._value(frame_locals, frame_globals))
        except (Exception, SystemExit, GeneratorExit) as error:  # noqa: BLE001 - as above
            raise self._failure(error) from None

    def _value(self, frame_locals: Mapping[str, Any], frame_globals: Mapping[str, Any]) -> Any:
        """A comprehension or lambda in it sees no locals but its own: there all names are those of the module."""
        if self._has_inner:
            return eval(self._code, {**frame_globals, **frame_locals})  # noqa: S307 - its scope is `execute`
        return eval(self._code, dict_of(frame_globals), frame_locals)  # noqa: S307 - as above

    def _failure(self, error: BaseException) -> ExpressionFailed:
        name = type.__dict__["__qualname__"].__get__(type(error))
        return ExpressionFailed(f"{self.text[:80]!r} raised {name[:80]}")


def dict_of(names: Mapping[str, Any]) -> dict[str, Any]:
    return names if isinstance(names, dict) else dict(names)


def compiled(text: str, *, python: bool) -> Expression:
    """Raises `CallRefused` (invalid_argument, invalid_expression)."""
    try:
        return _Python(text.strip()) if python else compile_expression(text)
    except InvalidExpression as error:
        raise _refusal(str(error)) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        message = error.msg if isinstance(error, SyntaxError) else "it cannot be compiled"
        raise _refusal(f"{text[:80]!r}: {message}") from None


def compiled_template(text: str) -> Template:
    """Raises `CallRefused` as above."""
    try:
        return compile_template(text)
    except InvalidExpression as error:
        raise _refusal(str(error)) from None


def compiled_format(text: str) -> Expression:
    """A log text in full Python: what an f-string makes of it."""
    return compiled("f" + repr(text), python=True)


def _refusal(message: str) -> CallRefused:
    return CallRefused("invalid_argument", "invalid_expression", message)


def _names(code: CodeType) -> Iterator[str]:
    yield from (*code.co_names, *code.co_varnames, *code.co_freevars)
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _names(constant)
