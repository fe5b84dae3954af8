"""What one capture may take, and what is left of it: bytes and time. With it, whether names and texts may be shown.

What redaction says of names, of types and of texts about the program is remembered from one capture to the next, because the
same ones come up at each hit.
"""

from time import monotonic
from typing import Any, ClassVar, Protocol

from sonde_agent.records import Record
from sonde_agent.tap.identity import plain

Node = dict[str, Any]

MARGIN = 1024
"""Characters beyond what is shown that redaction sees, so that a secret that is cut in two is known for one."""
LONGEST_KNOWN = 100
_MOST_KNOWN = 5000
"""Names that are remembered with whether they are hidden; then it begins anew."""
_MOST_KEYS = 1000
BETWEEN_LOOKS = 1024
"""Bytes of a capture between two looks at the clock."""
BYTES_OF_A_CHARACTER = 12
"""At most: one beyond U+FFFF is two escapes of six in JSON."""


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


class Judged:
    """What a redaction has said so far. `keys`, of dictionaries: whether what is under it is hidden, its node, and the bytes
    that it takes."""

    __slots__ = ("keys", "names", "redaction", "texts", "types")

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction
        self.names: dict[str, bool] = {}
        self.types: dict[str, bool] = {}
        self.texts: dict[str, str] = {}
        self.keys: dict[str, tuple[bool, Node, int]] = {}


class Allowance:
    __slots__ = (
        "_clean",
        "_judged",
        "_keys",
        "_known",
        "_length",
        "_mark",
        "_shows",
        "_spent",
        "_until",
        "left",
    )

    _newest: ClassVar[Judged | None] = None

    def __init__(self, limits: Limits, redact: Redaction) -> None:
        self.left = most = limits.bytes
        self._mark = most - BETWEEN_LOOKS if most > BETWEEN_LOOKS else 0
        self._until = monotonic() + limits.seconds
        self._spent = "bytes"
        length = limits.length
        self._length = length = min(length, most >> 2)
        self._shows = redact.shows_values
        self._clean = redact.text
        judged = Allowance._newest
        if judged is None or judged.redaction is not redact:
            judged = Allowance._newest = Judged(redact)
        self._judged = judged
        self._known = judged.names
        # nodes of keys that are remembered are whole
        self._keys = judged.keys if length >= LONGEST_KNOWN else {}

    def is_spent(self) -> bool:
        """Whether bytes or time have run out. The clock is asked again after some more bytes."""
        if self.left > 0 and monotonic() > self._until:
            self.left = 0
            self._spent = "time"
        self._mark = max(0, self.left - BETWEEN_LOOKS)
        return self.left <= 0

    def clean(self, text: str) -> str:
        """A text about the program, such as a thread's name, as it may be sent."""
        known = self._judged.texts
        clean = known.get(text) if type(text) is str else None
        if clean is None:
            clean = self._clean(str.__getitem__(text, slice(0, self._length + MARGIN)))[: self._length]
            clean = clean if clean.isascii() else plain(clean)
            if type(text) is str and len(text) <= min(LONGEST_KNOWN, self._length):
                _remember(known, text, clean, _MOST_KNOWN)
        self._charge(clean)
        return clean

    def _hides(self, name: str) -> bool:
        """Those that are remembered can be sent as they are."""
        hidden = self._known.get(name)
        if hidden is None:
            hidden = bool(name) and self._judged.redaction.hides_name(name)
            if len(name) <= LONGEST_KNOWN and name.isascii():
                _remember(self._known, name, hidden, _MOST_KNOWN)
        return hidden

    def _hides_type(self, name: str) -> bool:
        hidden = self._judged.types.get(name)
        if hidden is None:
            hidden = self._judged.redaction.hides_type(name)
            _remember(self._judged.types, name, hidden, _MOST_KNOWN)
        return hidden

    def _remember_key(self, key: str, hidden: bool, node: Node, size: int) -> None:
        """Nodes of keys are in more than one capture: nobody may change them."""
        if len(key) <= LONGEST_KNOWN and key.isascii():
            _remember(self._keys, key, (hidden, node, size), _MOST_KEYS)

    def _charge(self, text: str) -> None:
        """The bytes of a text in JSON: what is not ASCII is escaped there, as are quotes."""
        if text.isascii():
            self.left -= len(text) if '"' not in text and "\\" not in text else 2 * len(text)
        else:
            self.left -= BYTES_OF_A_CHARACTER * len(text)


def _remember(known: dict[str, Any], name: str, what: object, most: int) -> None:
    if len(known) >= most:
        known.clear()
    known[name] = what
