"""Values of the program as nodes: what they are made of, within limits, and without running any of the program's code.

A node is JSON-ready. It is made in the program's own thread, while that stands at a probe, and holds nothing of the program:

    {"type": "int", "value": "42"}                      `value`: as Python shows it
    {"type": "shop.Order", "fields": [["total", node]]}
    {"type": "list", "size": 12345, "items": [node]}
    {"type": "dict", "size": 3, "entries": [[node, node]]}
    {"type": "numpy.ndarray", "note": "float32 (3, 4)"}

With them may stand `id` (a number in this capture), `seen` (this object has been shown under that id), `redacted` (then
there is nothing else), `cut` (why not all of it is here: depth, items, length, fields, bytes, time), and `note`.

Objects are read by their exact types; those of the program's classes through the methods of the builtin class that they are
made from, through their slots and their own dictionary. Another thread may change any of it meanwhile.

One for each capture: it holds what is left of the bytes and of the time. An object that is met again is shown again only where
more of it would be shown.
"""

import gc
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from types import MappingProxyType
from typing import Any, cast

from sonde_agent.tap.probes import layouts, oneline
from sonde_agent.tap.probes.allowance import (
    BETWEEN_LOOKS,
    BYTES_OF_A_CHARACTER,
    MARGIN,
    Limits,
    Node,
    Redaction,
)
from sonde_agent.tap.probes.layouts import Layout, own_of, short, slot, type_name
from sonde_agent.tap.probes.scalars import EACH, Scalars
from sonde_agent.tap.probes.summaries import summary_of, whole


