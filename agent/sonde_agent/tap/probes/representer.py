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
from time import monotonic
from types import MappingProxyType
from typing import Any, Protocol, cast

from sonde_agent.records import Record
from sonde_agent.tap.identity import plain
from sonde_agent.tap.probes import layouts, oneline
from sonde_agent.tap.probes.layouts import Layout, own_of, short, slot, type_name
from sonde_agent.tap.probes.summaries import summary_of, whole

Node = dict[str, Any]

_MARGIN = 1024
"""Characters beyond what is shown that redaction sees, so that a secret that is cut in two is known for one."""
_LONGEST_KNOWN = 100
_MOST_KNOWN = 5000
"""Names that are remembered with whether they are hidden; then it begins anew."""
_BETWEEN_LOOKS = 1024
"""Bytes of a capture between two looks at the clock."""
_EACH = 32
"""Bytes that a node takes beside its texts, about."""
_CUT = 32
"""Bytes more of a text whose size is told."""
_BYTES_OF_A_CHARACTER = 12
"""At most: one beyond U+FFFF is two escapes of six in JSON."""
_SHORT = _EACH + 12
"""Of a number that is written in at most twelve characters."""
_LIKE_A_CARD = 10**11
_LOWEST = -_LIKE_A_CARD
"""Numbers from here on could be those of payment cards, and are redacted like texts."""


class Limits(Record):
    """`seconds` of the clock, for one capture, and `bytes` of its JSON. The bytes may be passed by one value."""

    depth: int = 3
    items: int = 100
    length: int = 255
    fields: int = 20
    bytes: int = 65_536
    seconds: float = 0.05
    frames: int = 20
    frames_with_locals: int = 5


class Redaction(Protocol):
    """What must not leave the process; see `sonde_agent.redaction`."""

    @property
    def shows_values(self) -> bool: ...

    def hides_name(self, name: str) -> bool: ...

    def hides_type(self, qualified_type_name: str) -> bool: ...

    def text(self, text: str) -> str: ...


