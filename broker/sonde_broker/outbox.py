"""One viewer's way out: writes at once, never waits, and decides what a viewer that cannot keep up misses.

The more bytes are unsent, the less is written:

    unsent            what is held back
    > THIN_METRICS    metrics, presence and probes: the newest of each is kept
    > THIN_OUTPUT     also what programs print: its numbers are noted
    > LAG_ABOVE       everything, until it is current again: *lagging*

When less than `CAUGHT_UP` is unsent, the viewer gets a `gap` for each hole and the newest of what was kept, and is current
again. Who is behind for `LONGEST_LAG`, or has `CUT_ABOVE` unsent, is cut off: from then on nothing is written here. The face
says goodbye behind what is unsent, and does not wait long for it: a viewer that reads nothing would not read that either.

Answers are always written; their bytes are allowed on top of the limits until the viewer has caught up.
"""

from collections.abc import Iterable
from typing import Protocol

from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from sonde_broker import answers
from sonde_broker.relay_io import Frame, Span
from sonde_wire import rpc

THIN_METRICS = 64 * 1024
THIN_OUTPUT = 128 * 1024
LAG_ABOVE = 256 * 1024
CAUGHT_UP = 32 * 1024
CUT_ABOVE = 1024 * 1024
LONGEST_LAG = 10.0
MOST_GAPS = 500
"""Holes that are told one by one; a viewer with more of them lags, and has one for each process."""
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
        self._gaps: dict[tuple[str, str], list[tuple[int, int]]] = {}
        self._holes = 0
        self.gaps_told = 0
        """Holes that the viewer was told of."""
        self._newest: dict[rpc.Topic, dict[str, bytes]] = {}
        """Of each topic, by name."""

    @property
    def lagging(self) -> bool:
        return self._lagging

    @property
    def unsent(self) -> int:
        """Bytes that wait here, and not in the kernel."""
        return self._line.get_write_buffer_size()

    def send(self, payload: bytes) -> None:
        """An answer."""
        if self._cut or self._line.is_closing():
            return
        framed = text_frame(payload)
        self._answers += len(framed)
        self._line.write(framed)

    def deliver(self, frames: Iterable[Frame], joined: bytes) -> int:
        """Notifications; `joined` is the same as bytes, made once for all viewers of a group. How many of the frames were
        held back, whole or in part."""
        if self._cut or self._line.is_closing():
            return 0
        unsent = self._unsent()
        if unsent <= THIN_METRICS and not self._lagging:
            self._line.write(joined)
            return 0
        if unsent > LAG_ABOVE or self._holes > MOST_GAPS:
            self._lagging = True
        held = 0
        for frame in frames:
            passes = self._passes(frame, unsent)
            if passes:
                self._line.write(text_frame(passes))
            held += passes is not frame.payload
        return held

    def _passes(self, frame: Frame, unsent: int) -> bytes:
        """What of a frame is written to a viewer that is behind; what is not is noted."""
        if frame.topic != "gap" and frame.items:
            self._newest.setdefault(frame.topic, {}).update(frame.items)
            return b""
        if self._lagging:
            self._miss(frame.spans)
            return b""
        if frame.lean is None or unsent <= THIN_OUTPUT:
            return frame.payload
        self._miss(frame.thinned)
        return frame.lean

    def _miss(self, spans: Iterable[Span]) -> None:
        for span in spans:
            holes = self._gaps.setdefault((span.process, span.boot), [])
            if holes and span.first <= holes[-1][1] + 1:
                holes[-1] = (holes[-1][0], max(holes[-1][1], span.last))
            else:
                holes.append((span.first, span.last))
                self._holes += 1

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
        self._lagging = False
        if not self._gaps and not self._newest:
            return
        frames = [
            text_frame(
                answers.notification(
                    "gap",
                    rpc.Gap(process=process, boot=boot, first=first, last=last, reason="slow_viewer"),
                )
            )
            for (process, boot), holes in self._gaps.items()
            for first, last in holes
        ]
        self.gaps_told += len(frames)
        frames += [
            text_frame(answers.spliced(topic, items.values())) for topic, items in self._newest.items()
        ]
        self._gaps, self._holes, self._newest = {}, 0, {}
        self._line.write(b"".join(frames))
