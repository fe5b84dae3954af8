"""The text of a log probe: `n={n} total={order.total:>8.2f}`, with `{{` and `}}` for braces."""

from __future__ import annotations

from sonde_expressions import limits
from sonde_expressions.errors import ExpressionFailed, InvalidExpression
from sonde_expressions.expression import Expression, compile_part
from sonde_expressions.inert import MISSING, class_name
from sonde_expressions.values import decimal, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sonde_expressions.compiling import Run

_ALIGNMENTS = "<>^"
_TYPES = "bdeEfFgGosxX%"


class Format:
    """What stands behind the colon: `[[fill]align][sign][#][0][width][,][.precision][type]`, as in Python."""

    __slots__ = ("alignment", "fill", "is_only_padding", "text", "width")

    def __init__(self, text: str, width: int, fill: str, alignment: str, is_only_padding: bool) -> None:
        self.text = text
        self.width = width
        self.fill = fill
        self.alignment = alignment
        self.is_only_padding = is_only_padding

    def applied(self, value: Any) -> Any:
        """The text of a number or a text. Anything else stays what it is when it only is to be padded."""
        found: Any = value if decimal(value) else plain(value)
        if found is MISSING or found is None or type(found) is bytes:
            if self.is_only_padding:
                return value
            raise ExpressionFailed(
                f"'{self.text}' is for numbers and texts, and this is {class_name(type(value))}"
            )
        if type(found) is int and found.bit_length() > limits.BITS:
            raise ExpressionFailed(f"numbers of more than {limits.BITS} bits are not shown with a format")
        if decimal(value) and (abs(value.adjusted()) > limits.DIGITS or value.__sizeof__() > 1024):
            raise ExpressionFailed("this decimal number is too long to be shown with a format")
        if type(found) is str and len(found) > limits.CHARACTERS:
            found = found[: limits.CHARACTERS]
        try:
            return format(found, self.text)
        except (ValueError, OverflowError):
            raise ExpressionFailed(f"{class_name(type(value))} cannot be shown as '{self.text}'") from None

    def padded(self, text: str) -> str:
        missing = self.width - len(text)
        if missing <= 0:
            return text
        before = {">": missing, "^": missing // 2}.get(self.alignment, 0)
        return self.fill * before + text + self.fill * (missing - before)


class Template:
    """`expressions` in their order; an expression with a format evaluates to the text that the format makes."""

    __slots__ = ("_formats", "_pieces", "expressions", "text")

    def __init__(
        self, text: str, pieces: list[str], expressions: tuple[Expression, ...], formats: list[Format | None]
    ) -> None:
        self.text = text
        self.expressions = expressions
        self._pieces = pieces
        self._formats = formats

    def __repr__(self) -> str:
        return f"<Template {self.text}>"

    def render(self, texts: Sequence[str]) -> str:
        """The whole text, from one text for each expression. Pads what a width was given for."""
        found = [self._pieces[0]]
        for text, its_format, piece in zip(texts, self._formats, self._pieces[1:], strict=True):
            found.append(text if its_format is None else its_format.padded(text))
            found.append(piece)
        return "".join(found)


def compile_template(text: str) -> Template:
    """Raises `InvalidExpression` with the part of the text that cannot be read."""
    if len(text) > limits.TEXT:
        raise InvalidExpression(
            text, limits.TEXT, len(text) - limits.TEXT, f"a log text has at most {limits.TEXT} characters"
        )
    pieces, expressions, formats = [""], list[Expression](), list["Format | None"]()
    position = 0
    while position < len(text):
        letter = text[position]
        if letter in "{}" and text[position : position + 2] == letter * 2:
            pieces[-1] += letter
            position += 2
        elif letter == "}":
            raise InvalidExpression(
                text, position, 1, "a brace that opens nothing; write }} for one in the text"
            )
        elif letter == "{":
            stop, close = end_of_part(text, position)
            if len(expressions) == limits.EXPRESSIONS:
                raise InvalidExpression(
                    text,
                    position,
                    close + 1 - position,
                    f"a log text has at most {limits.EXPRESSIONS} expressions",
                )
            expression = compile_part(text, position + 1, stop)
            its_format = None if stop == close else _format(text, stop + 1, close)
            if its_format is not None:
                expression = Expression(expression.text, expression.names, _formatted(expression, its_format))
            expressions.append(expression)
            formats.append(its_format)
            pieces.append("")
            position = close + 1
        else:
            pieces[-1] += letter
            position += 1
    return Template(text, pieces, tuple(expressions), formats)


def _formatted(expression: Expression, its_format: Format) -> Run:
    run = expression._run
    return lambda local, module, steps: its_format.applied(run(local, module, steps))


def end_of_part(text: str, opening: int, *, conversions: bool = False) -> tuple[int, int]:
    """Where the expression behind a brace ends, and where the closing brace is: later, when there is a format, or a
    conversion where these are offered. Raises `InvalidExpression`."""
    depth, quote, position = 0, "", opening + 1
    while position < len(text):
        letter = text[position]
        if quote:
            if letter == "\\":
                position += 1
            elif letter == quote:
                quote = ""
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter == "}" and depth <= 0:
            return position, position
        elif letter in ")]}":
            depth -= 1
        elif letter == "!" and depth <= 0 and text[position + 1 : position + 2] != "=" and not conversions:
            raise InvalidExpression(text, position, 2, "conversions such as !r are not offered; leave it out")
        elif letter in ":!" and depth <= 0 and text[position + 1 : position + 2] != "=":
            close = text.find("}", position)
            if close >= 0:
                return position, close
            break
        position += 1
    raise InvalidExpression(
        text, opening, len(text) - opening, "a brace that is never closed; write {{ for one in the text"
    )


def _format(text: str, start: int, stop: int) -> Format:
    spec = text[start:stop]
    rest, fill, alignment = spec, " ", ""
    if rest[1:2] and rest[1] in _ALIGNMENTS:
        fill, alignment, rest = rest[0], rest[1], rest[2:]
    elif rest[:1] and rest[0] in _ALIGNMENTS:
        alignment, rest = rest[0], rest[1:]
    padding = rest
    if rest[:1] and rest[0] in "+- ":
        rest = rest[1:]
    rest = rest.removeprefix("#")
    rest = rest.removeprefix("0")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    width, rest = rest[:digits], rest[digits:]
    is_only_padding = padding == width
    if rest[:1] and rest[0] in ",_":
        rest = rest[1:]
    precision = ""
    if rest[:1] == ".":
        digits = len(rest) - 1 - len(rest[1:].lstrip("0123456789"))
        precision, rest = rest[1 : 1 + digits], rest[1 + digits :]
        if not precision:
            rest = "."
    if rest and not (len(rest) == 1 and rest in _TYPES):
        raise InvalidExpression(
            text,
            start,
            max(stop - start, 1),
            "a format is an alignment, a width, a precision and a type, as in >8.2f",
        )
    if (
        len(width) > 4
        or int(width or "0") > limits.WIDTH
        or len(precision) > 4
        or int(precision or "0") > limits.PRECISION
    ):
        raise InvalidExpression(
            text,
            start,
            stop - start,
            f"a width is at most {limits.WIDTH}, a precision at most {limits.PRECISION}",
        )
    return Format(spec, int(width or "0"), fill, alignment, is_only_padding)
