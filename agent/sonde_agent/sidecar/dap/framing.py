r"""Content-Length framing, as in DAP's base protocol: ``Content-Length: 12\r\n\r\n`` and as many bytes.

Sans-I/O: bytes in, whole bodies out. Whoever sends more header or a longer body than is allowed raises
`MalformedFrame`, once and for good: there is no way to find the next message after that.
"""

from collections.abc import Iterator

from sonde_agent.sidecar.errors import MalformedFrame

LONGEST_HEADER = 4096
LONGEST_BODY = 32 * 1024 * 1024
"""Bytes. pydevd can be made to send more (the text of a huge value); the line is given up then, and the
process runs on."""

_END = b"\r\n\r\n"


def frame(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class FrameBuffer:
    """Keeps at most one header and one body."""

    def __init__(self, longest_body: int = LONGEST_BODY) -> None:
        self._longest = longest_body
        self._kept = bytearray()
        self._wanted: int | None = None
        """Length of the body that is being waited for; None while a header is."""
        self._searched = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
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
            if len(self._kept) < self._wanted:
                return
            body = bytes(self._kept[: self._wanted])
            del self._kept[: self._wanted]
            self._wanted = None
            yield body

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
        length = int(lengths[0])
        if length > self._longest:
            raise MalformedFrame(f"body of {length} bytes, more than {self._longest}")
        return length
