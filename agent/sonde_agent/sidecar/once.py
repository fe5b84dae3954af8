"""Which commands were seen, so that each runs at most once, and what was replied to them. Pure.

Bounded by count and by bytes: the oldest ids are forgotten, and before them the oldest replies. A repeat of a
command whose reply is forgotten gets none; its asker has long stopped waiting.
"""

from collections import OrderedDict

MOST = 2000
MOST_BYTES = 8 * 1024 * 1024


class Once:
    def __init__(self, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._seen: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def is_new(self, command: str) -> bool:
        """False for a repeat. What is new is remembered."""
        if command in self._seen:
            return False
        self._seen[command] = b""
        while len(self._seen) > self._most:
            _, reply = self._seen.popitem(last=False)
            self._bytes -= len(reply)
        return True

    def answered(self, command: str, reply: bytes) -> None:
        old = self._seen.get(command)
        if old is None:
            return
        self._seen[command] = reply
        self._bytes += len(reply) - len(old)
        for each, kept in self._seen.items():
            if self._bytes <= self._most_bytes:
                break
            self._seen[each] = b""
            self._bytes -= len(kept)

    def reply(self, command: str) -> bytes:
        """Empty while the command runs, and when it is forgotten."""
        return self._seen.get(command, b"")
