"""Desired probes: who may make and remove them, where they are, what the bus is told, and how they end."""

import logging
from typing import Any

import msgspec
import pytest

from sonde_broker.fleet import GRACE
from sonde_broker.probes import KEEP_ENDED, MOST_LIVE, MOST_OF_ONE, RESTORE_AFTER
from sonde_broker.relay_io import (
    BusDown,
    BusUp,
    Effect,
    KeepProbes,
    PresenceCleared,
    ProbeSeen,
    ProbesReported,
    ProbesRestored,
    Publish,
)
from sonde_wire import Address, Scope, codec, rpc
from sonde_wire.probes import Probe, ProbeMessage, ProbeRemoved, ProbeReport, ProbeState, ProbeStatus
from tests.broker.messages import BOOT, CART, CHECKOUT, OTHER_BOOT, presence
from tests.broker.stage import Stage, answer, delivered, error, message, sent
from tests.broker.tokens import claims

LINE = {"type": "line", "path": "shop/worker.py", "line": 33}
SNAPSHOT = {"kind": {"type": "snapshot"}, "place": LINE}
PODS = tuple(f"shop/checkout/pod-{number}" for number in range(1, 7))
LOOKER = (Scope.OBSERVE, Scope.INSPECT)


@pytest.fixture
def stage() -> Stage:
    """Six processes of one service, one of another, and a viewer who may look."""
    stage = Stage()
    for pod in (*PODS, CART):
        stage.presence(presence(pod, labels={"zone": "a" if pod < PODS[3] else "b"}))
    stage.join("ada", claims("ada", scopes=LOOKER))
    stage.after(GRACE + 1)
    return stage


def add(stage: Stage, viewer: str = "ada", **spec: Any) -> tuple[str, list[Effect]]:
    effects = stage.call(viewer, "probe.add", probe={**SNAPSHOT, **spec})
    return answer(effects)["probe"]["id"], effects


def on(selector: str, **more: Any) -> dict[str, Any]:
    return {"selector": selector, **more}


def published(effects: list[Effect]) -> list[tuple[str, ProbeMessage | None]]:
    return [
        (
            effect.topic.rpartition("/")[2],
            codec.decode(effect.payload, ProbeMessage) if effect.payload else None,  # type: ignore[arg-type] # a union
        )
        for effect in effects
        if isinstance(effect, Publish) and effect.topic.startswith("sonde/v1/probe/") and effect.retain
    ]


def the_probe(effects: list[Effect]) -> Probe:
    [(_, found)] = published(effects)
    assert isinstance(found, Probe)
    return found


def seen(stage: Stage, message: ProbeMessage) -> list[Effect]:
    return stage.tell(ProbeSeen(message.id, message))


def report(stage: Stage, process: str, *statuses: ProbeStatus, boot: str = BOOT) -> list[Effect]:
    told = ProbeReport(process=process, boot=boot, time=1.0, probes=statuses)
    return stage.tell(ProbesReported(Address.parse(process), told))


def listed(stage: Stage, viewer: str = "ada", **params: Any) -> list[tuple[str, str]]:
    infos = answer(stage.call(viewer, "probe.list", **params))["probes"]
    return [(each["probe"]["id"], each.get("state", "live")) for each in infos]


def totals(stage: Stage, probe: str, viewer: str = "ada") -> dict[str, int]:
    return dict(answer(stage.call(viewer, "probe.show", probe=probe))["info"]["totals"])


# making one


