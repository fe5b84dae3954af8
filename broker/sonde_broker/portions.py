"""Which events of a batch somebody is told: a choice by topic and rights, joined once for all who are alike. Pure."""

from collections.abc import Collection, Sequence

from msgspec import Raw

from sonde_broker.relay_io import EventsSeen
from sonde_broker.subscriptions import Part
from sonde_wire.rpc import Topic


class Portions:
    """Of one batch."""

    def __init__(self, seen: EventsSeen) -> None:
        self._seen = seen
        self._made: dict[tuple[bool, bool, bool], Part | None] = {}

    def of(self, topics: Collection[Topic], *, values: bool) -> Part | None:
        """None: nothing in it is for them. Output carries values, too."""
        wants = ("events" in topics, values and "output" in topics, values)
        if wants not in self._made:
            self._made[wants] = self._make(*wants)
        return self._made[wants]

    def _make(self, events: bool, output: bool, values: bool) -> Part | None:
        seen = self._seen
        if not events and not (output and seen.outputs):
            return None
        every = seen.batch.events
        left_out = set() if values else set(seen.brought)
        if not output or not seen.outputs:
            left_out.update(seen.outputs)
            plain = _joined(every, left_out)
            return Part(plain, plain, len(every) - len(left_out)) if plain else None
        if not events:
            printed = b",".join(every[index] for index in seen.outputs)
            return Part(printed, b"", len(seen.outputs), _ranges(seen))
        whole, lean = _joined(every, left_out), _joined(every, left_out.union(seen.outputs))
        return Part(whole, lean, len(every) - len(left_out), _ranges(seen))


def _joined(events: Sequence[Raw], left_out: set[int]) -> bytes:
    if not left_out:
        return b",".join(events)
    return b",".join(event for index, event in enumerate(events) if index not in left_out)


def _ranges(seen: EventsSeen) -> tuple[tuple[int, int], ...]:
    """The numbers of what was printed, neighbours taken together."""
    found: list[tuple[int, int]] = []
    for index in seen.outputs:
        number = seen.batch.first + index
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
