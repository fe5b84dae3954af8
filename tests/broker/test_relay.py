"""The core: who is told what."""

import msgspec
import pytest

from sonde_broker.relay_io import BusDown, BusUp, Deliver, Effect, PresenceCleared, Publish, ViewerLeft
from sonde_broker.subscriptions import WINDOW
from sonde_wire import Address, Scope, codec, rpc
from tests.broker.messages import (
    BOOT,
    CART,
    CHECKOUT,
    OTHER_BOOT,
    batch,
    metrics,
    presence,
    started,
)
from tests.broker.stage import Stage, answer, closed, delivered, error, message, sent
from tests.broker.tokens import claims, token


@pytest.fixture
def stage() -> Stage:
    return Stage()


# process.list and presence


def test_lists_the_processes_that_the_token_and_the_selector_match(stage: Stage) -> None:
    stage.join("ada", claims(processes=("shop/*/*",)))
    for process in (CHECKOUT, CART, "bank/vault/pod-1"):
        stage.presence(presence(process))
    listed = answer(stage.call("ada", "process.list"))
    assert [each["process"] for each in listed["processes"]] == [CHECKOUT, CART]
    listed = answer(stage.call("ada", "process.list", selector="*/cart/*"))
    assert codec.decode(codec.encode(listed), rpc.ProcessList).processes == (presence(CART),)


def test_who_asks_for_presence_gets_the_present_state_at_once_and_then_each_change(stage: Stage) -> None:
    stage.presence(presence())
    stage.join("ada")
    effects = stage.call("ada", "subscribe", topics=["presence"])
    subscribed, snapshot = sent(effects, "ada")
    assert subscribed["result"] == {"subscription": 1}
    assert [each["process"] for each in snapshot["params"]["presence"]] == [CHECKOUT]
    effects = stage.presence(presence(state="ended"))
    assert [each["state"] for each in delivered(effects, "ada", "presence")] == ["ended"]


def test_the_same_presence_again_is_no_news(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["presence"])
    assert stage.presence(presence())
    assert stage.presence(presence()) == []


def test_presence_that_was_cleared_is_forgotten(stage: Stage) -> None:
    stage.presence(presence())
    stage.tell(PresenceCleared(Address.parse(CHECKOUT)))
    stage.join("ada")
    assert answer(stage.call("ada", "process.list")) == {"processes": []}


def test_an_ended_process_is_kept_for_an_hour_and_then_taken_off_the_bus(stage: Stage) -> None:
    stage.presence(presence(state="ended"))
    stage.join("ada")
    stage.after(3500)
    assert len(answer(stage.call("ada", "process.list"))["processes"]) == 1
    effects = stage.after(200)
    assert [effect for effect in effects if isinstance(effect, Publish)] == [
        Publish(f"sonde/v1/process/b/{CHECKOUT}/presence", b"", retain=True)
    ]
    assert answer(stage.call("ada", "process.list")) == {"processes": []}


def test_the_late_will_of_an_earlier_boot_does_not_take_its_successor_away(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["presence"])
    successor = presence(boot=OTHER_BOOT, started=1005.0)
    stage.presence(presence(started=999.0))
    stage.presence(successor)
    assert stage.presence(presence(state="lost", started=999.0)) == [
        Publish(f"sonde/v1/process/b/{CHECKOUT}/presence", codec.encode(successor), retain=True)
    ]
    [listed] = answer(stage.call("ada", "process.list"))["processes"]
    assert (listed["boot"], listed["state"]) == (OTHER_BOOT, "online")
    effects = stage.presence(presence(state="ended", boot=OTHER_BOOT, started=1005.0)) + stage.after(WINDOW)
    assert [each["state"] for each in delivered(effects, "ada", "presence")] == ["ended"]


# events and metrics


def gaps(effects: list[Effect]) -> list[tuple[int, int]]:
    return [
        (gap["first"], gap["last"])
        for effect in effects
        if isinstance(effect, Deliver)
        for frame in effect.frames
        if frame.topic == "gap"
        for gap in [msgspec.json.decode(frame.payload)["params"]]
    ]


def test_a_hole_in_what_the_bus_brings_is_told_as_a_gap(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["events"])
    assert gaps(stage.events(batch(started(40)))) == []  # what was before is history
    effects = stage.events(batch(started(44))) + stage.after(WINDOW)
    assert gaps(effects) == [(41, 43)]
    assert [each["seq"] for each in delivered(effects, "ada", "events")] == [44]
    assert (
        gaps(stage.events(batch(started(44))) + stage.after(WINDOW)) == []
    )  # sent again after a reconnection
    assert gaps(stage.events(batch(started(45))) + stage.after(WINDOW)) == []


def test_a_process_that_starts_again_counts_anew_and_that_is_no_gap(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["events"])
    effects = stage.events(batch(started(7)))
    effects += stage.events(batch(started(1, boot=OTHER_BOOT))) + stage.after(WINDOW)
    effects += stage.events(batch(started(2, boot=OTHER_BOOT))) + stage.after(WINDOW)
    assert gaps(effects) == []


