"""Text from processes on its way to a terminal. A variable's value could hold an escape sequence that clears
the screen, renames the window or types for the user; here it becomes visible instead."""

import unicodedata

_HARMLESS = {"\n", "\t"}
_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Controls, invisible formatting such as the marks that turn the reading direction, and separators of lines."""
_JOINERS = {"\u200c", "\u200d"}
"""Needed by Persian and Indic scripts and by emoji; they move nothing."""


def harmless(text: str) -> str:
    """The text with what could steer a terminal written as an escape: `\\x1b[2J`. Lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def one_line(text: str, longest: int = 200) -> str:
    """For a cell of a table, or a line of a list."""
    flat = harmless(text.replace("\n", "\\n").replace("\t", " "))
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def _shown(character: str) -> str:
    if character in _HARMLESS or character in _JOINERS:
        return character
    if unicodedata.category(character) in _CATEGORIES:
        return character.encode("unicode_escape").decode("ascii")
    return character
