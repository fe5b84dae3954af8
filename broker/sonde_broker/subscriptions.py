"""Who wants to be told what, and the windows in which it is collected. Pure.

Viewers with the same subscriptions and the same rights form a group, and whatever a group is told is built once
for all of it. A group's window opens at its leading edge: after `WINDOW` of quiet an item leaves at once, later
ones together when the window ends. So a lone breakpoint hit does not wait, and a flood costs one write for each
window. Presence, metrics and probes are conflated in the window (the newest of each), events never. What programs
printed is among the events, in order, for those who want it.
"""

from collections.abc import Iterable

from msgspec import Struct

from sonde_broker import answers
from sonde_broker.relay_io import Deliver, Frame, Span, ViewerId
from sonde_wire import Address, Selector, rpc
from sonde_wire.probes import Probe, concerns
from sonde_wire.rpc import Topic

WINDOW = 0.020
MOST_COLLECTED = 256 * 1024
"""Bytes of one window; more leaves before the window ends."""
_REMEMBERED = 20_000

_Wish = tuple[Topic, Selector]


class Part(Struct, frozen=True):
    """What a group is told of one batch: its events with commas between them."""

    joined: bytes
    lean: bytes
    """The same without what programs printed."""
    count: int
    """Events in it."""
    thinned: tuple[tuple[int, int], ...] = ()
    """The numbers, from and to, of what is not in `lean`."""


class GroupKey(Struct, frozen=True):
    wishes: frozenset[_Wish]
    allowed: tuple[Selector, ...]
    """The selectors of the viewers' tokens."""
    values: bool = True
    """Whether they may be told values of programs."""


class Group:
    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.viewers: set[ViewerId] = set()
        self.flushed = float("-inf")
        self._wanted: dict[Address, frozenset[Topic]] = {}
        self._presence: dict[str, bytes] = {}
        self._metrics: dict[str, bytes] = {}
        self._probes: dict[str, bytes] = {}
        self._parts: list[Part] = []
        self._thinned: list[Span] = []
        self._spans: dict[tuple[str, str], tuple[int, int]] = {}
        self._gaps: list[Span] = []
        self._collected = 0

    def wanted(self, process: Address) -> frozenset[Topic]:
        """What it is to be told of a process."""
        topics = self._wanted.get(process)
        if topics is None:
            if len(self._wanted) >= _REMEMBERED:
                self._wanted.clear()
            allowed = self.sees(process)
            topics = self._wanted[process] = frozenset(
                wished for wished, selector in self.key.wishes if allowed and selector.matches(process)
            )
        return topics

    def sees(self, process: Address) -> bool:
        return any(selector.matches(process) for selector in self.key.allowed)

    def wants_probe(self, probe: Probe) -> bool:
        wished = tuple(selector for topic, selector in self.key.wishes if topic == "probes")
        return concerns(probe, wished) and concerns(probe, self.key.allowed)

    def collect_presence(self, process: str, item: bytes) -> None:
        self._presence[process] = item
        self._collected += len(item)

    def collect_metrics(self, process: str, item: bytes) -> None:
        self._metrics[process] = item
        self._collected += len(item)

    def collect_probe(self, probe: str, item: bytes) -> None:
        self._probes[probe] = item
        self._collected += len(item)

    def collect_events(self, span: Span, part: Part) -> None:
        first, _ = self._spans.get((span.process, span.boot), (span.first, span.last))
        self._spans[span.process, span.boot] = (first, span.last)
        self._parts.append(part)
        self._thinned += [Span(span.process, span.boot, *ends) for ends in part.thinned]
        self._collected += len(part.joined)

    def collect_gap(self, gap: Span) -> None:
        """Events that the broker did not get. It is told before the events of its window."""
        self._gaps.append(gap)

    @property
    def full(self) -> bool:
        return self._collected >= MOST_COLLECTED

    def flush(self, now: float) -> list[Deliver]:
        frames = []
        if self._presence:
            items = tuple(self._presence.items())
            frames.append(
                Frame("presence", answers.spliced("presence", self._presence.values()), items=items)
            )
        for gap in self._gaps:
            told = rpc.Gap(process=gap.process, boot=gap.boot, first=gap.first, last=gap.last)
            frames.append(Frame("gap", answers.notification("gap", told), spans=(gap,)))
        if self._parts:
            frames.append(self._events_frame())
        if self._metrics:
            items = tuple(self._metrics.items())
            frames.append(Frame("metrics", answers.spliced("metrics", self._metrics.values()), items=items))
        if self._probes:
            items = tuple(self._probes.items())
            frames.append(Frame("probes", answers.spliced("probes", self._probes.values()), items=items))
        if not frames:
            return []
        self._presence, self._metrics, self._probes = {}, {}, {}
        self._parts, self._thinned, self._spans, self._gaps, self._collected = [], [], {}, [], 0
        self.flushed = now
        return [Deliver(tuple(sorted(self.viewers)), tuple(frames))]

    def _events_frame(self) -> Frame:
        spans = tuple(Span(*key, *ends) for key, ends in self._spans.items())
        count = sum(part.count for part in self._parts)
        payload = answers.spliced("events", (part.joined for part in self._parts))
        if not self._thinned:
            return Frame("events", payload, spans=spans, events=count)
        lean = [part.lean for part in self._parts if part.lean]
        return Frame(
            "events",
            payload,
            spans=spans,
            lean=answers.spliced("events", lean) if lean else b"",
            thinned=tuple(self._thinned),
            events=count,
        )


class Subscriptions:
    def __init__(self) -> None:
        self._groups: dict[GroupKey, Group] = {}
        self._group_of: dict[ViewerId, Group] = {}
        self.version = 0
        """Grows whenever there are other groups than before."""

    def arrange(
        self,
        viewer: ViewerId,
        wishes: Iterable[_Wish],
        allowed: tuple[Selector, ...],
        now: float,
        *,
        values: bool = True,
    ) -> list[Deliver]:
        """Puts a viewer into the group of its wishes (no wishes: into none). Both groups' windows end first, so
        that it neither misses nor gets twice what they have collected."""
        key = GroupKey(frozenset(wishes), allowed, values)
        left = self._group_of.get(viewer)
        if left is not None and left.key == key:
            return []
        delivered = []
        if left is not None:
            delivered += left.flush(now)
            left.viewers.discard(viewer)
            del self._group_of[viewer]
            if not left.viewers:
                del self._groups[left.key]
                self.version += 1
        if key.wishes:
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(key)
                self.version += 1
            delivered += group.flush(now)
            group.viewers.add(viewer)
            self._group_of[viewer] = group
        return delivered

    def interested(self, topic: Topic, process: Address) -> list[Group]:
        return [group for group in self._groups.values() if topic in group.wanted(process)]

    def groups(self) -> Iterable[Group]:
        return self._groups.values()

    def keys(self) -> frozenset[GroupKey]:
        return frozenset(self._groups)

    def about_probe(self, probe: Probe) -> list[Group]:
        return [group for group in self._groups.values() if group.wants_probe(probe)]

    def flush(self, key: GroupKey, now: float) -> list[Deliver]:
        group = self._groups.get(key)
        return group.flush(now) if group is not None else []
