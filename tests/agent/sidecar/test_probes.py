"""Which probes one process has: what its sidecar makes of the bus, of the tap, and of time."""

from typing import Any

import pytest

from sonde_agent.sidecar.probes import AGAIN_AFTER, Drop, Effect, Probes, Put, Said, Tell, with_limits
from sonde_wire import Address
from sonde_wire.probes import (
    Counter,
    Kind,
    LinePlace,
    Log,
    Probe,
    ProbeRemoved,
    ProbeSpec,
    ProbeState,
    ProbeStatus,
    Snapshot,
    Target,
)

PROCESS = Address.parse("prod/shop/shop-1")
ONE, TWO = "probeaaaaa", "probebbbbb"
NOW = 1000.0


def probe(
    id: str = ONE, *, kind: Kind | None = None, within: tuple[str, ...] = ("*/*/*",), **more: Any
) -> Probe:
    target = Target(
        selector=more.pop("selector", "*/*/*"),
        labels=more.pop("labels", {}),
        canaries=1 if "chosen" in more else None,
    )
    spec = ProbeSpec(kind=kind or Snapshot(), place=LinePlace(path="shop.py", line=3), target=target)
    fields: dict[str, Any] = {"creator": "ada", "created": NOW, "expires": NOW + 60} | more
    return Probe(id=id, spec=spec, within=within, **fields)


def removed(id: str = ONE, expires: float = NOW + 60) -> ProbeRemoved:
    return ProbeRemoved(id=id, time=NOW, expires=expires)


def status(id: str = ONE, state: ProbeState = "active", **more: Any) -> ProbeStatus:
    return ProbeStatus(id=id, state=state, **more)


def puts(effects: list[Effect]) -> list[str]:
    return [each.probe.id for each in effects if isinstance(each, Put)]


def drops(effects: list[Effect]) -> list[str]:
    return [each.id for each in effects if isinstance(each, Drop)]


def states(probes: Probes) -> dict[str, str]:
    return {each.id: each.state for each in probes.said.probes}


@pytest.fixture
def probes() -> Probes:
    """Its tap is there, and has nothing."""
    made = Probes(PROCESS, {"zone": "a", "tier": "web"})
    assert made.tap_came(NOW) == []
    return made


def test_a_probe_that_means_the_process_is_put_with_the_time_that_is_left(probes: Probes) -> None:
    (put,) = probes.seen(ONE, probe(), NOW + 20)
    assert isinstance(put, Put)
    assert (put.probe.id, put.left) == (ONE, 40)
    assert probes.put(ONE, status(state="pending")) == [Tell()]
    assert states(probes) == {ONE: "pending"}


@pytest.mark.parametrize(
    "another",
    [
        probe(selector="prod/cart/*"),
        probe(selector="*/*/shop-2*"),
        probe(within=("bank/*/*",)),
        probe(within=()),
        probe(labels={"zone": "b"}),
        probe(labels={"zone": "a", "of": "another"}),
        probe(chosen=()),
        probe(chosen=("prod/shop/shop-2",)),
    ],
    ids=range(8),
)
def test_a_probe_that_is_not_for_the_process_is_left_alone(probes: Probes, another: Probe) -> None:
    assert probes.seen(ONE, another, NOW) == []


@pytest.mark.parametrize(
    "one",
    [
        probe(selector="prod/shop/*"),
        probe(within=("bank/*/*", "prod/sh*/*")),
        probe(labels={"zone": "a"}),
        probe(chosen=("prod/shop/shop-2", "prod/shop/shop-1")),
    ],
    ids=range(4),
)
def test_target_token_labels_and_canaries_decide_together(probes: Probes, one: Probe) -> None:
    assert puts(probes.seen(ONE, one, NOW)) == [ONE]


@pytest.mark.parametrize(
    ("kind", "limits"),
    [(Snapshot(), (100, 1.0, 1)), (Log(template="x"), (100, 100.0, 100)), (Counter(), (None, None, None))],
)
def test_limits_that_are_left_to_the_kind_are_said_to_the_tap(
    kind: Kind, limits: tuple[int | None, float | None, int | None]
) -> None:
    spec = with_limits(ProbeSpec(kind=kind))
    assert (spec.max_hits, spec.rate, spec.burst) == limits
    spec = with_limits(ProbeSpec(kind=kind, max_hits=7, rate=2.5, burst=9))
    assert (spec.max_hits, spec.rate, spec.burst) == (7, 2.5, 9)


