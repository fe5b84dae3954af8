"""Values that hold no others, as nodes: numbers, texts, bytes, None. They are most of what a capture shows, so `_scalar` tells
them by their exact types in one step.
"""

from typing import Any

from sonde_agent.tap.identity import plain
from sonde_agent.tap.probes.allowance import MARGIN, Allowance, Node
from sonde_agent.tap.probes.summaries import whole

EACH = 32
"""Bytes that a node takes beside its texts, about."""
CUT = 32
"""Bytes more of a text whose size is told."""
SHORT = EACH + 12
"""Of a number that is written in at most twelve characters."""
LIKE_A_CARD = 10**11
LOWEST = -LIKE_A_CARD
"""Numbers from here on could be those of payment cards, and are redacted like texts."""
_OF_A_FLOAT = 24

# The same in all captures, so nobody may change them.
_NONE: Node = {"type": "NoneType", "value": "None"}
_TRUE: Node = {"type": "bool", "value": "True"}
_FALSE: Node = {"type": "bool", "value": "False"}


class Scalars(Allowance):
    __slots__ = ()

    def _scalar(self, thing: Any, kind: type) -> Node | None:
        """`kind` is its exact type. None for what is no scalar, or is of a class that is made from one."""
        if kind is str:
            if len(thing) > self._length or not self._shows:
                return self._string(thing, "str")
            shown = repr(self._clean(thing))
            if shown.isascii() and '"' not in shown and "\\" not in shown:
                self.left -= EACH + len(shown)
            else:
                self.left -= EACH
                self._charge(shown)
            return {"type": "str", "value": shown}
        if kind is int:
            if not self._shows or not LOWEST < thing < LIKE_A_CARD:
                return self._valued("int", whole(thing))
            self.left -= SHORT
            return {"type": "int", "value": repr(thing)}
        if thing is None:
            self.left -= EACH
            return _NONE if self._shows else {"type": "NoneType"}
        if kind is bool:
            self.left -= EACH
            return (_TRUE if thing else _FALSE) if self._shows else {"type": "bool"}
        if kind is float:
            self.left -= EACH + _OF_A_FLOAT
            return {"type": "float", "value": repr(thing)} if self._shows else {"type": "float"}
        if kind is bytes:
            return self._octets(thing, "bytes", bytes)
        if kind is bytearray:
            return self._octets(thing, "bytearray", bytearray)
        return None

    def _valued(self, name: str, text: str) -> Node:
        """With a text that has not been redacted yet."""
        if not self._shows:
            self.left -= EACH + len(name)
            return {"type": name}
        text = self._clean(text)
        node = {"type": name, "value": text if len(text) <= self._length else text[: self._length]}
        if len(text) > self._length:
            node["cut"] = "length"
        self.left -= EACH + len(name)
        if not node["value"].isprintable():
            node["value"] = plain(node["value"])
        self._charge(node["value"])
        return node

    def _string(self, thing: str, name: str) -> Node:
        size = str.__len__(thing)
        self.left -= EACH + len(name)
        if not self._shows:
            return {"type": name, "size": size}
        most = self._length
        if size <= most and type(thing) is str:
            text = self._clean(thing)
            is_cut = False
        else:
            text = self._clean(str.__getitem__(thing, slice(0, most + MARGIN)))
            is_cut = size > most + MARGIN or len(text) > most
            text = text[: min(most, max(self.left, 0))] if is_cut else text
        shown = repr(text)
        self._charge(shown)
        if not is_cut:
            return {"type": name, "value": shown}
        self.left -= CUT
        return {"type": name, "value": shown, "size": size, "cut": "length"}

    def _octets(self, thing: Any, name: str, base: Any) -> Node:
        size = base.__len__(thing)
        self.left -= EACH + len(name)
        if not self._shows:
            return {"type": name, "size": size}
        most = self._length
        text = repr(bytes(base.__getitem__(thing, slice(0, most + MARGIN))))
        text = self._clean(text)
        is_cut = size > most + MARGIN or len(text) > most
        shown = text[:most] if is_cut else text
        self._charge(shown)
        if not is_cut:
            return {"type": name, "value": shown}
        self.left -= CUT
        return {"type": name, "value": shown, "size": size, "cut": "length"}
