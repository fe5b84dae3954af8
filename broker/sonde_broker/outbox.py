"""One viewer's way out: writes at once, never waits, and decides what a viewer that cannot keep up misses.

States: current -> lagging -> current, or cut off. Up to `LAG_ABOVE` unsent bytes everything is written. Above,
notifications are not: metrics are dropped (newer ones come), presence and probes are kept as the newest of each, and
missed events are counted. When less than `CAUGHT_UP` is unsent, the viewer gets a `gap` for each hole and the
kept ones, and is current again. Who lags for `LONGEST_LAG` or has `CUT_ABOVE` unsent is cut off: from then on
nothing is written here. The face says goodbye behind what is unsent, and does not wait long for it: a viewer that
reads nothing would not read that either.

Answers are always written; their bytes are allowed on top of the limits until the viewer has caught up.
"""

from collections.abc import Iterable
from typing import Protocol

from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from sonde_broker import answers
from sonde_broker.relay_io import Frame
from sonde_wire import rpc

LAG_ABOVE = 256 * 1024
CAUGHT_UP = 32 * 1024
CUT_ABOVE = 1024 * 1024
LONGEST_LAG = 10.0
MOST_ANSWERS = 16 * 1024 * 1024
NOT_SENT_LOW_WATER = 16 * 1024
"""For TCP_NOTSENT_LOWAT: otherwise the kernel swallows 4 MB before `unsent` shows that nobody reads."""


class Line(Protocol):
    """An asyncio transport, as far as it is needed."""

    def write(self, data: bytes) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...


def text_frame(payload: bytes) -> bytes:
    """As a server sends it: whole, unmasked, uncompressed (RFC 6455, 5.2)."""
    return WebSocketFrame(Opcode.TEXT, payload).serialize(mask=False)


class Outbox:
    def __init__(self, line: Line) -> None:
        self._line = line
        self._behind_since: float | None = None
        self._lagging = False
        self._cut = False
        self._answers = 0
        self._gaps: dict[tuple[str, str], tuple[int, int]] = {}
        self._newest: dict[rpc.Topic, dict[str, bytes]] = {"presence": {}, "probes": {}}

    def send(self, payload: bytes) -> None:
        """An answer."""
        if self._cut or self._line.is_closing():
            return
        framed = text_frame(payload)
        self._answers += len(framed)
        self._line.write(framed)

    def deliver(self, frames: Iterable[Frame], joined: bytes) -> None:
        """Notifications; `joined` is the same as bytes, made once for all viewers of a group."""
        if self._cut or self._line.is_closing():
            return
        if not self._lagging and self._unsent() <= LAG_ABOVE:
            self._line.write(joined)
            return
        self._lagging = True
        for frame in frames:
            if frame.topic in self._newest:
                self._newest[frame.topic].update(frame.items)
            for span in frame.spans:
                first, last = self._gaps.get((span.process, span.boot), (span.first, span.last))
                self._gaps[span.process, span.boot] = (min(first, span.first), max(last, span.last))

    def watch(self, now: float) -> str | None:
        """To be called a few times each second. Why the viewer is cut off, once, if it is: then close its line."""
        if self._cut or self._line.is_closing():
            return None
        total = self._line.get_write_buffer_size()
        unsent = max(0, total - self._answers)
        if total <= CAUGHT_UP:
            self._catch_up()
            return None
        if self._behind_since is None:
            self._behind_since = now
        behind = now - self._behind_since
        if unsent <= CUT_ABOVE and self._answers <= MOST_ANSWERS and behind <= LONGEST_LAG:
            return None
        self._cut = True
        return f"it has {total} bytes not yet read and has been behind for {behind:.1f} s"

    def _unsent(self) -> int:
        return self._line.get_write_buffer_size() - self._answers

    def _catch_up(self) -> None:
        self._behind_since = None
        self._answers = 0
        if not self._lagging:
            return
        self._lagging = False
        frames = [
            text_frame(
                answers.notification("gap", rpc.Gap(process=process, boot=boot, first=first, last=last))
            )
            for (process, boot), (first, last) in self._gaps.items()
        ]
        for topic, items in self._newest.items():
            if items:
                frames.append(text_frame(answers.spliced(topic, items.values())))
                items.clear()
        self._gaps = {}
        self._line.write(b"".join(frames))
