"""Which of the bus's topics this broker is told: what somebody of it wants, and no more. Pure.

Whoever wants something is an *owner* (a group of viewers, the sessions, the history, ...) with a set of topic filters.
`settle` compares what is wanted with what is subscribed. A filter that nobody wants any more stays for `LINGER`, because
people look at one thing after another. A filter inside a wider one is not subscribed: a server may deliver twice what two
filters match.

    wanted --Listen--> asked for --Listening--> heard        and back by Unlisten, or when the bus is gone
"""

from collections.abc import Callable, Hashable, Iterable

from sonde_broker.deadlines import Deadlines
from sonde_broker.relay_io import Listen, Unlisten
from sonde_wire import Address, topics

LINGER = 10.0
MOST_FILTERS = 400
"""Of one channel; with more, everything of it is subscribed."""


class Interest:
    def __init__(self) -> None:
        self._wanted: dict[Hashable, frozenset[str]] = {}
        self._owners: dict[str, int] = {}
        """How many want a filter; 0 while it lingers."""
        self._subscribed: dict[str, bool] = {}
        """Whether the bus has confirmed it."""
        self._lingering: Deadlines[str] = Deadlines()
        self._changed = False
        self._bus_up = False

    def __len__(self) -> int:
        """Filters that are subscribed."""
        return len(self._subscribed)

    def deadline(self) -> float | None:
        return self._lingering.next()

    def want(self, owner: Hashable, filters: Iterable[str], now: float) -> None:
        """In place of what the owner wanted before; nothing: it wants nothing any more."""
        new, old = frozenset(filters), self._wanted.get(owner, frozenset())
        if new == old:
            return
        if new:
            self._wanted[owner] = new
        else:
            del self._wanted[owner]
        for each in new - old:
            self._owners[each] = self._owners.get(each, 0) + 1
            self._lingering.clear(each)
        for each in old - new:
            self._owners[each] -= 1
            if not self._owners[each]:
                self._lingering.set(each, now + LINGER)
        self._changed = True

    def time_passed(self, now: float) -> None:
        for each in self._lingering.take_due(now):
            if not self._owners[each]:
                del self._owners[each]
                self._changed = True

    def bus_changed(self, up: bool) -> None:
        self._bus_up = up
        self._subscribed.clear()
        self._changed = up

    def confirmed(self, filters: Iterable[str]) -> None:
        for each in filters:
            if each in self._subscribed:
                self._subscribed[each] = True

    def settle(self) -> list[Listen | Unlisten]:
        """What is to be done so that the bus tells what is wanted; first what is new, so that nothing is missed."""
        if not self._changed or not self._bus_up:
            return []
        self._changed = False
        wanted = _widest(self._owners)
        effects: list[Listen | Unlisten] = []
        if new := tuple(sorted(wanted - self._subscribed.keys())):
            effects.append(Listen(new))
            self._subscribed |= dict.fromkeys(new, False)
        if old := tuple(sorted(self._subscribed.keys() - wanted)):
            effects.append(Unlisten(old))
            for each in old:
                del self._subscribed[each]
        return effects

    def asks_for(self, channel: str) -> Callable[[Address], bool]:
        """Whether a process's topic of a channel is inside what is subscribed, confirmed or not."""
        filters = [each.split("/")[3:-1] for each in self._subscribed if each.rpartition("/")[2] == channel]
        if ["+", "+", "+", "+"] in filters:
            return lambda _: True

        def told(process: Address) -> bool:
            levels = topics.of_process(process, topics.Channel.EVENTS).split("/")[3:-1]
            return any(
                all(one in ("+", other) for one, other in zip(wanted, levels, strict=True))
                for wanted in filters
            )

        return told

    def hears(self, filters: Iterable[str]) -> bool:
        """Whether the bus has confirmed all of these, or wider ones."""
        return all(
            self._subscribed.get(each, False)
            or any(told and covers(wide, each) for wide, told in self._subscribed.items())
            for each in filters
        )


def covers(wide: str, narrow: str) -> bool:
    """Whether one filter (or topic) is inside another. Both have as many levels as all of our topics of a kind."""
    ours, theirs = wide.split("/"), narrow.split("/")
    return len(ours) == len(theirs) and all(
        one in ("+", other) for one, other in zip(ours, theirs, strict=True)
    )


def _widest(filters: Iterable[str]) -> frozenset[str]:
    """Those that are not inside another one."""
    by_channel: dict[str, list[str]] = {}
    for each in filters:
        by_channel.setdefault(each.rpartition("/")[2], []).append(each)
    found: set[str] = set()
    for named in by_channel.values():
        if len(named) > MOST_FILTERS:
            found.add(_everything(named[0]))
            continue
        wide = [each for each in named if "+" in each]
        found.update(
            each for each in named if not any(other != each and covers(other, each) for other in wide)
        )
    return frozenset(found)


def _everything(topic: str) -> str:
    levels = topic.split("/")
    return "/".join((*levels[:3], *("+" for _ in levels[3:-1]), levels[-1]))
