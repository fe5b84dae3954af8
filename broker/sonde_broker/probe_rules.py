"""Which probes can be asked for: a kind at a place where it can be, with expressions that are of the language. Pure.

What is wrong is said here, with the part of the text that it is about, before any process hears of the probe. With
`python` the texts only have to be Python; that takes the scope `execute`, which `access` sees to.
"""

import warnings

from sonde_expressions import (
    InvalidExpression,
    check_python,
    check_python_template,
    compile_expression,
    compile_template,
)
from sonde_wire import Code, Reason, Refused
from sonde_wire.probes import FunctionPlace, LinePlace, Log, OnException, ProbeSpec, Timer, expressions


def check(spec: ProbeSpec) -> None:
    """Raises `Refused` (invalid_argument)."""
    _check_place(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a viewer's text, on our terminal
        _check_texts(spec)


def _check_texts(spec: ProbeSpec) -> None:
    for where, text in expressions(spec):
        try:
            if spec.python:
                check_python(text)
            else:
                compile_expression(text)
        except InvalidExpression as error:
            raise _invalid(where, error) from None
    if isinstance(spec.kind, Log):
        try:
            if spec.python:
                check_python_template(spec.kind.template)
            else:
                compile_template(spec.kind.template)
        except InvalidExpression as error:
            raise _invalid("kind.template", error) from None


def _check_place(spec: ProbeSpec) -> None:
    kind, place = spec.kind, spec.place
    if place is None and not isinstance(kind, OnException):
        named = kind.__struct_config__.tag
        raise _refused(
            f"a {named} needs a place: a line (path and line) or a function (module, function and entry or exit)"
        )
    if not isinstance(kind, Timer):
        return
    if kind.until is not None and not isinstance(place, LinePlace):
        raise _refused("a timer that ends at a line (until) begins at one: give its place as path and line")
    if isinstance(place, LinePlace) and kind.until == place.line:
        raise _refused("a timer that ends at the line where it begins measures nothing; give another line")
    if isinstance(place, FunctionPlace) and place.on == "exit":
        raise _refused("a timer ends when its function is left; begin it at the entry")


def _invalid(where: str, error: InvalidExpression) -> Refused:
    return Refused(Code.INVALID_ARGUMENT, Reason.INVALID_EXPRESSION, f"{where}: {error}")


def _refused(message: str) -> Refused:
    return Refused(Code.INVALID_ARGUMENT, Reason.INVALID_PARAMS, message)