def test_events_go_only_to_viewers_whose_selector_matches(stage: Stage) -> None:
    stage.join("ada")
    stage.join("bob")
    stage.call("ada", "subscribe", topics=["events"], selector="*/checkout/*")
    stage.call("bob", "subscribe", topics=["events"], selector="*/cart/*")
    effects = stage.events(batch(started(1)))
    assert [each["seq"] for each in delivered(effects, "ada", "events")] == [1]
    assert delivered(effects, "bob", "events") == []


def test_events_go_only_to_viewers_whose_token_allows_the_process(stage: Stage) -> None:
    stage.join("ada", claims(processes=("shop/cart/*",)))
    stage.call("ada", "subscribe", topics=["events"], selector="*/*/*")
    assert stage.events(batch(started(1))) == []
    assert delivered(stage.events(batch(started(1, CART))), "ada", "events")


def test_a_viewer_that_did_not_ask_is_told_nothing(stage: Stage) -> None:
    stage.join("ada")
    assert stage.events(batch(started(1))) == []
    assert stage.metrics(metrics()) == []


def test_viewers_with_the_same_subscriptions_share_one_built_notification(stage: Stage) -> None:
    for viewer in ("ada", "bob"):
        stage.join(viewer)
        stage.call(viewer, "subscribe", topics=["events"])
    [effect] = stage.events(batch(started(1), started(2)))
    assert isinstance(effect, Deliver)
    assert effect.viewers == ("ada", "bob")
    notification = codec.decode(effect.frames[0].payload, rpc.Notification)
    items = codec.decode(notification.params, rpc.EventItems)
    assert items.events == tuple(msgspec.Raw(codec.encode(started(seq))) for seq in (1, 2))


def test_overlapping_subscriptions_deliver_once(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["events"])
    stage.call("ada", "subscribe", topics=["events"], selector="shop/*/*")
    assert len(delivered(stage.events(batch(started(1))), "ada", "events")) == 1


def test_the_first_event_leaves_at_once_and_those_after_it_when_the_window_ends(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["events"])
    assert delivered(stage.events(batch(started(1))), "ada", "events")
    assert stage.events(batch(started(2))) == []
    assert stage.events(batch(started(3))) == []
    [effect] = stage.after(WINDOW)
    assert isinstance(effect, Deliver)
    assert [each["seq"] for each in delivered([effect], "ada", "events")] == [2, 3]
    [span] = effect.frames[0].spans
    assert (span.process, span.boot, span.first, span.last) == (CHECKOUT, BOOT, 2, 3)


def test_of_metrics_in_one_window_the_newest_of_each_process_is_delivered(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["metrics"])
    stage.metrics(metrics(threads=1))
    stage.metrics(metrics(threads=2))
    stage.metrics(metrics(threads=3))
    stage.metrics(metrics(CART, threads=9))
    assert [each["threads"] for each in delivered(stage.after(WINDOW), "ada", "metrics")] == [3, 9]


def test_a_flood_does_not_wait_for_the_window(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["events"])
    stage.events(batch(started(1)))
    flood = [started(seq) for seq in range(2, 4000)]
    assert len(delivered(stage.events(batch(*flood)), "ada", "events")) == len(flood)


def test_after_unsubscribing_nothing_more_comes_but_what_was_collected_does(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["events"])
    stage.events(batch(started(1)))
    stage.events(batch(started(2)))
    effects = stage.call("ada", "unsubscribe", subscription=1)
    assert [each["seq"] for each in delivered(effects, "ada", "events")] == [2]
    assert stage.events(batch(started(3))) == []
    assert error(stage.call("ada", "unsubscribe", subscription=1)) == ("not_found", "unknown_subscription")


def test_who_joins_a_group_in_mid_window_gets_nothing_from_before(stage: Stage) -> None:
    for viewer in ("ada", "bob"):
        stage.join(viewer)
    stage.call("ada", "subscribe", topics=["events"])
    stage.events(batch(started(1)))
    stage.events(batch(started(2)))
    effects = stage.call("bob", "subscribe", topics=["events"])
    effects += stage.events(batch(started(3)))
    effects += stage.after(WINDOW)
    assert [each["seq"] for each in delivered(effects, "ada", "events")] == [2, 3]
    assert [each["seq"] for each in delivered(effects, "bob", "events")] == [3]


def test_subscriptions_are_bounded(stage: Stage) -> None:
    stage.join("ada")
    for _ in range(32):
        answer(stage.call("ada", "subscribe", topics=["events"]))
    assert error(stage.call("ada", "subscribe", topics=["events"])) == ("resource_exhausted", "too_many")


# who somebody is


