"""What is sent again to a history and when: by hand, and over a bus that loses, doubles and reorders."""

import heapq
import itertools
import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonde_agent.sidecar.acknowledging import (
    ARRIVAL,
    FIRST_PAUSE,
    GRACE,
    LONGEST_PAUSE,
    MOST_BATCHES,
    SILENCE,
    Acknowledging,
)
from sonde_agent.sidecar.journal import Journal
from sonde_wire import bus

NEVER_SILENT = 2 * SILENCE


def listened(chance: float = 0.5, after: int = 0) -> Acknowledging:
    """A broker that writes a history is there since time 0."""
    ours = Acknowledging(lambda: chance, after=after)
    ours.broker_seen("b1", "history", 0.0)
    return ours


def test_where_nobody_writes_a_history_nothing_is_sent_again() -> None:
    ours = Acknowledging(lambda: 0.5)
    ours.broker_seen("b1", None, 0.0)
    ours.sent(9, 1.0)
    assert not ours.waits and not ours.is_kept
    assert ours.deadline is None
    assert ours.again(1000.0) is None


def test_an_acknowledgement_while_later_batches_are_on_their_way_is_no_hole() -> None:
    ours = listened()
    for batch in range(1, 10):
        ours.sent(batch * 10, 5 + batch / 100)
    ours.stored(10, 5.2)
    ours.stored(10, 5.2 + GRACE / 2)
    ours.stored(30, 5.2 + GRACE)
    assert ours.again(5.2 + GRACE) is None
    ours.stored(90, 6.5)
    assert not ours.waits and ours.deadline is None


def test_an_acknowledgement_that_is_said_twice_is_a_hole_once_the_next_event_should_be_there() -> None:
    ours = listened()
    ours.sent(10, 5.0)
    ours.stored(10, 5.1)
    ours.sent(20, 6.0)
    ours.sent(30, 6.5)
    ours.stored(10, 6.0 + GRACE)
    assert ours.again(6.0 + GRACE) == 11
    ours.sent_again(20, 7.0)
    assert ours.again(7.0) is None
    ours.stored(30, 7.1)
    assert ours.again(1000.0) is None


def test_a_lower_number_is_believed_only_when_it_was_not_overtaken_by_a_higher_one() -> None:
    ours = listened()
    ours.sent(30, 5.0)
    ours.stored(30, 5.1)
    ours.stored(10, 5.2)
    assert ours.acknowledged == 30
    assert ours.deadline is None
    ours.stored(10, 5.1 + GRACE)
    assert ours.acknowledged == 10
    assert ours.again(5.1 + GRACE) == 11


def test_more_than_was_sent_is_not_believed() -> None:
    ours = listened()
    ours.sent(5, 1.0)
    ours.stored(500, 1.1)
    assert ours.acknowledged == 5
    ours.sent(6, 2.0)
    assert ours.waits


def test_a_broker_that_comes_is_sent_what_is_not_acknowledged_a_moment_later() -> None:
    ours = Acknowledging(lambda: 0.25)
    ours.sent(7, 1.0)
    ours.broker_seen("b1", "history", 10.0)
    at = 10 + ARRIVAL * 0.25
    assert ours.deadline == at
    assert ours.again(at - 0.01) is None
    assert ours.again(at) == 1


def test_a_broker_that_comes_and_has_everything_a_moment_later_is_sent_nothing_again() -> None:
    ours = listened(after=256)
    ours.sent(257, 1.0)
    ours.stored(257, 1.2)
    ours.broker_gone("b1", 5.0)
    ours.sent(258, 6.0)
    ours.broker_seen("b1", "history", 7.0)
    ours.stored(258, 7.1)
    ours.sent(300, 8.0)
    assert ours.again(9.0) is None, "what was sent since is on its way"
    ours.stored(300, 9.1)
    assert ours.deadline is None


def test_a_successor_has_nothing_of_what_its_predecessor_sent() -> None:
    ours = listened(after=256)
    assert not ours.waits
    ours.sent(257, 1.0)
    ours.stored(0, 1.0 + GRACE)
    assert ours.again(1.0 + GRACE + FIRST_PAUSE) == 257