def test_a_probe_is_published_retained_with_who_made_it_where_it_may_be_and_until_when(stage: Stage) -> None:
    stage.join("eve", claims("eve", scopes=LOOKER, processes=("shop/*/*", "bank/*/*")))
    id, effects = add(stage, "eve", ttl=120, target=on("*/checkout/*"))
    probe = the_probe(effects)
    assert (probe.id, probe.creator, probe.within) == (id, "eve", ("shop/*/*", "bank/*/*"))
    assert (probe.created, probe.expires) == (stage.now, stage.now + 120)
    assert probe.chosen is None
    info = codec.decode(codec.encode(answer(effects)), rpc.ProbeInfo)
    assert (info.probe, info.totals) == (probe, rpc.ProbeTotals(processes=6, unheard=6))


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ({"place": None}, "invalid_params", "needs a place"),
        ({"kind": {"type": "timer", "until": 3}, "place": {"type": "function", "module": "m", "function": "f"}}, "invalid_params", "until"),
        ({"kind": {"type": "timer", "until": 33}}, "invalid_params", "another line"),
        ({"kind": {"type": "timer"}, "place": {"type": "function", "module": "m", "function": "f", "on": "exit"}}, "invalid_params", "entry"),
        ({"condition": "order.total > pay()"}, "invalid_expression", "condition: at 15"),
        ({"kind": {"type": "snapshot", "expressions": ["a", "b +"]}}, "invalid_expression", "kind.expressions[1]"),
        ({"kind": {"type": "watch", "expression": "lambda: 1"}}, "invalid_expression", "kind.expression"),
        ({"kind": {"type": "counter", "expression": "("}}, "invalid_expression", "kind.expression"),
        ({"kind": {"type": "log", "template": "n={n"}}, "invalid_expression", "kind.template: at 3"),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_part_that_is_wrong(
    stage: Stage, spec: dict[str, Any], code: str, words: str
) -> None:
    asked = {name: value for name, value in {**SNAPSHOT, **spec}.items() if value is not None}
    effects = stage.call("ada", "probe.add", probe=asked)
    assert error(effects) == ("invalid_argument", code)
    assert words in message(effects)
    assert published(effects) == []


def test_only_an_exception_probe_needs_no_place(stage: Stage) -> None:
    effects = stage.call("ada", "probe.add", probe={"kind": {"type": "exception", "types": ["KeyError"]}})
    assert the_probe(effects).spec.place is None


@pytest.mark.parametrize(
    "spec",
    [
        {"python": True, "condition": "pay()"},
        {"calls_user_code": True},
    ],
)
def test_what_runs_code_of_the_program_needs_execute(stage: Stage, spec: dict[str, Any]) -> None:
    effects = stage.call("ada", "probe.add", probe={**SNAPSHOT, **spec})
    assert error(effects) == ("permission_denied", "missing_scope")
    stage.join("eve", claims("eve", scopes=(*LOOKER, Scope.EXECUTE)))
    add(stage, "eve", **spec)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"condition": "pay("}, "condition: at 4, '(': this is no Python"),
        ({"condition": "a = 1"}, "condition: at 3, '='"),
        ({"condition": "(" * 2000}, "condition: at"),
        ({"condition": "await x"}, "condition: at 1, 'await x'"),
        ({"kind": {"type": "log", "template": "{a!x}"}}, "kind.template: at 1, '{a!x}'"),
        ({"kind": {"type": "log", "template": "{"}}, "kind.template: at 1, '{'"),
    ],
    ids=range(6),
)
def test_full_python_must_at_least_be_python(stage: Stage, spec: dict[str, Any], words: str) -> None:
    stage.join("eve", claims("eve"))
    effects = stage.call("eve", "probe.add", probe={**SNAPSHOT, **spec, "python": True})
    assert error(effects) == ("invalid_argument", "invalid_expression")
    assert words in message(effects)


def test_what_python_only_warns_of_is_no_refusal(stage: Stage) -> None:
    stage.join("eve", claims("eve"))
    add(stage, "eve", condition="n is 1 or name == '\\d'", python=True)


def test_a_log_text_of_full_python_is_what_an_f_string_takes(stage: Stage) -> None:
    stage.join("eve", claims("eve"))
    add(stage, "eve", kind={"type": "log", "template": "{pay(n)!r:>5} {{}} 'x'"}, python=True)


def test_a_target_outside_of_the_token_is_refused_and_one_that_reaches_beyond_is_held_to_it(
    stage: Stage,
) -> None:
    stage.join("eve", claims("eve", scopes=LOOKER, processes=("shop/cart/*",)))
    effects = stage.call("eve", "probe.add", probe={**SNAPSHOT, "target": on("shop/checkout/*")})
    assert error(effects) == ("permission_denied", "outside_selector")
    id, _ = add(stage, "eve", target=on("shop/*/*"))
    assert totals(stage, id, "eve") == {"processes": 1, "unheard": 1}
    assert totals(stage, id, "ada") == {"processes": 1, "unheard": 1}


