"""The language of probes: conditions and log texts that look at a program and never run a line of it.

    expression = compile_expression("order.total > 100 and status in ('new', 'paid')")
    expression.holds(frame.f_locals, frame.f_globals)

`tokens` and `parser` read a text or refuse it, `inert` reads the program's objects, `values`, `arithmetic`, `calls` and
`ordering` are what is done with them, `compiling` makes closures of it all. `python` reads what may be any Python instead.
docs/expressions.md has the language.

It is imported into strangers' programs: builtins only, no other part of Sonde.
"""

from sonde_expressions.errors import ExpressionError, ExpressionFailed, InvalidExpression
from sonde_expressions.expression import Expression, compile_expression
from sonde_expressions.python import check_python, check_python_template
from sonde_expressions.template import Template, compile_template

__all__ = [
    "Expression",
    "ExpressionError",
    "ExpressionFailed",
    "InvalidExpression",
    "Template",
    "check_python",
    "check_python_template",
    "compile_expression",
    "compile_template",
]
