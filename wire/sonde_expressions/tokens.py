"""A text becomes words: names, numbers, texts and signs, each with its place.

The interpreter's own parser is not used: it warns (and so runs what the program does with warnings), announces itself
to audit hooks, reads differently in each version, and needs a deep stack for hostile texts.
"""

from __future__ import annotations

from sonde_expressions import limits
from sonde_expressions.errors import InvalidExpression

NAME, NUMBER, TEXT, SIGN, END = "name", "number", "text", "sign", "end"

_SIGNS = (
    *("**=", "//=", "<<=", ">>=", "..."),
    *(
        "**",
        "//",
        "==",
        "!=",
        "<=",
        ">=",
        ":=",
        "<<",
        ">>",
        "->",
        "+=",
        "-=",
        "*=",
        "/=",
        "%=",
        "<>",
        "&&",
        "||",
    ),
    *"+-*/%<>()[]{},:.=@&|^~!?;",
)
"""The longest first."""
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_CODES = {"x": 2, "u": 4, "U": 8}
_BASES = {"x": 16, "o": 8, "b": 2}
_ASCII = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_DIGITS = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF")


class Token:
    """`text` is what was written, `value` what a number or a text is worth."""

    __slots__ = ("kind", "position", "text", "value")

    def __init__(self, kind: str, text: str, position: int, value: object = None) -> None:
        self.kind = kind
        self.text = text
        self.position = position
        self.value = value

    @property
    def stop(self) -> int:
        return self.position + len(self.text)


def scan(text: str, start: int, stop: int) -> list[Token]:
    """The words between two places of a text; the last is always one of kind END."""
    if stop - start > limits.TEXT:
        raise InvalidExpression(
            text,
            start + limits.TEXT,
            stop - start - limits.TEXT,
            f"at most {limits.TEXT} characters are read",
        )
    found: list[Token] = []
    position = start
    while position < stop:
        letter = text[position]
        if letter in " \t":
            position += 1
            continue
        if letter in "\r\n":
            if not text[position:stop].strip(" \t\r\n"):
                break
            raise InvalidExpression(text, position, 1, "an expression is one line; leave the line break out")
        token = _word(text, position, stop, letter)
        found.append(token)
        position = token.stop
    found.append(Token(END, "", stop))
    return found


def _word(text: str, position: int, stop: int, letter: str) -> Token:
    if letter in "'\"":
        return _text(text, position, position, stop)
    if letter in _DIGITS or (letter == "." and position + 1 < stop and text[position + 1] in _DIGITS):
        return _number(text, position, stop)
    if letter in _ASCII or letter.isidentifier():
        end = position + 1
        while end < stop and (text[end] in _ASCII or ("a" + text[end]).isidentifier()):
            end += 1
        if end < stop and text[end] in "'\"" and end - position <= 2:
            return _text(text, position, end, stop)
        return Token(NAME, text[position:end], position)
    for sign in _SIGNS:
        if text.startswith(sign, position, stop):
            return Token(SIGN, sign, position)
    raise InvalidExpression(text, position, 1, "this sign is not part of the language")


def _number(text: str, position: int, stop: int) -> Token:
    end = position
    while end < stop and (
        text[end] in _ASCII or text[end] == "." or (text[end] in "+-" and _is_exponent(text, position, end))
    ):
        end += 1
    written = text[position:end]
    value = _worth(written)
    if value is None:
        raise InvalidExpression(
            text,
            position,
            len(written),
            f"this is not a number; 7, 0x1f, 1.5 and 1e9 are, up to {limits.DIGITS} digits",
        )
    return Token(NUMBER, written, position, value)


def _is_exponent(text: str, position: int, sign: int) -> bool:
    return text[sign - 1] in "eE" and text[position : position + 2] not in ("0x", "0X")


def _worth(written: str) -> int | float | None:
    """The number, or None when Python would not read it so, or it is too long."""
    if len(written) > limits.DIGITS:
        return None
    base = _BASES.get(written[1:2].lower(), 10) if written[0] == "0" else 10
    try:
        if base != 10:
            return int(written, base)
        if not written.replace("_", "").isdigit():
            return float(written)
        if written[0] == "0" and written.strip("0_"):
            return None  # 0777, which Python refuses as well
        return int(written)
    except ValueError:
        return None


def _text(text: str, position: int, quoted: int, stop: int) -> Token:
    """A text in quotes, which open at `quoted`, after an optional prefix that begins at `position`."""
    prefix, quote = text[position:quoted].lower(), text[quoted]
    if "f" in prefix or "t" in prefix:
        raise InvalidExpression(
            text,
            position,
            quoted + 1 - position,
            "texts with expressions in them are not offered here; compare the parts",
        )
    if prefix not in ("", "r", "b", "u", "br", "rb"):
        raise InvalidExpression(text, position, len(prefix), "only r, b and u may stand before a text")
    if text.startswith(quote * 3, quoted, stop):
        raise InvalidExpression(text, quoted, 3, "an expression is one line: put the text in single quotes")
    pieces: list[str] = []
    place = quoted + 1
    while place < stop and text[place] != quote:
        letter = text[place]
        if letter in "\r\n\0" or "\ud800" <= letter <= "\udfff":
            raise InvalidExpression(
                text, place, 1, "this cannot stand in a text; write it as \\n, \\r or \\x00"
            )
        if letter != "\\" or ("r" in prefix and place + 1 < stop):
            size, piece = (2, text[place : place + 2]) if letter == "\\" else (1, letter)
        else:
            size, piece = _escaped(text, place, stop, "b" in prefix)
        pieces.append(piece)
        place += size
    if place >= stop:
        raise InvalidExpression(
            text, position, stop - position, "this text is never closed; add the quote at its end"
        )
    written, plain = text[position : place + 1], "".join(pieces)
    if "b" not in prefix:
        return Token(TEXT, written, position, plain)
    if not plain.isascii() and any(letter > "\x7f" for letter in text[quoted:place]):
        raise InvalidExpression(
            text, position, len(written), "bytes hold ASCII only; write the others as \\x.."
        )
    return Token(TEXT, written, position, plain.encode("latin-1"))


def _escaped(text: str, place: int, stop: int, is_bytes: bool) -> tuple[int, str]:
    """How long an escape is, and what it stands for."""
    sign = text[place + 1 : place + 2] if place + 1 < stop else ""
    following = text[place + 2 : place + 3] if place + 2 < stop else ""
    if sign in _ESCAPES and sign and not (sign == "0" and following in _DIGITS and following):
        return 2, _ESCAPES[sign]
    size = _CODES.get(sign, 0)
    code = text[place + 2 : min(place + 2 + size, stop)]
    if size and not (is_bytes and sign != "x") and len(code) == size and _HEX.issuperset(code):
        number = int(code, 16)
        if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF:
            return 2 + size, chr(number)
    raise InvalidExpression(
        text,
        place,
        min(2 + size, stop - place),
        "this escape is not offered; \\\\ \\' \\\" \\n \\r \\t \\0 \\x.. \\u.... are",
    )
