"""The expressions of a probe, checked here before anything is sent: a mistake is shown where it is."""

import warnings

from sonde_expressions import (
    InvalidExpression,
    check_python,
    check_python_template,
    compile_expression,
    compile_template,
)
from sonde_viewer.errors import InvalidProbe
from sonde_viewer.untrusted import harmless
from sonde_wire.probes import Log, ProbeSpec, expressions

_WIDE = 100


def check(spec: ProbeSpec) -> None:
    """Raises `InvalidProbe`, whose text has the expression and a mark under the part that is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check(spec)


def _check(spec: ProbeSpec) -> None:
    for where, text in expressions(spec):
        try:
            if spec.python:
                check_python(text)
            else:
                compile_expression(text)
        except InvalidExpression as error:
            hint = "" if spec.python else "\n--python takes any Python; it needs the scope execute"
            what = "the condition" if where == "condition" else "the expression"
            raise InvalidProbe(f"{what}: {_marked(error)}{hint}") from None
    if isinstance(spec.kind, Log):
        try:
            if spec.python:
                check_python_template(spec.kind.template)
            else:
                compile_template(spec.kind.template)
        except InvalidExpression as error:
            raise InvalidProbe(f"the log text: {_marked(error)}") from None


def _marked(error: InvalidExpression) -> str:
    """The message, and below it the line with a mark; the two are cut so that the mark is seen."""
    start = error.text.rfind("\n", 0, error.position) + 1
    line = error.text[start:].partition("\n")[0]
    position = error.position - start
    cut = max(0, position - _WIDE // 2)
    before, part = line[cut:position], line[position : position + max(error.length, 1)]
    after = line[position + len(part) :]
    shown = "".join(harmless(each.replace("\t", " ")) for each in (before, part, after))[:_WIDE]
    indent = len(harmless(before.replace("\t", " ")))
    marks = "^" * max(1, min(len(harmless(part)), _WIDE - indent))
    return f"{error.message}\n  {shown}\n  {' ' * indent}{marks}"