def test_the_presence_that_is_told_again_is_no_arrival() -> None:
    ours = listened()
    ours.sent(3, 1.0)
    ours.stored(3, 1.1)
    ours.broker_seen("b1", "history", 5.0)
    ours.sent(4, 5.0)
    assert ours.deadline == 5.0 + SILENCE * 1.5


def test_another_line_to_the_bus_alone_sends_nothing_twice() -> None:
    ours = listened()
    ours.sent(3, 1.0)
    ours.stored(2, 1.1)
    ours.line_made()
    assert ours.deadline is None and ours.again(1000.0) is None
    ours.broker_seen("b1", "history", 1000.0)
    assert ours.again(1000.0) is None, "a fleet does not come back at once"
    assert ours.again(1000.0 + ARRIVAL) == 3


def test_a_history_of_another_identity_has_nothing_yet() -> None:
    ours = listened()
    ours.sent(9, 1.0)
    ours.stored(9, 1.1)
    ours.broker_seen("b1", "another", 5.0)
    assert ours.acknowledged == 0
    assert ours.again(5.0 + ARRIVAL) == 1
    ours.stored(9, 8.0)
    assert not ours.waits
    ours.broker_seen("b1", "history", 9.0)
    assert ours.acknowledged == 0, "who knows what it missed meanwhile"


def test_a_second_broker_of_the_same_history_changes_nothing_of_what_is_acknowledged() -> None:
    ours = listened()
    ours.sent(9, 1.0)
    ours.stored(9, 1.1)
    ours.broker_seen("b2", "history", 5.0)
    assert ours.acknowledged == 9 and ours.deadline is None


def test_what_a_lost_broker_had_not_stored_is_sent_to_those_that_stay() -> None:
    ours = listened()
    ours.broker_seen("b2", "history", 0.0)
    ours.again(NEVER_SILENT)
    ours.sent(9, 30.0)
    ours.broker_gone("b1", 30.1)
    assert ours.again(30.1 + ARRIVAL) == 1
    ours.broker_gone("b2", 33.0)
    assert ours.deadline is None and ours.again(1000.0) is None


def test_without_news_one_batch_is_sent_again_after_ever_longer_pauses() -> None:
    ours = listened()
    for number in range(1, 2001):
        ours.sent(number, 1.0)
    attempts: list[float] = []
    while len(attempts) < 10:
        at = ours.deadline
        assert at is not None
        assert ours.again(at) == 1
        ours.sent_again(100, at)
        assert ours.again(at) is None
        attempts.append(at)
    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE
    assert min(pauses) >= SILENCE


def test_repeated_holes_have_pauses_between_them_too() -> None:
    ours = listened()
    ours.sent(1000, 1.0)
    attempts: list[float] = []
    for tenth in range(1000):
        now = 5 + tenth / 10
        ours.stored(0, now)
        if ours.again(now) is not None:
            ours.sent_again(100, now)
            attempts.append(now)
    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses == pytest.approx([4, 8, 16, 32], abs=0.2)


def test_news_let_out_more_and_more_of_it() -> None:
    ours = listened()
    ours.sent(1000, 1.0)
    now = ours.deadline or 0.0
    counts = []
    following = 1
    while ours.waits:
        count = 0
        while (first := ours.again(now)) is not None:
            assert first == following
            following = min(first + 20, 1001)
            ours.sent_again(following - 1, now)
            count += 1
        counts.append(count)
        now += 0.5
        ours.stored(following - 1, now)
    assert counts[:4] == [1, 2, 4, 8]
    assert max(counts) == MOST_BATCHES
    assert sum(counts) == 50, "each was sent again once"


