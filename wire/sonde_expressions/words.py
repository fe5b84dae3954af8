"""The words and signs of Python's that mean something here, and what to write instead of the others."""

from __future__ import annotations

CONSTANTS = {"True": True, "False": False, "None": None}
COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
INNER_WORDS = frozenset(("and", "or", "not", "in", "is", "if", "else"))
STATEMENTS = frozenset(
    [
        *(
            "as",
            "assert",
            "async",
            "await",
            "break",
            "class",
            "continue",
            "def",
            "del",
            "elif",
            "except",
            "finally",
        ),
        *(
            "for",
            "from",
            "global",
            "import",
            "lambda",
            "nonlocal",
            "pass",
            "raise",
            "return",
            "try",
            "while",
            "with",
        ),
        "yield",
    ]
)
INSTEAD = {
    "lambda": "functions are not offered; write the condition itself",
    "for": "loops over the program's objects are not offered; look at one item, or use `in` or len()",
    "async": "loops over the program's objects are not offered; look at one item, or use `in` or len()",
    "await": "nothing is awaited here; look at a name that holds the result",
    "yield": "nothing is yielded here; write the value itself",
    ":=": "nothing is assigned here; write the value where it is needed",
    "=": "nothing is assigned here; two values are compared with ==",
    "*": "a value is expected here; * is offered between two numbers",
    "**": "a value is expected here; ** is offered between two numbers",
    "{": "sets and dicts are not written here; use a tuple, as in `x in (1, 2)`",
    "...": "`...` is not offered; write a value",
    "<>": "write != instead",
    "!": "write `not` instead; a conversion such as !r is not offered",
    "&&": "write `and` instead",
    "||": "write `or` instead",
    "&": "bits are not offered; write `and` to join two conditions",
    "|": "bits are not offered; write `or` to join two conditions",
    "^": "bits are not offered; ** is the power",
    "~": "bits are not offered; write `not` instead",
    "<<": "bits are not offered; multiply by a power of two",
    ">>": "bits are not offered; divide by a power of two with //",
    "@": "only numbers are calculated with: + - * / // % **",
    ";": "an expression is one; join conditions with `and`",
    ",": "put parentheses around a tuple",
    ":": "a colon stands only in a slice, such as text[:20]",
}