def test_the_same_probe_again_is_no_news(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    assert probes.seen(ONE, probe(), NOW) == []
    assert probes.seen(ONE, probe(revision=2), NOW) == []


def test_a_removed_probe_is_dropped_and_never_comes_back(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    probes.put(ONE, status())
    assert probes.seen(ONE, removed(), NOW) == [Drop(ONE), Tell()]
    assert probes.seen(ONE, probe(revision=5), NOW) == []
    assert states(probes) == {}


def test_a_probe_that_was_taken_off_the_bus_is_dropped(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    assert drops(probes.seen(ONE, None, NOW)) == [ONE]
    assert probes.seen(TWO, None, NOW) == []


def test_who_is_chosen_no_more_drops_it_and_an_older_choice_changes_nothing(probes: Probes) -> None:
    probes.seen(ONE, probe(chosen=(str(PROCESS),), revision=2), NOW)
    assert probes.seen(ONE, probe(chosen=(), revision=1), NOW) == []
    assert drops(probes.seen(ONE, probe(chosen=(), revision=3), NOW)) == [ONE]
    assert puts(probes.seen(ONE, probe(chosen=(str(PROCESS),), revision=4), NOW)) == [ONE]


def test_a_probe_whose_time_is_over_is_dropped_without_anybody_saying_so(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    probes.put(ONE, status())
    assert probes.deadline == NOW + 60
    assert probes.time_passed(NOW + 59.9) == []
    assert probes.time_passed(NOW + 60) == [Drop(ONE), Tell()]
    assert probes.deadline is None
    assert probes.seen(ONE, probe(), NOW + 61) == []


def test_a_clock_far_behind_gives_a_probe_no_more_than_its_whole_life(probes: Probes) -> None:
    (put,) = probes.seen(ONE, probe(), NOW - 86_400)
    assert isinstance(put, Put)
    assert put.left == 60


def test_a_probe_that_is_over_when_it_comes_is_an_error_until_it_is_gone(probes: Probes) -> None:
    assert probes.seen(ONE, probe(), NOW + 3660) == [Tell()]
    (said,) = probes.said.probes
    assert (said.id, said.state) == (ONE, "error")
    assert "over 3600 seconds before it came here" in said.message
    assert "clock" in said.message
    assert probes.deadline is None
    assert probes.reported(Said(), NOW + 3661) == []
    assert states(probes) == {ONE: "error"}
    assert probes.seen(ONE, None, NOW + 3662) == [Tell()]
    assert states(probes) == {}


def test_a_clock_that_was_set_right_makes_good_what_came_too_late(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW + 3660)
    tell, put = probes.seen(ONE, probe(), NOW + 1)
    assert isinstance(put, Put)
    assert (tell, put.left) == (Tell(), 59)


@pytest.mark.parametrize(
    "message", [removed(), probe(selector="prod/cart/*"), probe(chosen=()), probe(expires=NOW + 3600)]
)
def test_nothing_is_said_of_what_came_a_little_late_or_was_not_for_this_process(
    probes: Probes, message: Probe | ProbeRemoved
) -> None:
    assert probes.seen(ONE, message, NOW + 3660) == []
    assert states(probes) == {}


def test_a_known_probe_that_comes_again_after_its_time_is_dropped_as_any_that_is_over(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    assert drops(probes.seen(ONE, probe(revision=2), NOW + 61)) == [ONE]
    assert states(probes) == {}


def test_nothing_is_said_to_a_tap_that_is_not_there_and_everything_to_one_that_comes() -> None:
    probes = Probes(PROCESS, {})
    assert probes.seen(ONE, probe(), NOW) == []
    assert probes.seen(TWO, probe(TWO), NOW) == []
    assert puts(probes.tap_came(NOW + 1)) == [ONE, TWO]
    probes.tap_lost()
    assert probes.seen(ONE, removed(), NOW + 2) == []
    assert puts(probes.tap_came(NOW + 3)) == [TWO]


def test_a_probe_that_the_tap_has_of_an_earlier_sidecar_is_kept_until_somebody_says_otherwise(
    probes: Probes,
) -> None:
    assert probes.reported(Said(probes=(status(), status(TWO))), NOW) == [Tell()]
    assert states(probes) == {ONE: "active", TWO: "active"}
    assert drops(probes.seen(ONE, removed(), NOW)) == [ONE]
    assert puts(probes.seen(TWO, probe(TWO), NOW)) == [TWO]
    assert states(probes) == {TWO: "active"}


def test_what_the_tap_reports_and_is_not_to_have_is_dropped(probes: Probes) -> None:
    probes.seen(ONE, removed(), NOW)
    probes.seen(TWO, probe(TWO, selector="*/cart/*"), NOW)
    assert drops(probes.reported(Said(probes=(status(), status(TWO))), NOW)) == [ONE, TWO]
    assert probes.reported(Said(probes=(status(), status(TWO))), NOW) == []  # it is being told
    probes.dropped(ONE)
    assert drops(probes.reported(Said(probes=(status(),)), NOW)) == [ONE]
    assert states(probes) == {}


def test_an_answer_that_was_overtaken_by_a_report_is_no_news(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    probes.reported(Said(probes=(status(state="hit", hits=3),)), NOW)
    assert probes.put(ONE, status(state="pending")) == []
    assert states(probes) == {ONE: "hit"}


def test_a_report_from_before_the_probe_was_put_does_not_take_its_state_away(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    probes.put(ONE, status(state="pending"))
    probes.seen(TWO, probe(TWO), NOW)
    probes.reported(Said(probes=(status(state="active"),)), NOW)
    assert states(probes) == {ONE: "active"}
    assert probes.put(TWO, status(TWO)) == [Tell()]


def test_a_refused_probe_is_an_error_that_says_why_also_after_reports(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    assert probes.refused(ONE, "calls are not offered", NOW, again=False) == [Tell()]
    probes.reported(Said(), NOW)
    (told,) = probes.said.probes
    assert (told.state, told.message, told.title) == ("error", "calls are not offered", "snapshot shop.py:3")
    assert probes.time_passed(NOW + 30) == []


def test_what_found_no_room_or_no_answer_is_tried_again(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    probes.refused(ONE, "64 probes already", NOW, again=True)
    assert puts(probes.time_passed(NOW + AGAIN_AFTER)) == [ONE]
    probes.unanswered(ONE, NOW + 10)
    assert probes.deadline == NOW + 10 + AGAIN_AFTER
    assert puts(probes.time_passed(NOW + 10 + AGAIN_AFTER)) == [ONE]
    probes.seen(ONE, removed(), NOW + 16)
    probes.unanswered(ONE, NOW + 16)
    assert drops(probes.time_passed(NOW + 16 + AGAIN_AFTER)) == [ONE]


def test_a_tap_that_is_lost_is_not_tried_again_until_it_comes(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    probes.tap_lost()
    probes.unanswered(ONE, NOW)
    assert probes.time_passed(NOW + AGAIN_AFTER) == []
    assert puts(probes.tap_came(NOW + 10)) == [ONE]


def test_a_probe_that_ended_in_the_tap_and_made_room_for_others_is_still_told(probes: Probes) -> None:
    probes.seen(ONE, probe(), NOW)
    probes.put(ONE, status())
    probes.reported(Said(probes=(status(state="expired", message="100 hits"),)), NOW)
    probes.reported(Said(probes=(status(TWO),)), NOW)
    assert states(probes) == {ONE: "expired", TWO: "active"}


def test_only_what_changes_is_told(probes: Probes) -> None:
    said = Said(probes=(status(),), cpu=0.001)
    assert probes.reported(said, NOW) == [Tell()]
    assert probes.reported(said, NOW) == []
    assert probes.reported(Said(probes=(status(hits=1),), cpu=0.001), NOW) == [Tell()]
