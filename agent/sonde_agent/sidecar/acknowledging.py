"""What the history has of a process's events, and when they are sent to it again. Pure: time is an argument, chance is given.

Each event is sent once, as soon as it happens. A broker that writes a history tells how far that has got
(`EventsStored`). What lies between that and what was sent is on its way or lost, and nobody tells which. These tell
that it may be lost:

    hole       the history told once more what it had told, a while after the next event was sent
    silence    it has told nothing new for long
    arrival    a broker that writes a history has come or is back, or one of several has gone

Then events are sent again, from the first that the history has not got. An acknowledgement is no sign of a hole while
the event that it lacks may still be on its way: that of the first of ten batches says nothing about the others.

A history that was away is not to be drowned by a fleet that comes back to it. So one batch is sent again at first, and
each acknowledgement that brings news lets out twice as many as the last, up to `MOST_BATCHES`. Without news there is
another attempt after 2 s, then after 4 s, up to a minute. What happens meanwhile goes out at once as always.

Acknowledgements overtake each other, so a lower number than before means nothing until a while after the last news. Then
it is believed: the history was put back to an earlier state, or it is that of another broker. A history of another identity
has nothing yet.
"""

from collections.abc import Callable

GRACE = 1.0
"""Seconds in which an event may still be on its way."""
SILENCE = 10.0
"""Seconds without news after which it is asked for by sending again; up to twice that, so that a fleet does not do it at once."""
ARRIVAL = 2.0
"""Seconds within which a fleet turns to a broker that has come."""
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
"""Seconds between two attempts, from their beginnings."""
MOST_BATCHES = 8
"""Sent again for one acknowledgement."""


class Acknowledging:
    """Of one boot. `again` says with what to go on, `deadline` when to ask it next, unless something happens before."""

    def __init__(self, chance: Callable[[], float], *, after: int = 0) -> None:
        """`chance` gives numbers from 0 to 1; the first event is the one after `after`."""
        self._chance = chance
        self._none = after
        self._sent = after
        self._acknowledged = after
        self._stores: dict[str, str] = {}
        """By broker, of those that are online: the history that it writes."""
        self._known: set[str] = set()
        """The histories whose word `_acknowledged` is."""
        self._since = 0.0
        """When there was news, or something was sent that there has been no news of."""
        self._news_at = -GRACE
        self._patience = SILENCE * (1 + chance())
        self._last_attempt = -LONGEST_PAUSE
        self._pause = FIRST_PAUSE
        self._attempt_at: float | None = None
        self._reason_until = 0
        """There is no reason for that attempt any more when everything up to here is acknowledged."""
        self._next = 0
        """What is sent again next; 0: nothing is."""
        self._until = 0
        self._window = 0
        self._may_send = 0

    @property
    def acknowledged(self) -> int:
        """The history has everything up to this, or it is lost for good."""
        return self._acknowledged

    @property
    def is_kept(self) -> bool:
        """Whether a history has ever been heard of."""
        return bool(self._known)

    @property
    def waits(self) -> bool:
        """Whether somebody is there who has yet to acknowledge something."""
        return bool(self._stores) and self._acknowledged < self._sent

    @property
    def deadline(self) -> float | None:
        if not self.waits:
            return None
        return self._silent_at if self._attempt_at is None else min(self._silent_at, self._attempt_at)

    # What happens ---------------------------------------------------------------------------------------------

    def line_made(self) -> None:
        """Another line to the bus: its server tells anew which brokers there are."""
        self._stores.clear()
        self._stop()

    def broker_seen(self, broker: str, store: str | None, now: float) -> None:
        """It is online; `store` is the history that it writes, if any."""
        if store is None:
            self.broker_gone(broker, now)
            return
        if self._stores.get(broker) == store:
            return
        self._stores.pop(broker, None)
        if store not in self._known:
            if not self._known.intersection(self._stores.values()):
                self._known.clear()
            self._known.add(store)
            self._acknowledged = self._none
            self._since = now
        self._stores[broker] = store
        self._arrived(now)

    def broker_gone(self, broker: str, now: float) -> None:
        if self._stores.pop(broker, None) is None:
            return
        if self._stores:  # another does its work now, and has not got what it had not stored yet
            self._arrived(now)
        else:
            self._stop()

    def sent(self, last: int, now: float) -> None:
        """Events up to `last` went out, for the first time."""
        if self._acknowledged >= self._sent:
            self._since = now
        self._sent = max(self._sent, last)

    def sent_again(self, last: int, now: float) -> None:
        """One batch, from what `again` said up to `last`."""
        self._since = now
        self._may_send -= 1
        self._go_on(last + 1)

    def stored(self, upto: int, now: float) -> None:
        upto = min(upto, self._sent)
        if upto > self._acknowledged:
            self._acknowledged = upto
            self._since = self._news_at = now
            self._pause = FIRST_PAUSE
            if self._next:
                self._window = self._may_send = min(2 * self._window, MOST_BATCHES)
                self._go_on(max(self._next, upto + 1))
            return
        is_hole = upto == self._acknowledged and now - self._since >= GRACE
        is_less = upto < self._acknowledged and now - self._news_at >= GRACE
        if is_less:
            self._acknowledged = max(upto, self._none)
        if (is_hole or is_less) and self.waits:
            self._attempt(max(now, self._last_attempt + self._pause))

    def again(self, now: float) -> int | None:
        """The number from which one more batch is to be sent again now. None: nothing, now."""
        if self.waits and self._is_due(now):
            self._begin(now)
        return self._next if self._next and self._may_send > 0 else None

    # Attempts -------------------------------------------------------------------------------------------------

    @property
    def _silent_at(self) -> float:
        return max(self._since + self._patience, self._last_attempt + self._pause)

    def _is_due(self, now: float) -> bool:
        if self._attempt_at is not None and self._attempt_at <= now:
            self._attempt_at = None
            # what was on its way when it was planned may have arrived since
            if self._acknowledged < self._reason_until:
                return True
        return self._silent_at <= now

    def _arrived(self, now: float) -> None:
        self._since = now
        self._pause = FIRST_PAUSE
        if self.waits:
            self._attempt(max(now + ARRIVAL * self._chance(), self._last_attempt + FIRST_PAUSE))

    def _attempt(self, at: float) -> None:
        self._attempt_at = at if self._attempt_at is None else min(at, self._attempt_at)
        self._reason_until = self._sent

    def _begin(self, now: float) -> None:
        self._next, self._until = self._acknowledged + 1, self._sent
        self._window = self._may_send = 1
        self._since = self._last_attempt = now
        self._attempt_at = None
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._patience = SILENCE * (1 + self._chance())

    def _go_on(self, following: int) -> None:
        self._next = following if following <= self._until else 0

    def _stop(self) -> None:
        self._attempt_at = None
        self._next = 0