def test_there_is_an_end_to_how_many_one_can_make_and_how_many_there_can_be(stage: Stage) -> None:
    viewer = id = ""
    for number in range(MOST_LIVE):
        viewer = f"viewer {number // MOST_OF_ONE}"
        if number % MOST_OF_ONE == 0:
            stage.join(viewer, claims(viewer))
        id, _ = add(stage, viewer)
        if number == MOST_OF_ONE - 1:
            assert error(stage.call(viewer, "probe.add", probe=SNAPSHOT)) == (
                "resource_exhausted",
                "too_many",
            )
    assert error(stage.call("ada", "probe.add", probe=SNAPSHOT)) == ("resource_exhausted", "too_many")
    stage.call(viewer, "probe.remove", probe=id)
    add(stage)


def test_nothing_can_be_added_while_there_is_no_bus(stage: Stage) -> None:
    stage.tell(BusDown())
    assert error(stage.call("ada", "probe.add", probe=SNAPSHOT)) == ("unavailable", "bus_lost")


# removing one


def test_a_removed_probe_says_so_on_the_bus_until_it_would_have_expired(stage: Stage) -> None:
    id, _ = add(stage, ttl=100)
    removing = stage.now
    effects = stage.call("ada", "probe.remove", probe=id)
    assert answer(effects) == {}
    assert published(effects) == [(id, ProbeRemoved(id=id, time=removing, expires=removing + 100, by="ada"))]
    assert published(stage.after(99)) == []
    assert published(stage.after(2)) == [(id, None)]


def test_who_may_remove_a_probe(stage: Stage) -> None:
    stage.join("root", claims("root"))
    stage.join("boss", claims("boss", scopes=(Scope.INSPECT, Scope.ADMIN), processes=("bank/*/*",)))
    stage.join("peer", claims("peer", scopes=LOOKER, processes=("shop/cart/*",)))
    stage.join("other", claims("other", scopes=LOOKER, processes=("bank/*/*",)))
    stage.join("reader", claims("reader", scopes=(Scope.OBSERVE,)))
    id, _ = add(stage, "root", python=True, target=on("shop/*/*"))
    assert error(stage.call("reader", "probe.remove", probe=id)) == ("permission_denied", "missing_scope")
    assert error(stage.call("other", "probe.remove", probe=id)) == ("not_found", "unknown_probe")
    assert error(stage.call("peer", "probe.remove", probe=id)) == ("permission_denied", "missing_scope")
    assert answer(stage.call("boss", "probe.remove", probe=id)) == {}
    id, _ = add(stage, "root")
    assert answer(stage.call("peer", "probe.remove", probe=id)) == {}
    id, _ = add(stage, "ada")
    stage.join("ada again", claims("ada", scopes=LOOKER, processes=("bank/*/*",)))
    assert answer(stage.call("ada again", "probe.remove", probe=id)) == {}


def test_to_remove_what_has_ended_is_done_and_what_never_was_is_unknown(stage: Stage) -> None:
    id, _ = add(stage)
    stage.call("ada", "probe.remove", probe=id)
    effects = stage.call("ada", "probe.remove", probe=id)
    assert (answer(effects), published(effects)) == ({}, [])
    assert error(stage.call("ada", "probe.remove", probe="nosuchaaaa")) == ("not_found", "unknown_probe")


def test_what_is_removed_without_a_bus_is_said_when_there_is_one(stage: Stage) -> None:
    id, _ = add(stage)
    stage.tell(BusDown())
    assert published(stage.call("ada", "probe.remove", probe=id)) == []
    stage.tell(BusUp())
    [(said, removed)] = published(stage.after(RESTORE_AFTER))
    assert (said, isinstance(removed, ProbeRemoved)) == (id, True)


