"""Two cores on one bus: what both see is done by one of them, and by the other where that one hangs."""

from typing import Any

import msgspec
import pytest

from sonde_broker import ingress
from sonde_broker.fleet import GRACE
from sonde_broker.probes import CHOOSE_AFTER, RESTORE_AFTER, STAND_IN_AFTER
from sonde_broker.relay import SETTLE_SHARES, TAKE_OVER
from sonde_broker.relay_io import (
    Announce,
    BrokerSeen,
    BusDown,
    BusUp,
    Effect,
    Keep,
    ProbeSeen,
    Publish,
    StoreChanged,
    TimePassed,
)
from sonde_broker.replicas import ANSWER_WITHIN, INTRODUCE_AFTER, Replicas
from sonde_wire import bus, codec, topics
from sonde_wire.probes import Probe, ProbeMessage
from tests.broker.messages import batch, presence, started
from tests.broker.stage import Stage, answer
from tests.broker.tokens import claims

PODS = tuple(f"shop/checkout/pod-{number}" for number in range(1, 7))
PROBE = {
    "kind": {"type": "snapshot"},
    "place": {"type": "line", "path": "shop/worker.py", "line": 33},
    "target": {"selector": "shop/checkout/*", "canaries": 2},
}


class Site:
    """Both share a clock, and are told what either publishes, in one order and soon, as by a bus."""

    def __init__(self, *, settled: bool = True) -> None:
        """Settled: nobody is waited for any more."""
        self.stages = {name: Stage(broker=name) for name in ("b1", "b2")}
        self.hanging: set[str] = set()
        """They do nothing and are told nothing; the bus has not noticed yet."""
        self.published: list[tuple[str, Publish]] = []
        """Of probes, by whom."""
        self._carried = 0
        for stage in self.stages.values():
            self.introduce(stage)
        self.say(*(presence(pod) for pod in PODS))
        if settled:
            self.after(GRACE + 1)

    def retained(self, probe: Probe) -> None:
        """By the bus, from before."""
        for name, stage in self._turning():
            self.carry(name, stage.tell(ProbeSeen(probe.id, probe)))

    def introduce(self, stage: Stage) -> None:
        """Each has said it, and says it once more."""
        for time in (1.0, 2.0):
            for name in self.stages:
                stage.tell(BrokerSeen(name, bus.BrokerPresence(broker=name, state="online", time=time)))

    def say(self, *messages: bus.Presence) -> None:
        for message in messages:
            for name, stage in self._turning():
                self.carry(name, stage.presence(message))
        self.deliver()

    def after(self, seconds: float) -> None:
        end = next(iter(self.stages.values())).now + seconds
        while True:
            due = [at for _, stage in self._turning() if (at := stage.relay.deadline()) is not None]
            now = min([*due, end])
            for stage in self.stages.values():
                stage.now = max(stage.now, now)
            if now >= end:
                return
            for name, stage in self._turning():
                if (at := stage.relay.deadline()) is not None and at <= now:
                    self.carry(name, stage.tell(TimePassed()))
            self.deliver()

    def add(self, name: str = "b1") -> str:
        stage = self.stages[name]
        stage.join("ada", claims("ada"))
        effects = stage.call("ada", "probe.add", probe=PROBE)
        self.carry(name, effects)
        self.deliver()
        return str(answer(effects)["probe"]["id"])

    def chosen(self, name: str, probe: str) -> list[str]:
        stage = self.stages[name]
        stage.join("ada", claims("ada"))
        shown: dict[str, Any] = answer(stage.call("ada", "probe.show", probe=probe))
        return list(shown["info"]["probe"]["chosen"])

    def choices(self) -> list[tuple[str, int]]:
        """By whom, and its revision."""
        found = []
        for name, effect in self.published:
            message: ProbeMessage = codec.decode(effect.payload, ProbeMessage)  # type: ignore[arg-type] # a union
            assert isinstance(message, Probe)
            found.append((name, message.revision))
        return found

    def _turning(self) -> list[tuple[str, Stage]]:
        return [(name, stage) for name, stage in self.stages.items() if name not in self.hanging]

    def carry(self, by: str, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish) and topics.read_probe(effect.topic) is not None:
                self.published.append((by, effect))

    def deliver(self) -> None:
        """After each has done what is to be done at a time: they do it at the same time."""
        while self._carried < len(self.published):
            _, effect = self.published[self._carried]
            self._carried += 1
            for name, stage in self._turning():
                seen = ingress.read(effect.topic, effect.payload, name)
                assert seen is not None
                self.carry(name, stage.tell(seen))


def leader(probe: str) -> tuple[str, str]:
    """Whose task it is, and the other."""
    ours = Replicas("b1")
    ours.seen("b2", bus.BrokerPresence(broker="b2", state="online", time=1.0), 1.0)
    return ("b1", "b2") if ours.leads(probe) else ("b2", "b1")


