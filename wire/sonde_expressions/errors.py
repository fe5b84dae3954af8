"""The errors of expressions.

ExpressionError
 +-- InvalidExpression   a text that is not of the language (refused when the probe is made)
 +-- ExpressionFailed    an expression that has no value in this frame (an error that people see)

Neither carries a value of the program or the text of one of its exceptions.
"""

from __future__ import annotations


class ExpressionError(Exception):
    """Root of this package's errors."""


class InvalidExpression(ExpressionError, ValueError):
    """`position` and `length` are the offending part of `text`, in characters from 0; `message` says what is offered."""

    def __init__(self, text: str, position: int, length: int, message: str) -> None:
        super().__init__(text, position, length, message)
        self.text = text
        self.position = position
        self.length = length
        self.message = message

    def __str__(self) -> str:
        part = self.text[self.position : self.position + min(self.length, 40)]
        return f"at {self.position + 1}, {part!r}: {self.message}" if part else self.message


class ExpressionFailed(ExpressionError):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
