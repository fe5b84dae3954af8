"""Halves of surrogate pairs in JSON text, as a name that is not text leaves them (`os.fsdecode`).

JSON may carry them (`"\\ud800"`), Unicode text may not: whoever decodes strictly loses the whole message, and
with it the line. They become U+FFFD where a message comes in. Pure.
"""

import re

_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.",
    re.DOTALL,
)
"""A pair, a half, or any other escape, whose second character must not begin one."""
_HALF = len(b"\\ud800")


def replaced(text: bytes) -> bytes:
    if b"\\ud" not in text and b"\\uD" not in text:
        return text
    return _ESCAPE.sub(lambda found: b"\\ufffd" if len(found[0]) == _HALF else found[0], text)
