"""A recorded session as one JSON document, written as it is read, so that a long one takes no memory.

    {"format", "exported", "session", "statistics", "breakpoints", "events", "gaps", "withheld"}

Events are as their process told them. `gaps` are the numbers between the session's first and last event that nobody has;
null when the token may not see all events, for then nobody can tell.
"""

from collections.abc import AsyncIterator, Callable

from msgspec import Struct

from sonde_viewer.client import Viewer
from sonde_viewer.numbering import Hole, holes
from sonde_viewer.remembering import Remembered
from sonde_wire import codec
from sonde_wire.history import SessionDetail

FORMAT = "sonde-session-1"
Progress = Callable[[int], None]


class _Numbered(Struct, frozen=True):
    boot: str
    seq: int


async def document(
    viewer: Viewer, detail: SessionDetail, exported: float, progress: Progress = lambda _: None
) -> AsyncIterator[bytes]:
    """In parts, to be joined. `progress` gets how many events were read."""
    head = {
        "format": FORMAT,
        "exported": exported,
        "session": detail.session,
        "statistics": detail.statistics,
        "breakpoints": detail.breakpoints,
    }
    yield codec.encode(head)[:-1] + b',"events":['
    numbers: set[int] = set()
    events = viewer.history(session=detail.session.session, order="oldest")
    separator = b"\n"
    async for page in events.pages():
        for event in page.events:
            numbers.add(codec.decode(event, _Numbered).seq)
            yield separator + bytes(event)
            separator = b",\n"
        progress(len(numbers))
    gaps = None
    if not events.withheld:
        gaps = await _gaps(viewer, detail, numbers)
    tail = {"gaps": gaps, "withheld": events.withheld}
    yield b"\n]," + codec.encode(tail)[1:] + b"\n"


async def _gaps(viewer: Viewer, detail: SessionDetail, numbers: set[int]) -> list[Hole] | None:
    """Of the numbers that the session was not told, those that another was told are there all the same."""
    record = detail.session
    last = record.last or max(numbers, default=record.first)
    missing = holes(numbers, record.first, last)
    if not missing or not detail.statistics.missing:
        return []
    others: Remembered = viewer.history(
        record.process, since=record.opened, until=record.closed, order="oldest"
    )
    async for page in others.pages():
        for each in (codec.decode(event, _Numbered) for event in page.events):
            if each.boot == record.boot:
                numbers.add(each.seq)
    return None if others.withheld else holes(numbers, record.first, last)
