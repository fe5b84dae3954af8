r"""Content-Length framing, as in DAP's base protocol: ``Content-Length: 12\r\n\r\n`` and as many bytes.

Sans-I/O: bytes in, whole bodies out. Of a body that is longer than is allowed only the beginning is kept, as
`TooLong`, and the next message is found after it. Whoever sends no header or too much of it raises
`MalformedFrame`, once and for good: there is no way to find the next message then.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sonde_agent.sidecar.errors import MalformedFrame

LONGEST_HEADER = 4096
LONGEST_BODY = 32 * 1024 * 1024
"""Bytes. pydevd can be made to send more: the text of a huge value, or what an evaluation printed."""
KEPT_OF_TOO_LONG = 4096
"""Bytes: more than pydevd writes before the body of a response."""

_END = b"\r\n\r\n"


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@dataclass(frozen=True)
class TooLong:
    head: bytes
    length: int


class FrameBuffer:
    """Keeps at most one header and one body."""

    def __init__(self, longest_body: int = LONGEST_BODY) -> None:
        self._longest = longest_body
        self._kept = bytearray()
        self._wanted: int | None = None
        """Length of the body that is being waited for; None while a header is."""
        self._searched = 0
        self._skipping: TooLong | None = None
        self._to_skip = 0

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        """The bodies that are complete. Raises `MalformedFrame`."""
        self._kept += data
        while True:
            if self._wanted is None:
                end = self._kept.find(_END, self._searched)
                if end > LONGEST_HEADER or (end < 0 and len(self._kept) > LONGEST_HEADER + len(_END)):
                    raise MalformedFrame("header too long")
                if end < 0:
                    self._searched = max(0, len(self._kept) - len(_END) + 1)
                    return
                self._wanted = self._length(bytes(self._kept[:end]))
                del self._kept[: end + len(_END)]
                self._searched = 0
            if self._wanted > self._longest:
                if (skipped := self._skip(self._wanted)) is None:
                    return
                yield skipped
                continue
            if len(self._kept) < self._wanted:
                return
            body = bytes(self._kept[: self._wanted])
            del self._kept[: self._wanted]
            self._wanted = None
            yield body

    def _skip(self, length: int) -> TooLong | None:
        """What is left of it, once all of it has come."""
        if self._skipping is None:
            if len(self._kept) < min(length, KEPT_OF_TOO_LONG):
                return None
            self._skipping = TooLong(bytes(self._kept[:KEPT_OF_TOO_LONG]), length)
            self._to_skip = length
        gone = min(len(self._kept), self._to_skip)
        del self._kept[:gone]
        self._to_skip -= gone
        if self._to_skip:
            return None
        skipped, self._skipping, self._wanted = self._skipping, None, None
        return skipped

    def _length(self, header: bytes) -> int:
        lengths = []
        for line in header.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                raise MalformedFrame("header line without a colon")
            if name.strip().lower() == b"content-length":
                lengths.append(value.strip())
        if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 12:
            raise MalformedFrame("no single valid Content-Length")
        return int(lengths[0])
