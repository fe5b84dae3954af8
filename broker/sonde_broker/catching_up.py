"""What a viewer that comes back has missed of one process: from memory, then the history, then the process's own ring. Pure.

Written as a generator: it yields what it asks, is sent the answers, and returns what the viewer is to be told, in order. The
newest events are not part of it: they are taken from memory when the viewer joins, so that none is missed in between.
"""

from collections.abc import Callable, Generator

from msgspec import Raw, Struct

from sonde_broker.queries import Answer, BootsFound, FindBoots, RangeRead, ReadRange, StoredEvent
from sonde_wire import Address, Failure, bus, codec
from sonde_wire.history import Cursor
from sonde_wire.rpc import Gap

MOST_BYTES = 2 * 1024 * 1024
"""From the history, and as much again from the process's ring."""
_NO_END = 2**53
_MOST_ASKS = 8


class Hole(Struct, frozen=True):
    boot: str
    first: int
    last: int
    reason: str

    def told(self, process: Address) -> Gap:
        return Gap(process=str(process), boot=self.boot, first=self.first, last=self.last, reason=self.reason)  # type: ignore[arg-type] # one of them


class Caught(Struct, frozen=True):
    """`upto`: the highest number of `boot` that is dealt with; memory has what follows."""

    told: tuple[StoredEvent | Hole, ...]
    boot: str
    upto: int


class AskProcess(Struct, frozen=True):
    """Answered by `bus.EventsRead`."""

    order: bus.ReadEvents


class Sources(Struct, frozen=True):
    """`boot` is the present one, None when the process is not known. `memory` tells the numbers of a boot that are in
    memory."""

    process: Address
    boot: str | None
    online: bool
    history: bool
    memory: Callable[[str], tuple[int, int] | None]


Asking = Generator[ReadRange | FindBoots | AskProcess, Answer | bus.EventsRead | Failure, Caught]


def catch_up(cursor: Cursor, sources: Sources) -> Asking:
    told: list[StoredEvent | Hole] = []
    boot, seq = cursor.boot, cursor.seq
    if sources.boot is not None and boot != sources.boot:
        found: Answer | bus.EventsRead | Failure = None
        if sources.history:
            found = yield FindBoots(sources.process, boot)
        if isinstance(found, BootsFound):
            if found.last > seq:
                told += (yield from _read(boot, seq, found.last, sources))[0]
            for later in found.later:
                if later.boot != sources.boot:
                    told += (yield from _read(later.boot, 0, later.last, sources))[0]
        boot, seq = sources.boot, 0
    rest, upto = yield from _read(boot, seq, None, sources)
    return Caught((*told, *rest), boot, upto)


def _read(
    boot: str, after: int, last: int | None, sources: Sources
) -> Generator[
    ReadRange | FindBoots | AskProcess,
    Answer | bus.EventsRead | Failure,
    tuple[list[StoredEvent | Hole], int],
]:
    """The events of one boot after a number. `last` is the highest that there is, if that is known."""
    kept = sources.memory(boot)
    if kept is not None and kept[0] <= after + 1:
        return [], after
    if kept is not None:
        last = kept[0] - 1
    found: dict[int, StoredEvent] = {}
    too_many_from: int | None = None
    if sources.history:
        read = yield ReadRange(sources.process, boot, after + 1, last or _NO_END, MOST_BYTES)
        if isinstance(read, RangeRead):
            found = {event.seq: event for event in read.events}
            if read.upto < (last or 0):
                too_many_from = read.upto + 1
    if too_many_from is None and boot == sources.boot and sources.online:
        last = yield from _ask_process(boot, after, last, found)
    if last is None:
        last = max(found, default=after)
    return _in_order(boot, after, last, found, too_many_from), last


def _ask_process(
    boot: str, after: int, last: int | None, found: dict[int, StoredEvent]
) -> Generator[ReadRange | FindBoots | AskProcess, Answer | bus.EventsRead | Failure, int | None]:
    """Puts what is missing yet into `found`; the highest number that there is, if that is known now."""
    size = 0
    for _ in range(_MOST_ASKS):
        begin = after
        while begin + 1 in found:
            begin += 1
        if last is not None and begin >= last:
            break
        answer = yield AskProcess(bus.ReadEvents(after=begin, upto=last or _NO_END))
        if not isinstance(answer, bus.EventsRead) or answer.boot != boot:
            break
        if last is None:
            last = max(answer.last, max(found, default=0))
        if not answer.events:
            break
        told = [_stored(event) for event in answer.events]
        found |= {each.seq: each for each in told}
        size += sum(len(each.body) for each in told)
        after = told[-1].seq
        if size > MOST_BYTES:
            break
    return last


class _Header(Struct, frozen=True):
    type: str
    seq: int


def _stored(event: Raw) -> StoredEvent:
    header = codec.decode(event, _Header)
    return StoredEvent(header.seq, header.type, bytes(event))


def _in_order(
    boot: str, after: int, last: int, found: dict[int, StoredEvent], too_many_from: int | None
) -> list[StoredEvent | Hole]:
    told: list[StoredEvent | Hole] = []
    expected = after + 1
    for seq in sorted(found):
        if not after < seq <= last:
            continue
        if seq > expected:
            told.append(Hole(boot, expected, seq - 1, "lost"))
        told.append(found[seq])
        expected = seq + 1
    if expected <= last:
        told.append(Hole(boot, expected, last, "lost" if too_many_from is None else "too_many"))
    return told