class Representer(Scalars):
    __slots__ = ("_calls_user_code", "_depth", "_most_fields", "_most_items", "_seen")

    def __init__(self, limits: Limits, redact: Redaction, calls_user_code: bool = False) -> None:
        """`calls_user_code`: plain instances are shown by their `repr`, which takes as long as it takes."""
        super().__init__(limits, redact)
        self._depth = limits.depth
        self._most_items = limits.items
        self._most_fields = limits.fields
        self._calls_user_code = calls_user_code
        self._seen: dict[int, tuple[int, int, object]] = {}
        """By id of the object: its number here, how deep it was met, and it itself, so that no other gets its id."""

    def value(self, name: str, thing: object) -> Node:
        """Of what goes under that name; "" when it has none."""
        found: list[list[Any]] = []
        if cut := self.named([(name, thing)], found):
            return {"type": type_name(type(thing)), "cut": cut}
        node: Node = found[0][1]
        return node

    def named(self, parts: list[tuple[str, Any]], found: list[list[Any]]) -> str:
        """Adds a name and a node for each; what is not named by a string is left out. Returns what cut it short."""
        try:
            return self._named(parts, found, 0)
        except (RecursionError, MemoryError):  # of the program: it stands near the end of its stack
            found.append(["", {"type": "object", "note": "the stack of the program is full"}])
            return "depth" if len(found) < len(parts) else ""

    def text(self, thing: object, name: str | None = None) -> str:
        """One line, for messages: a string without quotes, anything else as Python would show it."""
        if type(thing) is str and self._shows and not (name and self._hides(name)):
            text = self._clean(thing[: self._length + MARGIN])
        else:
            text = self._line(name or "", thing)
        return oneline.bounded(text if text.isprintable() else repr(text)[1:-1], self._length)

    def _line(self, name: str, thing: object) -> str:
        """Made of no more than what a line can show of it, and by itself: what was shown elsewhere is shown here too."""
        before, seen = self.left, self._seen
        self._seen = {}
        self.left = given = min(before, BYTES_OF_A_CHARACTER * self._length + BETWEEN_LOOKS)
        self._mark = given  # so that the clock is looked at
        text = oneline.of(self.value(name, thing))
        self._seen = seen
        self.left += before - given
        self._mark = max(0, self.left - BETWEEN_LOOKS)
        return text

    def _node(self, thing: object, deep: int) -> Node:
        kind = type(thing)
        node = self._scalar(thing, kind)
        return self._composed(thing, kind, deep) if node is None else node

    def _named(self, parts: list[tuple[str, Any]], found: list[list[Any]], deep: int) -> str:
        known = self._known
        for name, thing in parts:
            if self.left <= self._mark and self.is_spent():
                return self._spent
            if type(name) is not str:
                continue
            self.left -= 6 + len(name)
            hidden = known.get(name)
            if hidden is None:
                hidden = self._hides(name)
                name = short(name)
            if hidden:
                found.append([name, self._redacted(thing)])
                continue
            kind = type(thing)
            node = self._scalar(thing, kind)
            found.append([name, self._composed(thing, kind, deep) if node is None else node])
        return ""

    def _redacted(self, thing: object) -> Node:
        name = type_name(type(thing))
        self.left -= EACH + len(name)
        return {"type": name, "redacted": True}

    # what values are made of

    def _composed(self, thing: Any, kind: type, deep: int) -> Node:
        """Of what is no scalar."""
        if kind is dict:
            return self._entries(thing, "dict", deep)
        if kind is list:
            return self._items(thing, "list", list, deep)
        if kind is tuple:
            return self._items(thing, "tuple", tuple, deep)
        return self._items(thing, "set", set, deep) if kind is set else self._other(thing, kind, deep)

    def _items(self, thing: Any, name: str, base: Any, deep: int) -> Node:
        size = base.__len__(thing)
        node: Node = {"type": name, "size": size}
        self.left -= EACH + EACH + len(name)
        if deep >= self._depth and size:
            node["cut"] = "depth"
            return node
        if base is list and size and self._is_known(thing, node, deep):
            return node
        found: list[Any] = []
        node["items"] = nodes = []
        if type(thing) is list:
            found = thing[: self._most_items]
        elif not _draw(found, islice(base.__iter__(thing), self._most_items)):
            node["note"] = "changed meanwhile"
        if len(found) < size:
            node["cut"] = "items"
        if size == 2 and len(found) == 2 and base in _PAIRS and self._hides_key(found[0]):
            nodes += [self._node(found[0], deep + 1), self._redacted(found[1])]
            return node
        deep += 1
        for each in found:
            if self.left <= self._mark and self.is_spent():
                node["cut"] = self._spent
                break
            kind = type(each)
            node_of_it = self._scalar(each, kind)
            nodes.append(self._composed(each, kind, deep) if node_of_it is None else node_of_it)
        return node

    def _entries(self, thing: dict[Any, Any], name: str, deep: int) -> Node:
        size = dict.__len__(thing)
        node: Node = {"type": name, "size": size}
        self.left -= EACH + EACH + len(name)
        if deep >= self._depth and size:
            node["cut"] = "depth"
            return node
        if size and self._is_known(thing, node, deep):
            return node
        found: list[tuple[Any, Any]] = []
        node["entries"] = entries = []
        keys = self._keys
        if not _draw(found, islice(dict.items(thing), self._most_items)):
            node["note"] = "changed meanwhile"
        if len(found) < size:
            node["cut"] = "items"
        deep += 1
        for key, each in found:
            if self.left <= self._mark and self.is_spent():
                node["cut"] = self._spent
                break
            known = keys.get(key) if type(key) is str else None
            if known is None:
                before = self.left
                hidden, under = self._hides_key(key), self._node(key, deep)
                if type(key) is str:
                    self._remember_key(key, hidden, under, before - self.left)
            else:
                hidden, under, size = known
                self.left -= size
            if hidden:
                entries.append([under, self._redacted(each)])
                continue
            kind = type(each)
            node_of_it = self._scalar(each, kind)
            entries.append([under, self._composed(each, kind, deep) if node_of_it is None else node_of_it])
        return node

    def _hides_key(self, key: object) -> bool:
        """Whether a key tells that its value is secret. Headers have them as bytes, and come in pairs."""
        if type(key) is str:
            return self._hides(key)
        if type(key) is bytes:
            return self._hides(key[: layouts.LONGEST_NAME].decode("latin-1"))
        return issubclass(type(key), str) and self._hides(short(key))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    def _is_known(self, thing: object, node: Node, deep: int) -> bool:
        """Whether an object has been shown with as much of it as would be now. Gives it its number."""
        known = self._seen.get(id(thing))
        if known is None:
            node["id"] = number = len(self._seen) + 1
        else:
            node["id"] = number = known[0]
            if deep >= known[1]:
                node["seen"] = True
                return True
        self._seen[id(thing)] = (number, deep, thing)
        return False

    # everything else

    def _other(self, thing: object, kind: type, deep: int) -> Node:
        known = layouts.known.get(id(kind))
        made = known[1] if known is not None and known[0]() is kind else layout_of(kind)
        name = made.name
        if self._hides_type(name):
            return self._redacted(thing)
        if made.summary is not None and (summary := made.summary(thing)) is not None:
            return self._summary(name, summary)
        if made.names:
            values: Any = tuple.__iter__(cast("tuple[Any, ...]", thing))
            return self._instance(thing, deep, made, list(zip(made.names, values, strict=False)))
        write = _OF_BASE.get(id(made.base))
        if write is None:
            return self._instance(thing, deep, made, [])
        node = write(self, thing, name, deep)
        if (
            made.base is not BaseException
            and "cut" not in node
            and "seen" not in node
            and (made.own is not None or made.slots)
        ):
            self._add_fields(node, self._parts(thing, made, []), deep)
        return node

    def _summary(self, name: str, summary: dict[str, str]) -> Node:
        if (text := summary.get("value")) is not None:
            return self._valued(name, text)
        self.left -= EACH + len(name)
        note = self.clean(summary["note"])
        return {"type": name, "note": note}

    def _instance(self, thing: object, deep: int, made: Layout, parts: list[tuple[str, Any]]) -> Node:
        node: Node = {"type": made.name}
        self.left -= EACH + len(made.name)
        if self._calls_user_code and self._shows:
            return self._asked(thing, made.name)
        parts = self._parts(thing, made, parts)
        if made.is_veiled:
            node["note"] = "its class hides what it has"
        if not parts:
            if made.own is not None:
                node["fields"] = []
        elif deep >= self._depth:
            node["cut"] = "depth"
        elif not self._is_known(thing, node, deep):
            self._add_fields(node, parts, deep)
        return node

    def _parts(self, thing: object, made: Layout, parts: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """One more than is shown, when there are more."""
        most = self._most_fields + 1
        for name, descriptor in made.slots:
            if len(parts) >= most:
                break
            is_filled, part = slot(thing, descriptor)
            if is_filled:
                parts.append((name, part))
        if made.own is not None and (own := own_of(thing, made.own)):
            left = most - len(parts)
            _draw(parts, islice(dict.items(own), max(0, left)) if len(own) > left else dict.items(own))
        if made.beside:
            for each in layouts.beside(thing, made):
                _draw(parts, islice(dict.items(each), max(0, most - len(parts))))
        return parts

    def _add_fields(self, node: Node, parts: list[tuple[str, Any]], deep: int) -> None:
        if not parts:
            return
        fields: list[list[Any]] = []
        node["fields"] = fields
        if len(parts) > self._most_fields:
            del parts[self._most_fields :]
            node["cut"] = "fields"
        if cut := self._named(parts, fields, deep + 1):
            node["cut"] = cut

    def _asked(self, thing: object, name: str) -> Node:
        try:
            text = repr(thing)
        except KeyboardInterrupt:  # comes from outside, and is the program's
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it raises must not end the program here
            return {"type": name, "note": f"its __repr__ raised {type_name(type(error))}"}
        return self._valued(name, str.__getitem__(text, slice(0, self._length + MARGIN)))

    def _mapped(self, thing: Any, name: str, deep: int) -> Node:
        """A read-only view does not say of what; the collector is told."""
        inner = gc.get_referents(thing)
        if len(inner) == 1 and type(inner[0]) is dict:
            return self._entries(inner[0], name, deep)
        self.left -= EACH + len(name)
        return {"type": name}

    def _error(self, thing: Any, name: str, deep: int) -> Node:
        made = layout_of(type(thing))
        parts: list[tuple[str, Any]] = [("args", _ARGUMENTS.__get__(thing))]
        for field, descriptor in _CAUSES:
            if (cause := descriptor.__get__(thing)) is not None:
                parts.append((field, cause))
        return self._instance(thing, deep, made, parts)


def layout_of(kind: type) -> Layout:
    return layouts.layout(kind, summary_of, _BASES)


def _draw(found: list[Any], items: Iterable[Any]) -> bool:
    """In one step of C, between which no other thread runs. False when the collection changed all the same, as when a
    collection of garbage ran code of the program; then there is what was drawn until then."""
    try:
        found.extend(items)
    except RuntimeError:
        return False
    return True


_ARGUMENTS: Any = BaseException.__dict__["args"]
_CAUSES: tuple[tuple[str, Any], ...] = tuple(
    (name, BaseException.__dict__[name]) for name in ("__cause__", "__context__")
)

_OfBase = Callable[[Representer, Any, str, int], Node]


def _items_of(base: Any) -> _OfBase:
    return lambda representer, thing, name, deep: representer._items(thing, name, base, deep)


def _octets_of(base: Any) -> _OfBase:
    return lambda representer, thing, name, _: representer._octets(thing, name, base)


def _scalar_of(shown: Callable[[Any], str]) -> _OfBase:
    return lambda representer, thing, name, _: representer._valued(name, shown(thing))


_PAIRS = (list, tuple)
_VIEWS: tuple[Any, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_COLLECTIONS = (list, tuple, set, frozenset, deque, *_VIEWS)
_BASES: dict[int, type] = {
    id(each): each
    for each in (
        *_COLLECTIONS,
        dict,
        str,
        bytes,
        bytearray,
        int,
        float,
        complex,
        BaseException,
        MappingProxyType,
    )
}
_OF_BASE: dict[int, _OfBase] = {
    **{id(base): _items_of(base) for base in _COLLECTIONS},
    id(dict): Representer._entries,
    id(str): lambda representer, thing, name, _: representer._string(thing, name),
    id(bytes): _octets_of(bytes),
    id(bytearray): _octets_of(bytearray),
    id(int): _scalar_of(whole),
    id(float): _scalar_of(float.__repr__),
    id(complex): _scalar_of(complex.__repr__),
    id(BaseException): Representer._error,
    id(MappingProxyType): Representer._mapped,
}