def test_whoami_says_what_the_token_gives(stage: Stage) -> None:
    stage.join("ada", claims("ada", scopes=(Scope.OBSERVE,), processes=("shop/*/*",)))
    welcome = codec.decode(codec.encode(answer(stage.call("ada", "whoami"))), rpc.Welcome)
    assert (welcome.subject, welcome.scopes, welcome.selectors) == ("ada", ("observe",), ("shop/*/*",))
    assert (welcome.broker, welcome.bus) == ("b1", "up")


def test_a_viewer_is_closed_when_its_token_ends(stage: Stage) -> None:
    stage.join("ada", claims(expires=1060))
    assert closed(stage.after(59.9)) == []
    assert closed(stage.after(0.2)) == [("ada", rpc.CLOSE_UNAUTHENTICATED)]
    assert stage.call("ada", "whoami") == []
    assert stage.tell(ViewerLeft("ada")) == []


def test_a_renewed_token_goes_on(stage: Stage) -> None:
    stage.join("ada", claims("ada", expires=1060))
    welcome = answer(stage.call("ada", "token.renew", token=token("ada", now=1000, life=300)))
    assert welcome["expires"] == 1300
    assert closed(stage.after(200)) == []
    assert closed(stage.after(101)) == [("ada", rpc.CLOSE_UNAUTHENTICATED)]


def test_a_token_of_somebody_else_does_not_renew(stage: Stage) -> None:
    stage.join("ada", claims("ada", expires=1060))
    effects = stage.call("ada", "token.renew", token=token("bob", now=1000))
    assert error(effects) == ("permission_denied", "bad_token")
    assert closed(stage.after(61)) == [("ada", rpc.CLOSE_UNAUTHENTICATED)]


def test_a_bad_token_does_not_renew_and_is_not_repeated(stage: Stage) -> None:
    stage.join("ada", claims("ada"))
    bad = token("ada", now=1000, audience="other")
    effects = stage.call("ada", "token.renew", token=bad)
    assert error(effects) == ("unauthenticated", "bad_token")
    assert bad not in message(effects)
    effects = stage.call("ada", "token.renew", token=token("ada", now=0, life=60))
    assert error(effects) == ("unauthenticated", "token_expired")


def test_renewing_with_less_takes_away_what_is_no_longer_allowed(stage: Stage) -> None:
    stage.join("ada", claims("ada"))
    stage.call("ada", "subscribe", topics=["events"])
    narrower = token("ada", now=1000, processes=("*/cart/*",))
    answer(stage.call("ada", "token.renew", token=narrower))
    assert stage.events(batch(started(1))) == []
    assert delivered(stage.events(batch(started(1, CART))), "ada", "events")
    blind = token("ada", now=1000, scopes=(Scope.INSPECT,))
    answer(stage.call("ada", "token.renew", token=blind))
    assert stage.after(1) == []
    assert stage.events(batch(started(2, CART))) == []


# the bus


def test_everybody_is_told_when_the_bus_is_lost_and_when_it_is_back(stage: Stage) -> None:
    stage.join("ada")
    assert sent(stage.tell(BusDown()), "ada") == [
        {"jsonrpc": "2.0", "method": "bus", "params": {"bus": "down"}}
    ]
    assert stage.tell(BusDown()) == []
    assert sent(stage.tell(BusUp()), "ada") == [{"jsonrpc": "2.0", "method": "bus", "params": {"bus": "up"}}]


def test_a_process_that_does_not_come_back_with_the_bus_is_lost(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["presence"])
    stage.presence(presence())
    stage.presence(presence(CART))
    stage.after(1)
    stage.tell(BusDown())
    stage.tell(BusUp())
    stage.presence(presence(CART))
    effects = stage.after(30)
    told = delivered(effects, "ada", "presence")
    assert [(each["process"], each["state"]) for each in told] == [(CHECKOUT, "lost")]
    states = {
        each["process"]: each["state"] for each in answer(stage.call("ada", "process.list"))["processes"]
    }
    assert states == {CHECKOUT: "lost", CART: "online"}


def test_a_second_loss_of_the_bus_starts_the_grace_anew(stage: Stage) -> None:
    stage.presence(presence())
    stage.tell(BusDown())
    stage.tell(BusUp())
    stage.after(20)
    stage.tell(BusDown())
    stage.tell(BusUp())
    stage.after(20)
    stage.join("ada")
    [listed] = answer(stage.call("ada", "process.list"))["processes"]
    assert listed["state"] == "online"


def test_what_was_told_before_is_cut_off_a_batch_that_is_sent_again_with_more(stage: Stage) -> None:
    stage.join("ada")
    stage.call("ada", "subscribe", topics=["events"])
    stage.events(batch(started(1), started(2)))
    effects = stage.after(WINDOW)
    effects += stage.events(batch(started(1), started(2), started(3)))
    effects += stage.after(WINDOW)
    assert [each["seq"] for each in delivered(effects, "ada", "events")] == [3]