class Representer:
    _judged: tuple[object, dict[str, bool], dict[str, bool], dict[str, str]] | None = None
    """Of all captures: the redaction, and what it said of names, of types and of texts such as a thread's name."""

    def __init__(self, limits: Limits, redact: Redaction, calls_user_code: bool = False) -> None:
        """`calls_user_code`: plain instances are shown by their `repr`, which takes as long as it takes."""
        self.left = limits.bytes
        self._mark = max(0, limits.bytes - _BETWEEN_LOOKS)
        self._until = monotonic() + limits.seconds
        self._spent = "bytes"
        self._depth = limits.depth
        self._most_items = limits.items
        self._most_fields = limits.fields
        self._length = min(limits.length, limits.bytes // 4)
        self._shows = redact.shows_values
        judged = Representer._judged
        if judged is None or judged[0] is not redact:
            judged = Representer._judged = (redact, {}, {}, {})
        _, self._known, self._known_types, self._known_texts = judged
        self._hides_name = redact.hides_name
        self._hides_type = redact.hides_type
        self._clean = redact.text
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
            text = self._clean(thing[: self._length + _MARGIN])
        else:
            text = self._line(name or "", thing)
        return oneline.bounded(text if text.isprintable() else repr(text)[1:-1], self._length)

    def _line(self, name: str, thing: object) -> str:
        """Made of no more than what a line can show of it, and by itself: what was shown elsewhere is shown here too."""
        before, seen = self.left, self._seen
        self._seen = {}
        self.left = given = min(before, _BYTES_OF_A_CHARACTER * self._length + _BETWEEN_LOOKS)
        self._mark = given  # so that the clock is looked at
        text = oneline.of(self.value(name, thing))
        self._seen = seen
        self.left += before - given
        self._mark = max(0, self.left - _BETWEEN_LOOKS)
        return text

    def clean(self, text: str) -> str:
        """A text about the program, such as a thread's name, as it may be sent."""
        clean = self._known_texts.get(text) if type(text) is str else None
        if clean is None:
            clean = self._clean(str.__getitem__(text, slice(0, self._length + _MARGIN)))[: self._length]
            clean = clean if clean.isascii() else plain(clean)
            if type(text) is str and len(text) <= min(_LONGEST_KNOWN, self._length):
                if len(self._known_texts) >= _MOST_KNOWN:
                    self._known_texts.clear()
                self._known_texts[text] = clean
        self._charge(clean)
        return clean

    def is_spent(self) -> bool:
        """Whether bytes or time have run out. The clock is asked again after some more bytes."""
        if self.left > 0 and monotonic() > self._until:
            self.left = 0
            self._spent = "time"
        self._mark = max(0, self.left - _BETWEEN_LOOKS)
        return self.left <= 0

    def _node(self, thing: object, deep: int) -> Node:
        write = _EXACT.get(id(type(thing)))
        return self._other(thing, deep) if write is None else write(self, thing, deep)

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
            if kind is int and _LOWEST < thing < _LIKE_A_CARD and self._shows:  # most common, so at once
                self.left -= _SHORT
                found.append([name, {"type": "int", "value": repr(thing)}])
                continue
            write = _EXACT.get(id(kind))
            found.append([name, self._other(thing, deep) if write is None else write(self, thing, deep)])
        return ""

    def _hides(self, name: str) -> bool:
        """Asked once for each name, as long as the redaction is the same. Those that are kept can be sent as they are."""
        hidden = bool(name) and self._hides_name(name)
        if len(name) <= _LONGEST_KNOWN and name.isascii():
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[name] = hidden
        return hidden

    def _redacted(self, thing: object) -> Node:
        name = type_name(type(thing))
        self.left -= _EACH + len(name)
        return {"type": name, "redacted": True}

    # exact types of the interpreter, which are most values

    def _none(self, _: None, __: int) -> Node:
        self.left -= _EACH
        return {"type": "NoneType", "value": "None"} if self._shows else {"type": "NoneType"}

    def _bool(self, thing: bool, _: int) -> Node:
        self.left -= _EACH
        return {"type": "bool", "value": "True" if thing else "False"} if self._shows else {"type": "bool"}

    def _int(self, thing: int, _: int) -> Node:
        if not self._shows or not _LOWEST < thing < _LIKE_A_CARD:
            return self._valued("int", whole(thing))
        self.left -= _SHORT
        return {"type": "int", "value": repr(thing)}

    def _float(self, thing: float, _: int) -> Node:
        self.left -= _EACH + 24
        return {"type": "float", "value": repr(thing)} if self._shows else {"type": "float"}

    def _str(self, thing: str, _: int) -> Node:
        if len(thing) > self._length or not self._shows:
            return self._string(thing, "str")
        shown = repr(self._clean(thing))
        if shown.isascii() and '"' not in shown and "\\" not in shown:
            self.left -= _EACH + len(shown)
        else:
            self.left -= _EACH
            self._charge(shown)
        return {"type": "str", "value": shown}

    def _bytes(self, thing: bytes, _: int) -> Node:
        return self._octets(thing, "bytes", bytes)

    def _bytearray(self, thing: bytearray, _: int) -> Node:
        return self._octets(thing, "bytearray", bytearray)

    def _list(self, thing: list[Any], deep: int) -> Node:
        return self._items(thing, "list", list, deep)

    def _tuple(self, thing: tuple[Any, ...], deep: int) -> Node:
        return self._items(thing, "tuple", tuple, deep)

    def _set(self, thing: set[Any], deep: int) -> Node:
        return self._items(thing, "set", set, deep)

    def _dict(self, thing: dict[Any, Any], deep: int) -> Node:
        return self._entries(thing, "dict", deep)

    # what values are made of

    def _valued(self, name: str, text: str) -> Node:
        """With a text that has not been redacted yet."""
        if not self._shows:
            self.left -= _EACH + len(name)
            return {"type": name}
        text = self._clean(text)
        node = {"type": name, "value": text if len(text) <= self._length else text[: self._length]}
        if len(text) > self._length:
            node["cut"] = "length"
        self.left -= _EACH + len(name)
        if not node["value"].isprintable():
            node["value"] = plain(node["value"])
        self._charge(node["value"])
        return node

    def _string(self, thing: str, name: str) -> Node:
        size = str.__len__(thing)
        self.left -= _EACH + len(name)
        if not self._shows:
            return {"type": name, "size": size}
        most = self._length
        if size <= most and type(thing) is str:
            text = self._clean(thing)
            is_cut = False
        else:
            text = self._clean(str.__getitem__(thing, slice(0, most + _MARGIN)))
            is_cut = size > most + _MARGIN or len(text) > most
            text = text[: min(most, max(self.left, 0))] if is_cut else text
        shown = repr(text)
        self._charge(shown)
        if not is_cut:
            return {"type": name, "value": shown}
        self.left -= _CUT
        return {"type": name, "value": shown, "size": size, "cut": "length"}

    def _octets(self, thing: Any, name: str, base: Any) -> Node:
        size = base.__len__(thing)
        self.left -= _EACH + len(name)
        if not self._shows:
            return {"type": name, "size": size}
        most = self._length
        text = repr(bytes(base.__getitem__(thing, slice(0, most + _MARGIN))))
        text = self._clean(text)
        is_cut = size > most + _MARGIN or len(text) > most
        shown = text[:most] if is_cut else text
        self._charge(shown)
        if not is_cut:
            return {"type": name, "value": shown}
        self.left -= _CUT
        return {"type": name, "value": shown, "size": size, "cut": "length"}

    def _charge(self, text: str) -> None:
        """The bytes of a text in JSON: what is not ASCII is escaped there, as are quotes."""
        if text.isascii():
            self.left -= len(text) if '"' not in text and "\\" not in text else 2 * len(text)
        else:
            self.left -= _BYTES_OF_A_CHARACTER * len(text)

    def _items(self, thing: Any, name: str, base: Any, deep: int) -> Node:
        size = base.__len__(thing)
        node: Node = {"type": name, "size": size}
        self.left -= _EACH + _EACH + len(name)
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
            if kind is int and _LOWEST < each < _LIKE_A_CARD and self._shows:  # most common, so at once
                self.left -= _SHORT
                nodes.append({"type": "int", "value": repr(each)})
                continue
            write = _EXACT.get(id(kind))
            nodes.append(self._other(each, deep) if write is None else write(self, each, deep))
        return node

    def _entries(self, thing: dict[Any, Any], name: str, deep: int) -> Node:
        size = dict.__len__(thing)
        node: Node = {"type": name, "size": size}
        self.left -= _EACH + _EACH + len(name)
        if deep >= self._depth and size:
            node["cut"] = "depth"
            return node
        if size and self._is_known(thing, node, deep):
            return node
        found: list[tuple[Any, Any]] = []
        node["entries"] = entries = []
        known = self._known
        if not _draw(found, islice(dict.items(thing), self._most_items)):
            node["note"] = "changed meanwhile"
        if len(found) < size:
            node["cut"] = "items"
        deep += 1
        for key, each in found:
            if self.left <= self._mark and self.is_spent():
                node["cut"] = self._spent
                break
            hidden = known.get(key) if type(key) is str else None
            if hidden is None:
                hidden = self._hides_key(key)
            under = self._str(key, deep) if type(key) is str else self._node(key, deep)
            if hidden:
                entries.append([under, self._redacted(each)])
                continue
            write = _EXACT.get(id(type(each)))
            entries.append([under, self._other(each, deep) if write is None else write(self, each, deep)])
        return node

    def _hides_key(self, key: object) -> bool:
        """Whether a key tells that its value is secret. Headers have them as bytes, and come in pairs."""
        if type(key) is str:
            return self._hides(key)
        if type(key) is bytes:
            return self._hides_name(key[: layouts.LONGEST_NAME].decode("latin-1"))
        return issubclass(type(key), str) and self._hides_name(short(key))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

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

    def _other(self, thing: object, deep: int) -> Node:
        kind = type(thing)
        known = layouts.known.get(id(kind))
        made = known[1] if known is not None and known[0]() is kind else layout_of(kind)
        name = made.name
        hidden = self._known_types.get(name)
        if hidden is None:
            if len(self._known_types) >= _MOST_KNOWN:
                self._known_types.clear()
            hidden = self._known_types[name] = self._hides_type(name)
        if hidden:
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
        self.left -= _EACH + len(name)
        note = self.clean(summary["note"])
        return {"type": name, "note": note}

    def _instance(self, thing: object, deep: int, made: Layout, parts: list[tuple[str, Any]]) -> Node:
        node: Node = {"type": made.name}
        self.left -= _EACH + len(made.name)
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
        return self._valued(name, str.__getitem__(text, slice(0, self._length + _MARGIN)))

    def _mapped(self, thing: Any, name: str, deep: int) -> Node:
        """A read-only view does not say of what; the collector is told."""
        inner = gc.get_referents(thing)
        if len(inner) == 1 and type(inner[0]) is dict:
            return self._entries(inner[0], name, deep)
        self.left -= _EACH + len(name)
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

_Exact = Callable[[Representer, Any, int], Node]
_EXACT: dict[int, _Exact] = {
    id(type(None)): Representer._none,
    id(bool): Representer._bool,
    id(int): Representer._int,
    id(float): Representer._float,
    id(str): Representer._str,
    id(bytes): Representer._bytes,
    id(bytearray): Representer._bytearray,
    id(list): Representer._list,
    id(tuple): Representer._tuple,
    id(set): Representer._set,
    id(dict): Representer._dict,
}
"""By id: the `__hash__` of a type may be its metaclass's."""

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