class World:
    """A sidecar's journal, a bus that is as bad as `loss` and `delay` say, and a broker whose history is true to its word."""

    def __init__(self, chance: random.Random, loss: float, delay: float) -> None:
        self.chance = chance
        self.loss = loss
        self.delay = delay
        self.now = 0.0
        self.journal = Journal("default/shop/a", "0" * 32, most_events=60)
        self.ours = Acknowledging(chance.random)
        self.attempts: list[float] = []
        self.again = 0
        self.history = "history"
        self.has: set[int] = set()
        self.upto = 0
        self.is_up = False
        self.tells = False
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def post(self, what: Callable[[], None]) -> None:
        """By the bus."""
        copies = 0 if self.chance.random() < self.loss else 1 + (self.chance.random() < self.loss / 2)
        for _ in range(copies):
            self.at(self.now + 0.001 + self.chance.random() * self.delay, what)

    def at(self, time: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time, next(self._numbers), what))

    def run(self, until: float) -> None:
        while True:
            self.send()
            due = min((self._due[0][0] if self._due else until, self.ours.deadline or until, until))
            self.now = max(self.now, due)
            if self.now >= until:
                return
            while self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()

    def send(self) -> None:
        while True:
            if batch := self.journal.take():
                self.ours.sent(batch.last, self.now)
            elif (first := self.ours.again(self.now)) is not None:
                batch = self.journal.again(first)
                self.ours.sent_again(batch.last, self.now)
                self.again += len(batch.events)
            else:
                break
            if self.ours._last_attempt > (self.attempts[-1] if self.attempts else 0.0):
                self.attempts.append(self.ours._last_attempt)
            self.post(lambda batch=batch: self.arrives(batch))  # type: ignore[misc] # bound now

    def happens(self, count: int) -> None:
        for _ in range(count):
            self.journal.append(bus.ProcessStarted, self.now, pid=1)

    def arrives(self, batch: bus.EventBatch) -> None:
        if not self.is_up:
            return
        self.has.update(range(batch.first, batch.last + 1))
        while self.upto + 1 in self.has or self.upto + 1 < batch.oldest:
            self.upto += 1
        if not self.tells:
            self.tells = True
            self.at(self.now + 0.5, self.tell)

    def tell(self) -> None:
        if self.tells and self.is_up:
            upto = self.upto
            self.post(lambda: self.told(upto))
        self.tells = False

    def told(self, upto: int) -> None:
        self.ours.stored(upto, self.now)
        self.journal.stored(self.ours.acknowledged)

    def broker(self, *, up: bool) -> None:
        self.is_up, self.tells = up, False
        if up:
            self.ours.broker_seen("b1", self.history, self.now)
        else:
            self.ours.broker_gone("b1", self.now)

    def history_is_another(self) -> None:
        self.has, self.upto = set(), 0
        self.history += "'"
        self.broker(up=True)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["events", "events", "events", "up", "down", "line", "another"]),
        st.integers(1, 30),
        st.sampled_from([0.0, 0.01, 0.3, 2.0, 20.0]),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(
    STEPS,
    st.randoms(use_true_random=False),
    st.sampled_from([0.0, 0.1, 0.6]),
    st.sampled_from([0.01, 0.8, 3.0]),
)
def test_what_the_ring_still_has_is_stored_in_the_end_and_the_attempts_are_bounded(
    steps: list[tuple[str, int, float]], chance: random.Random, loss: float, delay: float
) -> None:
    world = World(chance, loss, delay)
    for what, count, seconds in steps:
        match what:
            case "events":
                world.happens(count)
            case "line":
                world.ours.line_made()
                if world.is_up:
                    world.broker(up=True)
            case "another":
                world.history_is_another()
            case _:
                world.broker(up=what == "up")
        world.run(world.now + seconds)
    world.loss = 0.0
    world.broker(up=True)
    world.happens(1)
    oldest = world.journal.oldest
    world.run(world.now + 4 * LONGEST_PAUSE)
    assert not world.ours.waits
    assert world.ours.acknowledged == world.upto == world.journal.last
    assert world.has >= set(range(oldest, world.journal.last + 1))
    assert all(after - before >= FIRST_PAUSE - 1e-6 for before, after in pairwise(world.attempts))


def test_over_a_good_bus_nothing_is_sent_twice() -> None:
    world = World(random.Random(1), 0.0, 0.05)  # noqa: S311 - no secret
    world.broker(up=True)
    for _ in range(200):
        world.happens(3)
        world.run(world.now + 0.1)
    world.run(world.now + 60)
    assert (world.again, world.ours.acknowledged) == (0, 600)
    assert world.journal.lost == 0