@pytest.mark.parametrize("at", ["b1", "b2"])
def test_a_new_choice_is_made_by_the_one_whose_task_it_is_whoever_added_the_probe(at: str) -> None:
    site = Site()
    probe = site.add(at)
    first, second = site.chosen("b1", probe), site.chosen("b2", probe)
    assert first == second
    site.say(presence(first[0], "ended"))
    site.after(CHOOSE_AFTER + 0.01)
    responsible, _ = leader(probe)
    assert site.choices() == [(at, 1), (responsible, 2)]
    site.after(STAND_IN_AFTER + CHOOSE_AFTER)
    assert len(site.published) == 2
    assert site.chosen("b1", probe) == site.chosen("b2", probe) != first


def test_where_the_one_whose_task_it_is_hangs_the_other_stands_in_and_both_agree_when_it_goes_on() -> None:
    site = Site()
    probe = site.add()
    responsible, other = leader(probe)
    before = site.chosen(other, probe)
    site.hanging.add(responsible)
    site.say(presence(before[0], "ended"))
    site.after(STAND_IN_AFTER)
    assert site.choices() == [("b1", 1)]
    site.after(CHOOSE_AFTER + 0.01)
    assert site.choices() == [("b1", 1), (other, 2)]
    chosen = site.chosen(other, probe)
    assert before[0] not in chosen
    assert len(chosen) == 2
    site.hanging.clear()  # what the bus had for it comes now, in order
    late = site.stages[responsible]
    site.carry(responsible, late.presence(presence(before[0], "ended")))
    missed = ingress.read(site.published[-1][1].topic, site.published[-1][1].payload, responsible)
    assert missed is not None
    site.carry(responsible, late.tell(missed))
    site.after(STAND_IN_AFTER + 1)
    assert len(site.published) == 2
    assert site.chosen(responsible, probe) == chosen


def test_those_that_are_waited_for_after_a_start_and_do_not_come_are_replaced_once() -> None:
    probe = made()
    site = Site(settled=False)
    gone = msgspec.structs.replace(probe, chosen=(PODS[0], "shop/checkout/pod-9"))
    site.retained(gone)
    site.after(GRACE - 1)
    assert site.published == []
    site.after(1 + CHOOSE_AFTER + STAND_IN_AFTER + 1)
    assert site.choices() == [(leader(probe.id)[0], 2)]
    assert PODS[0] in site.chosen("b1", probe.id)


def test_a_broker_that_the_bus_alone_speaks_of_gets_no_share_for_long() -> None:
    stage = Stage()
    stage.tell(StoreChanged("up", "ours"))
    ghost = bus.BrokerPresence(broker="b9", state="online", time=1.0, store="ours")
    stage.tell(BrokerSeen("b9", ghost))
    effects = stage.after(INTRODUCE_AFTER)
    assert [each for each in effects if isinstance(each, Announce)] == [Announce("ours")]
    assert stored(stage) < set(PODS)
    stage.after(ANSWER_WITHIN + SETTLE_SHARES)
    assert stored(stage) == set(PODS)
    stage.tell(BrokerSeen("b9", msgspec.structs.replace(ghost, time=2.0)))  # it hung only
    stage.after(SETTLE_SHARES + INTRODUCE_AFTER)
    assert stored(stage) < set(PODS)


def test_what_a_lost_broker_stored_is_taken_over_before_it_is_sent_again() -> None:
    stage = Stage()
    stage.tell(StoreChanged("up", "ours"))
    other = bus.BrokerPresence(broker="b9", state="online", time=1.0, store="ours")
    stage.tell(BrokerSeen("b9", other))
    stage.after(SETTLE_SHARES)
    assert stored(stage) < set(PODS)
    stage.tell(BrokerSeen("b9", msgspec.structs.replace(other, state="lost", store=None)))
    stage.after(TAKE_OVER)
    assert stored(stage) == set(PODS)


def stored(stage: Stage) -> set[str]:
    """Those whose events are kept."""
    effects = [effect for pod in PODS for effect in stage.events(batch(started(1, pod)))]
    return {str(each.process) for each in effects if isinstance(each, Keep)}


def made() -> Probe:
    site = Site()
    site.add()
    message: ProbeMessage = codec.decode(site.published[0][1].payload, ProbeMessage)  # type: ignore[arg-type] # a union
    assert isinstance(message, Probe)
    return message


@pytest.mark.parametrize("moment", [0.1, RESTORE_AFTER + 0.1])
def test_after_the_bus_was_away_those_that_did_not_come_back_are_replaced_once(moment: float) -> None:
    site = Site()
    probe = site.add()
    chosen = site.chosen("b1", probe)
    for change in (BusDown(), BusUp()):
        for name, stage in site.stages.items():
            site.carry(name, stage.tell(change))
        site.deliver()
    site.after(moment)
    for stage in site.stages.values():
        site.introduce(stage)
    site.say(*(presence(pod) for pod in PODS if pod != chosen[0]))
    site.after(RESTORE_AFTER + 1)
    assert {revision for _, revision in site.choices()} == {1}  # it may come yet
    site.after(GRACE + STAND_IN_AFTER + 1)
    assert [each for each in site.choices() if each[1] > 1] == [(leader(probe)[0], 2)]
    assert chosen[0] not in site.chosen("b1", probe)