def test_additions_removals_and_refusals_are_logged_with_who(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    id, _ = add(stage, target=on("shop/checkout/*"))
    stage.call("ada", "probe.remove", probe=id)
    stage.call("ada", "probe.add", probe={**SNAPSHOT, "condition": "("})
    for words in (
        ("ada", "token-of-ada", "adds", id, "snapshot shop/worker.py:33", "shop/checkout/*"),
        ("ada", "token-of-ada", "removes", id),
        ("refused ada", "token-of-ada", "probe.add", "invalid_expression"),
    ):
        assert any(all(word in each for word in words) for each in caplog.messages), words


# its end


def test_a_probe_expires_and_is_taken_off_the_bus(stage: Stage) -> None:
    id, _ = add(stage, ttl=100)
    assert published(stage.after(99)) == []
    assert published(stage.after(2)) == [(id, None)]
    assert listed(stage) == []
    assert listed(stage, ended=True) == [(id, "expired")]


def test_what_has_ended_is_remembered_for_an_hour_with_its_last_words(stage: Stage) -> None:
    id, _ = add(stage, target=on(CHECKOUT))
    report(stage, CHECKOUT, ProbeStatus(id=id, state="hit", hits=7))
    stage.call("ada", "probe.remove", probe=id)
    report(stage, CHECKOUT)
    assert listed(stage, ended=True) == [(id, "removed")]
    assert totals(stage, id) == {"processes": 1, "installed": 1, "hit": 1, "hits": 7}
    stage.after(KEEP_ENDED + 1)
    assert listed(stage, ended=True) == []


def test_of_what_has_ended_so_many_are_remembered(stage: Stage) -> None:
    for _ in range(203):
        id, _ = add(stage)
        stage.call("ada", "probe.remove", probe=id)
    assert len(listed(stage, ended=True)) == 200


# the bus and other brokers


def test_what_the_bus_forgot_is_published_again_and_what_it_has_is_not(stage: Stage) -> None:
    forgotten, _ = add(stage)
    kept, effects = add(stage)
    stage.tell(BusDown())
    stage.tell(BusUp())
    assert seen(stage, the_probe(effects)) == []
    assert [id for id, _ in published(stage.after(RESTORE_AFTER))] == [forgotten]
    assert [id for id, _ in listed(stage)] == [forgotten, kept]


def foreign(id: str = "foreignaaa", **more: Any) -> Probe:
    spec: Any = msgspec.convert(SNAPSHOT, rpc.AddProbe.__annotations__["probe"])
    fields: dict[str, Any] = {
        "creator": "bob",
        "created": 1000.0,
        "expires": 5000.0,
        "within": ("*/*/*",),
    } | more
    return Probe(id=id, spec=spec, **fields)


def test_a_probe_of_another_broker_is_taken_and_ends_as_its_own(stage: Stage) -> None:
    assert published(seen(stage, foreign())) == []
    assert listed(stage) == [("foreignaaa", "live")]
    seen(stage, ProbeRemoved(id="foreignaaa", time=1100.0, expires=5000.0))
    assert listed(stage, ended=True) == [("foreignaaa", "removed")]


def test_removed_is_for_good_whatever_another_broker_says(stage: Stage) -> None:
    id, effects = add(stage)
    stage.call("ada", "probe.remove", probe=id)
    [(_, again)] = published(seen(stage, the_probe(effects)))
    assert isinstance(again, ProbeRemoved)
    assert listed(stage) == []


def test_what_has_expired_while_nobody_was_there_is_taken_off_the_bus(stage: Stage) -> None:
    late = foreign(expires=stage.now - 1)
    assert published(seen(stage, late)) == [("foreignaaa", None)]
    gone = ProbeRemoved(id="foreignaab", time=1.0, expires=stage.now - 1)
    assert published(seen(stage, gone)) == [("foreignaab", None)]
    assert listed(stage, ended=True) == []


def test_a_probe_that_was_cleared_at_the_server_has_ended(stage: Stage) -> None:
    id, _ = add(stage)
    stage.tell(ProbeSeen(id, None))
    assert listed(stage, ended=True) == [(id, "removed")]


def test_what_was_kept_over_a_restart_is_there_again_and_published_when_the_bus_forgot_it(
    stage: Stage,
) -> None:
    id, effects = add(stage)
    other, _ = add(stage)
    stage.call("ada", "probe.remove", probe=other)
    kept = [each for each in stage.after(1) if isinstance(each, KeepProbes)][-1].messages
    again = Stage(bus_up=False)
    again.tell(ProbesRestored((*kept, foreign(expires=999.0))))
    again.tell(BusUp())
    messages = dict(published(again.after(RESTORE_AFTER)))
    assert messages.keys() == {id, other}
    assert messages[id] == the_probe(effects)
    again.join("ada")
    assert listed(again) == [(id, "live")]


def test_what_is_kept_is_kept_at_once_and_then_now_and_then(stage: Stage) -> None:
    def kept(effects: list[Effect]) -> list[int]:
        return [len(each.messages) for each in effects if isinstance(each, KeepProbes)]

    assert kept(add(stage)[1]) == [1]
    assert kept(add(stage)[1]) == []
    assert kept(add(stage)[1]) == []
    assert kept(stage.after(1)) == [3]
    assert kept(stage.after(10)) == []


# canaries


def canaries(stage: Stage, probe: str) -> set[str]:
    shown = answer(stage.call("ada", "probe.show", probe=probe))
    return set(shown["info"]["probe"]["chosen"])


def test_canaries_are_chosen_among_those_that_the_probe_means(stage: Stage) -> None:
    _, effects = add(stage, target=on("shop/checkout/*", labels={"zone": "b"}, canaries=2))
    chosen = the_probe(effects).chosen
    assert chosen is not None
    assert len(chosen) == 2
    assert set(chosen) <= set(PODS[3:])


def test_all_brokers_choose_alike_whatever_the_order_in_which_processes_came() -> None:
    choices = []
    for pods in (PODS, PODS[::-1]):
        stage = Stage()
        for pod in pods:
            stage.presence(presence(pod))
        stage.join("ada")
        choices.append(the_probe(add(stage, target=on("*/*/*", canaries=3))[1]).chosen)
    assert choices[0] == choices[1]


def test_a_canary_that_goes_is_replaced_and_the_others_stay(stage: Stage) -> None:
    id, effects = add(stage, target=on("shop/checkout/*", canaries=3))
    before = the_probe(effects)
    assert before.chosen is not None
    gone, *stay = before.chosen
    stage.presence(presence(gone, state="ended"))
    after = the_probe(stage.after(1))
    assert after.chosen is not None
    assert (after.revision, len(after.chosen)) == (2, 3)
    assert set(stay) < set(after.chosen)
    assert gone not in after.chosen
    stage.presence(presence(gone))
    assert published(stage.after(1)) == []
    assert canaries(stage, id) == set(after.chosen)


def test_those_that_come_later_are_chosen_while_there_are_too_few(stage: Stage) -> None:
    id, _ = add(stage, target=on("shop/mail/*", canaries=2))
    assert canaries(stage, id) == set()
    for number in range(4):
        stage.presence(presence(f"shop/mail/pod-{number}"))
    assert len(the_probe(stage.after(1)).chosen or ()) == 2
    assert totals(stage, id) == {"processes": 2, "unheard": 2}


def test_after_a_restart_canaries_are_waited_for_and_then_replaced() -> None:
    stage = Stage(bus_up=False)
    target = {"selector": "*/*/*", "canaries": 2}
    spec: Any = msgspec.convert({**SNAPSHOT, "target": target}, rpc.AddProbe.__annotations__["probe"])
    probe = msgspec.structs.replace(foreign(chosen=(PODS[0], PODS[1]), revision=4), spec=spec)
    stage.tell(ProbesRestored((probe,)))
    stage.tell(BusUp())
    seen(stage, probe)
    for pod in PODS[1:]:
        stage.presence(presence(pod))
    assert published(stage.after(GRACE - 1)) == []
    chosen = the_probe(stage.after(2)).chosen
    assert chosen is not None
    assert PODS[0] not in chosen
    assert PODS[1] in chosen


def test_the_higher_revision_wins_and_of_equal_ones_the_last(stage: Stage) -> None:
    id, effects = add(stage, target=on("shop/checkout/*", canaries=1))
    mine = the_probe(effects)
    others = [pod for pod in PODS if pod not in (mine.chosen or ())]
    theirs = msgspec.structs.replace(mine, chosen=(others[0],))
    assert published(seen(stage, theirs)) == []
    assert canaries(stage, id) == {others[0]}
    later = msgspec.structs.replace(mine, chosen=(others[1],), revision=3)
    seen(stage, later)
    assert published(seen(stage, theirs)) == [(id, later)]


# totals and what viewers see


def test_totals_are_of_the_processes_that_the_probe_means_and_that_the_viewer_sees(stage: Stage) -> None:
    id, _ = add(stage, target=on("shop/checkout/*"))
    states: tuple[ProbeState, ...] = ("pending", "active", "hit", "throttled", "suspended")
    for pod, state, hits in zip(PODS, states, (0, 0, 3, 40, 500), strict=False):
        report(
            stage,
            pod,
            ProbeStatus(id=id, state=state, hits=hits),
            ProbeStatus(id="anotheraaa", state="error"),
        )
    report(stage, CART, ProbeStatus(id=id, state="hit", hits=1000))
    assert totals(stage, id) == {
        "processes": 6,
        "installed": 4,
        "pending": 1,
        "hit": 1,
        "throttled": 1,
        "suspended": 1,
        "unheard": 1,
        "hits": 543,
    }
    stage.join("eve", claims("eve", processes=("shop/checkout/pod-3",)))
    assert totals(stage, id, "eve") == {"processes": 1, "installed": 1, "hit": 1, "hits": 3}
    report(stage, PODS[5], ProbeStatus(id=id, state="error", message="no such file"))
    stage.presence(presence(PODS[0], state="lost"))
    report(stage, PODS[1], ProbeStatus(id=id, state="expired"))
    stage.tell(PresenceCleared(Address.parse(PODS[2])))
    assert totals(stage, id) == {
        "processes": 4,
        "installed": 2,
        "throttled": 1,
        "suspended": 1,
        "expired": 1,
        "error": 1,
        "hits": 540,
    }


def test_the_report_of_an_earlier_boot_says_nothing_of_this_one(stage: Stage) -> None:
    id, _ = add(stage, target=on(CHECKOUT))
    report(stage, CHECKOUT, ProbeStatus(id=id, state="active"), boot=OTHER_BOOT)
    assert totals(stage, id) == {"processes": 1, "unheard": 1}
    stage.presence(presence(CHECKOUT, boot=OTHER_BOOT))
    assert totals(stage, id) == {"processes": 1, "installed": 1}


def test_a_probe_is_shown_process_by_process(stage: Stage) -> None:
    id, _ = add(stage, target=on("shop/checkout/*", labels={"zone": "b"}))
    report(stage, PODS[3], ProbeStatus(id=id, state="error", message="two files match"))
    detail = codec.decode(codec.encode(answer(stage.call("ada", "probe.show", probe=id))), rpc.ProbeDetail)
    assert [(each.process, each.status and each.status.message) for each in detail.processes] == [
        (PODS[3], "two files match"),
        (PODS[4], None),
        (PODS[5], None),
    ]


def test_names_of_processes_outside_of_the_token_are_not_shown(stage: Stage) -> None:
    id, _ = add(stage, target=on("shop/*/*", canaries=7))
    stage.join("eve", claims("eve", processes=("shop/cart/*",)))
    detail = answer(stage.call("eve", "probe.show", probe=id))
    assert detail["info"]["probe"]["chosen"] == [CART]
    assert [each["process"] for each in detail["processes"]] == [CART]


def test_who_may_not_look_into_processes_is_shown_no_values(stage: Stage) -> None:
    id, _ = add(stage, target=on(CHECKOUT))
    raw = {"id": id, "state": "hit", "hits": 2, "failure": "no", "measured": {"count": 2, "last": 4.5}}
    report(stage, CHECKOUT, msgspec.convert(raw, ProbeStatus))
    stage.join("eve", claims("eve", scopes=(Scope.OBSERVE,)))
    [process] = answer(stage.call("eve", "probe.show", probe=id))["processes"]
    assert process["status"] == {"id": id, "state": "hit", "hits": 2}
    [process] = answer(stage.call("ada", "probe.show", probe=id))["processes"]
    assert process["status"] == raw


def test_lists_what_concerns_the_token_and_the_selector(stage: Stage) -> None:
    cart, _ = add(stage, target=on("shop/cart/*"))
    everywhere, _ = add(stage)
    stage.join("eve", claims("eve", processes=("shop/checkout/*",)))
    stage.join("mallory", claims("mallory", processes=()))
    assert listed(stage) == [(cart, "live"), (everywhere, "live")]
    assert listed(stage, selector="shop/checkout/*") == [(everywhere, "live")]
    assert listed(stage, "eve") == [(everywhere, "live")]
    assert listed(stage, "mallory") == []
    assert error(stage.call("eve", "probe.show", probe=cart)) == ("not_found", "unknown_probe")


# who is told


def told(effects: list[Effect], viewer: str) -> list[tuple[str, str, int]]:
    """Probe, state, hits."""
    return [
        (each["probe"]["id"], each.get("state", "live"), each["totals"].get("hits", 0))
        for each in delivered(effects, viewer, "probes")
    ]


def test_who_subscribes_is_told_of_all_live_ones_at_once_and_then_of_each_change(stage: Stage) -> None:
    first, _ = add(stage, target=on("shop/checkout/*"))
    stage.after(1)
    effects = stage.call("ada", "subscribe", topics=["probes"])
    _, snapshot = sent(effects, "ada")
    assert [each["probe"]["id"] for each in snapshot["params"]["probes"]] == [first]
    assert codec.decode(codec.encode(snapshot["params"]), rpc.ProbeItems).probes[0].totals.processes == 6
    second, effects = add(stage)
    assert told(effects + stage.after(1), "ada") == [(second, "live", 0)]
    effects = stage.call("ada", "probe.remove", probe=second)
    assert told(effects + stage.after(1), "ada") == [(second, "removed", 0)]


def test_changes_of_one_probe_are_told_at_once_and_then_together(stage: Stage) -> None:
    id, _ = add(stage, target=on(CHECKOUT))
    stage.call("ada", "subscribe", topics=["probes"])
    stage.after(5)
    assert told(report(stage, CHECKOUT, ProbeStatus(id=id, state="hit", hits=1)), "ada") == [(id, "live", 1)]
    for hits in range(2, 9):
        stage.after(0.03)
        assert told(report(stage, CHECKOUT, ProbeStatus(id=id, state="hit", hits=hits)), "ada") == []
    assert told(stage.after(0.25), "ada") == [(id, "live", 8)]
    assert told(stage.after(5), "ada") == []
    assert told(report(stage, CHECKOUT, ProbeStatus(id=id, state="hit", hits=8)), "ada") == []


def test_each_is_told_only_what_its_token_and_selector_let_it_see(stage: Stage) -> None:
    stage.join("eve", claims("eve", processes=("shop/cart/*",)))
    stage.join("bob", claims("bob"))
    for viewer, selector in (("ada", "*/*/*"), ("eve", "*/*/*"), ("bob", "shop/cart/*")):
        stage.call(viewer, "subscribe", topics=["probes"], selector=selector)
    checkout, effects = add(stage, target=on("shop/checkout/*"))
    effects += stage.after(1)
    assert [told(effects, each) for each in ("ada", "eve", "bob")] == [[(checkout, "live", 0)], [], []]
    everywhere, _ = add(stage)
    stage.after(1)
    effects = report(stage, CART, ProbeStatus(id=everywhere, state="hit", hits=2))
    effects += report(stage, CHECKOUT, ProbeStatus(id=everywhere, state="hit", hits=5))
    effects += stage.after(1)
    assert told(effects, "ada")[-1] == (everywhere, "live", 7)
    assert told(effects, "eve")[-1] == (everywhere, "live", 2)


def test_processes_that_come_and_go_are_news_of_the_probes_that_mean_them(stage: Stage) -> None:
    add(stage, target=on("shop/checkout/*"))
    stage.call("ada", "subscribe", topics=["probes"])
    stage.after(1)
    effects = stage.presence(presence("shop/checkout/pod-9"))
    [info] = delivered(effects, "ada", "probes")
    assert info["totals"]["processes"] == 7
    assert delivered(stage.presence(presence("shop/cart/pod-9")), "ada", "probes") == []
