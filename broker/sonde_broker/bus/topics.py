"""Topic names and filters: what is allowed, what matches what, and a tree to look them up in (§4.7)."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from sonde_broker.bus.errors import InvalidTopic

__all__ = ["Tree", "check_filter", "check_topic", "covers", "matches"]

MAX_LEVELS = 128
"""More levels than anyone needs; a limit keeps one topic from becoming thousands of nodes."""

MAX_BYTES = 65_535

T = TypeVar("T")


def check_topic(topic: str) -> None:
    """Refuses, by InvalidTopic, what cannot be published to."""
    if "+" in topic or "#" in topic:
        raise InvalidTopic(topic, "is a topic name and may not hold a wildcard")
    _check_common(topic)


def check_filter(wanted: str) -> None:
    """Refuses, by InvalidTopic, what cannot be subscribed to."""
    _check_common(wanted)
    if "+" not in wanted and "#" not in wanted:
        return
    levels = wanted.split("/")
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            raise InvalidTopic(wanted, "may hold # only alone in the last level")
        if "+" in level and level != "+":
            raise InvalidTopic(wanted, "may hold + only alone in a level")


def _check_common(topic: str) -> None:
    if not topic:
        raise InvalidTopic(topic, "is empty")
    if "\0" in topic:
        raise InvalidTopic(topic, "holds U+0000")
    if len(topic) > MAX_BYTES // 4 and len(topic.encode()) > MAX_BYTES:
        raise InvalidTopic(topic, f"is longer than {MAX_BYTES} bytes")
    if topic.count("/") >= MAX_LEVELS:
        raise InvalidTopic(topic, f"has more than {MAX_LEVELS} levels")


def matches(wanted: str, topic: str) -> bool:
    """Whether a filter matches a topic name. Both must be valid."""
    return covers(wanted, topic)


def covers(pattern: str, wanted: str) -> bool:
    """Whether every topic that the filter `wanted` matches is matched by the filter `pattern` too.

    A leading wildcard of `pattern` reaches no topic that begins with $ (§4.7.2).
    """
    if wanted.startswith("$") and pattern[0] in "+#":
        return False
    have = wanted.split("/")
    levels = pattern.split("/")
    for place, level in enumerate(levels):
        if level == "#":
            return True
        if place == len(have) or have[place] == "#":
            return False
        if level != "+" and level != have[place]:
            return False
    return len(levels) == len(have)


class _Node(Generic[T]):
    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.value: T | None = None


class Tree(Generic[T]):
    """Values under topic names or under filters, one node to a level.

    Holding filters it answers `filters_for(topic)`, holding topic names `topics_for(filter)`; both take time by
    the levels and branches they meet, not by what the tree holds. A value is never None.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def get(self, path: str) -> T | None:
        node = self._root
        for level in path.split("/"):
            found = node.children.get(level)
            if found is None:
                return None
            node = found
        return node.value

    def set(self, path: str, value: T) -> None:
        node = self._root
        for level in path.split("/"):
            found = node.children.get(level)
            if found is None:
                found = node.children[level] = _Node()
            node = found
        node.value = value

    def discard(self, path: str) -> None:
        """Takes the value away, and the nodes that nothing else needs."""
        trail: list[tuple[_Node[T], str]] = []
        node = self._root
        for level in path.split("/"):
            found = node.children.get(level)
            if found is None:
                return
            trail.append((node, level))
            node = found
        node.value = None
        for parent, level in reversed(trail):
            child = parent.children[level]
            if child.value is not None or child.children:
                return
            del parent.children[level]

    def filters_for(self, topic: str) -> Iterator[T]:
        """The values of all filters in the tree that match a topic name."""
        nodes = [self._root]
        private = topic.startswith("$")
        for place, level in enumerate(topic.split("/")):
            wild = place > 0 or not private
            following: list[_Node[T]] = []
            for node in nodes:
                children = node.children
                if wild:
                    if (rest := children.get("#")) is not None and rest.value is not None:
                        yield rest.value
                    if (one := children.get("+")) is not None:
                        following.append(one)
                if (same := children.get(level)) is not None:
                    following.append(same)
            nodes = following
        for node in nodes:
            if node.value is not None:
                yield node.value
            # "a/#" matches "a" as well (§4.7.1.2).
            if (rest := node.children.get("#")) is not None and rest.value is not None:
                yield rest.value

    def topics_for(self, wanted: str) -> Iterator[T]:
        """The values of all topic names in the tree that a filter matches."""
        nodes = [self._root]
        for place, level in enumerate(wanted.split("/")):
            if level == "#":
                yield from self._below(nodes, first=place == 0)
                return
            if level == "+":
                nodes = [
                    child
                    for node in nodes
                    for name, child in node.children.items()
                    if place or not name.startswith("$")
                ]
            else:
                nodes = [child for node in nodes if (child := node.children.get(level)) is not None]
        for node in nodes:
            if node.value is not None:
                yield node.value

    def _below(self, nodes: list[_Node[T]], *, first: bool) -> Iterator[T]:
        if first:
            nodes = [child for name, child in self._root.children.items() if not name.startswith("$")]
        waiting = nodes[::-1]
        while waiting:
            node = waiting.pop()
            if node.value is not None:
                yield node.value
            waiting.extend(reversed(node.children.values()))
