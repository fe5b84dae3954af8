"""Who wants to be told what, and the windows in which it is collected. Pure.

Viewers with the same subscriptions and the same rights form a group, and whatever a group is told is built once
for all of it. A group's window opens at its leading edge: after `WINDOW` of quiet an item leaves at once, later
ones together when the window ends. So a lone breakpoint hit does not wait, and a flood costs one write for each
window. Presence, metrics and probes are conflated in the window (the newest of each), events never.
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
        self._events: list[bytes] = []
        self._spans: dict[tuple[str, str], tuple[int, int]] = {}
        self._gaps: list[Span] = []
        self._collected = 0

    def wants(self, topic: Topic, process: Address) -> bool:
        topics = self._wanted.get(process)
        if topics is None:
            if len(self._wanted) >= _REMEMBERED:
                self._wanted.clear()
            allowed = self.sees(process)
            topics = self._wanted[process] = frozenset(
                wished for wished, selector in self.key.wishes if allowed and selector.matches(process)
            )
        return topic in topics

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

    def collect_events(self, span: Span, joined: bytes) -> None:
        """`joined`: the events of one batch with commas between them."""
        first, _ = self._spans.get((span.process, span.boot), (span.first, span.last))
        self._spans[span.process, span.boot] = (first, span.last)
        self._events.append(joined)
        self._collected += len(joined)

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
        if self._events:
            spans = tuple(Span(*key, *ends) for key, ends in self._spans.items())
            frames.append(Frame("events", answers.spliced("events", self._events), spans=spans))
        if self._metrics:
            frames.append(Frame("metrics", answers.spliced("metrics", self._metrics.values())))
        if self._probes:
            items = tuple(self._probes.items())
            frames.append(Frame("probes", answers.spliced("probes", self._probes.values()), items=items))
        if not frames:
            return []
        self._presence, self._metrics, self._events, self._spans, self._collected = {}, {}, [], {}, 0
        self._gaps, self._probes = [], {}
        self.flushed = now
        return [Deliver(tuple(sorted(self.viewers)), tuple(frames))]


class Subscriptions:
    def __init__(self) -> None:
        self._groups: dict[GroupKey, Group] = {}
        self._group_of: dict[ViewerId, Group] = {}

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
        if key.wishes:
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(key)
            delivered += group.flush(now)
            group.viewers.add(viewer)
            self._group_of[viewer] = group
        return delivered

    def interested(self, topic: Topic, process: Address) -> list[Group]:
        return [group for group in self._groups.values() if group.wants(topic, process)]

    def about_probe(self, probe: Probe) -> list[Group]:
        return [group for group in self._groups.values() if group.wants_probe(probe)]

    def flush(self, key: GroupKey, now: float) -> list[Deliver]:
        group = self._groups.get(key)
        return group.flush(now) if group is not None else []
