"""What the bus tells, to the groups of viewers that asked for it: collected, and sent at the end of each group's window. Pure;
part of the core."""

from collections.abc import Iterable

from sonde_broker.deadlines import Deadlines
from sonde_broker.portions import Portions
from sonde_broker.relay_io import Effect, EventsSeen, Instant, Span
from sonde_broker.subscriptions import WINDOW, Group, GroupKey, Subscriptions
from sonde_wire import Address


class Delivery:
    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._windows: Deadlines[GroupKey] = Deadlines()
        """When they end."""

    def deadline(self) -> float | None:
        return self._windows.next()

    def time_passed(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for key in self._windows.take_due(now.steady):
            effects += self._subscriptions.flush(key, now.steady)
        return effects

    def events(self, new: EventsSeen, missed: Span | None, now: Instant) -> list[Effect]:
        """`missed` is the hole before them."""
        batch, portions = new.batch, Portions(new)
        span = Span(batch.process, batch.boot, batch.first, batch.last)
        told: list[Group] = []
        for group in self._subscriptions.groups():
            wanted = group.wanted(new.process)
            if "events" not in wanted and "output" not in wanted:
                continue
            part = portions.of(wanted, values=group.key.values)
            if missed is not None:
                group.collect_gap(missed)
            if part is not None:
                group.collect_events(span, part)
            if part is not None or missed is not None:
                told.append(group)
        return self.flush(told, now)

    def metrics(self, process: Address, encoded: bytes, now: Instant) -> list[Effect]:
        groups = self._subscriptions.interested("metrics", process)
        for group in groups:
            group.collect_metrics(str(process), encoded)
        return self.flush(groups, now)

    def presence(self, process: Address, encoded: bytes, now: Instant) -> list[Effect]:
        groups = self._subscriptions.interested("presence", process)
        for group in groups:
            group.collect_presence(str(process), encoded)
        return self.flush(groups, now)

    def flush(self, groups: Iterable[Group], now: Instant) -> list[Effect]:
        """What they have collected: at once after a quiet time or when it is much, else when the window ends."""
        effects: list[Effect] = []
        for group in groups:
            if group.full or now.steady >= group.flushed + WINDOW:
                effects += group.flush(now.steady)
            else:
                self._windows.begin(group.key, group.flushed + WINDOW)
        return effects
