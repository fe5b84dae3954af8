"""Every limit of the language. Together they bound an evaluation: each of at most NODES parts does a constant amount
of work, makes at most CHARACTERS of text or BITS of number, or pays for what it looks at from STEPS.
"""

from __future__ import annotations

from sonde_expressions.errors import ExpressionFailed

TEXT = 4096
"""Characters of an expression or a log text."""
NODES = 200
DEPTH = 50
DIGITS = 300
"""Of a number that is written down; below 640, which is what a program may lower the interpreter's own limit to."""
ITEMS = 20
"""Of a list or tuple that is written down, and arguments of a call."""
EXPRESSIONS = 20
"""In one log text."""
WIDTH = 255
PRECISION = 100

BITS = 4096
"""Of an integer that is calculated with."""
CHARACTERS = 65_536
"""Of a text that is made."""
LONGEST = 1_000_000
"""Characters of a text that must be copied before it is read, as the program's own kinds of text must."""
PARTS = 1000
"""Of a slice or a split."""
STEPS = 10_000
"""Elements that one evaluation looks at, in all. A step is 1 KiB where texts are compared, 128 characters where one is searched."""
EQUAL_DEPTH = 10
"""Of containers that are compared."""

Steps = list[int]
"""What is left, in a list of one: made for each evaluation and handed down."""


def spend(steps: Steps, count: int) -> None:
    steps[0] -= count
    if steps[0] < 0:
        raise ExpressionFailed(
            f"this would look at more than {STEPS:,} elements; ask for less, for example for one key of it"
        )
