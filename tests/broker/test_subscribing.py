"""From `subscribe` to its answer: what the bus, the history and the process's ring have to say first."""

from typing import Any

import msgspec
import pytest

from sonde_broker.catching_up import MOST_BYTES
from sonde_broker.queries import Answer, BootsFound, FindBoots, RangeRead, ReadRange, StoredBoot, StoredEvent
from sonde_broker.relay_io import (
    AskStore,
    BusDown,
    Effect,
    Keep,
    Listen,
    Listening,
    Send,
    StoreAnswered,
    StoreChanged,
    ViewerLeft,
)
from sonde_broker.subscribing import COMING_BACK, PATIENCE
from sonde_wire import Code, Failure, Reason, bus, codec
from tests.broker.messages import BOOT, CART, CHECKOUT, OTHER_BOOT, batch, presence, started
from tests.broker.stage import Stage, commands, delivered, error
from tests.broker.test_results import OBSERVER, logged
from tests.broker.tokens import claims

FAILED = Failure(code=Code.INTERNAL, reason=Reason.HISTORY_FAILED, message="it failed")


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    for process in (CHECKOUT, CART):
        stage.presence(presence(process))
    stage.join("ada")
    return stage


def printed(seq: int) -> bus.Event:
    said = msgspec.Raw(b'{"type":"event","event":"output","seq":0,"body":{"output":"x"}}')
    return bus.Output(process=CHECKOUT, boot=BOOT, seq=seq, time=1000.0, message=said)


def resume(stage: Stage, seq: int, boot: str = BOOT, viewer: str = "ada", **more: Any) -> list[Effect]:
    cursor = {"process": CHECKOUT, "boot": boot, "seq": seq}
    return stage.call(viewer, "subscribe", topics=["events"], cursors=[cursor], **more)


def told(effects: list[Effect], viewer: str = "ada") -> list[Any]:
    """Numbers of events and gaps, in the order in which they come; `answered` is the answer to the call."""
    found: list[Any] = []
    for each in effects:
        if not isinstance(each, Send) or each.viewer != viewer:
            continue
        message = msgspec.json.decode(each.payload)
        match message.get("method"):
            case "events":
                found += [event["seq"] for event in message["params"]["events"]]
            case "gap":
                gap = message["params"]
                found.append((gap["first"], gap["last"], gap.get("reason", "bus")))
            case None:
                found.append("answered" if "result" in message else message["error"]["data"]["reason"])
    return found


def asked(effects: list[Effect]) -> list[AskStore]:
    return [each for each in effects if isinstance(each, AskStore)]


def with_history(stage: Stage) -> None:
    stage.tell(StoreChanged("up", "store"))
    stage.after(2)


def stored(*seqs: int, kind: str = "process_started", boot: str = BOOT) -> tuple[StoredEvent, ...]:
    return tuple(StoredEvent(seq, kind, codec.encode(started(seq, boot=boot))) for seq in seqs)


def read(stage: Stage, effects: list[Effect], answered: Answer | Failure) -> list[Effect]:
    [question] = asked(effects)
    return stage.tell(StoreAnswered(question.number, answered))


def ring(stage: Stage, effects: list[Effect], *seqs: int, last: int, boot: str = BOOT) -> list[Effect]:
    """The process's sidecar answers."""
    [command] = commands(effects)
    assert isinstance(command.operation, bus.ReadEvents)
    events = tuple(codec.raw(started(seq, boot=boot)) for seq in seqs)
    return stage.reply(command.id, bus.EventsRead(boot=boot, oldest=1, last=last, events=events), boot=boot)


# the bus


def test_the_answer_comes_when_the_bus_has_confirmed(stage: Stage) -> None:
    stage.confirms = False
    effects = stage.call("ada", "subscribe", topics=["events"])
    [listen] = [each for each in effects if isinstance(each, Listen)]
    assert told(effects) == []
    assert told(stage.tell(Listening(listen.filters))) == ["answered"]


def test_one_that_the_bus_confirms_too_late_is_answered_all_the_same(stage: Stage) -> None:
    stage.confirms = False
    assert told(stage.call("ada", "subscribe", topics=["metrics"])) == []
    assert told(stage.after(PATIENCE + 0.1)) == ["answered"]


def test_without_a_bus_nothing_is_waited_for(stage: Stage) -> None:
    stage.tell(BusDown())
    assert told(stage.call("ada", "subscribe", topics=["events"])) == ["answered"]


def test_presence_needs_no_subscription_on_the_bus(stage: Stage) -> None:
    stage.confirms = False
    effects = stage.call("ada", "subscribe", topics=["presence", "probes"])
    assert not [each for each in effects if isinstance(each, Listen)]
    assert told(effects)[0] == "answered"


def test_who_left_meanwhile_is_told_nothing(stage: Stage) -> None:
    stage.confirms = False
    stage.call("ada", "subscribe", topics=["events"])
    stage.tell(ViewerLeft("ada"))
    assert told(stage.after(PATIENCE + 1)) == []


def test_only_what_the_token_allows_is_subscribed(stage: Stage) -> None:
    stage.join("eve", claims("eve", processes=("shop/cart/*",)))
    effects = stage.call("eve", "subscribe", topics=["events"])
    [listen] = [each for each in effects if isinstance(each, Listen)]
    assert listen.filters == ("sonde/v1/process/+/shop/cart/+/events",)


# what was missed


def test_what_memory_has_is_told_before_the_answer_and_what_comes_follows_it(stage: Stage) -> None:
    stage.call("ada", "subscribe", topics=["events"])
    stage.events(batch(*(started(seq) for seq in range(1, 6))))
    stage.join("bob")
    assert told(resume(stage, 2, viewer="bob"), "bob") == [3, 4, 5, "answered"]
    stage.after(1)
    effects = stage.events(batch(started(6)))
    assert [each["seq"] for each in delivered(effects, "bob", "events")] == [6]


def test_who_has_everything_is_told_nothing_again(stage: Stage) -> None:
    stage.call("ada", "subscribe", topics=["events"])
    stage.events(batch(started(1), started(2)))
    stage.join("bob")
    assert told(resume(stage, 2, viewer="bob"), "bob") == ["answered"]


def test_without_memory_and_history_the_process_is_asked(stage: Stage) -> None:
    effects = resume(stage, 3)
    assert told(effects) == []
    assert told(ring(stage, effects, 4, 5, last=5)) == [4, 5, "answered"]


def test_an_answer_of_the_process_that_is_full_is_followed_by_another(stage: Stage) -> None:
    effects = ring(stage, resume(stage, 3), 4, 5, last=7)
    assert told(effects) == []
    assert told(ring(stage, effects, 6, 7, last=7)) == [4, 5, 6, 7, "answered"]


def test_what_comes_while_it_is_asked_is_told_too_and_once(stage: Stage) -> None:
    effects = resume(stage, 3)
    stage.events(batch(started(5), started(6)))
    assert told(ring(stage, effects, 4, 5, last=5)) == [4, 5, 6, "answered"]


def test_what_the_process_let_go_is_lost_and_said_to_be(stage: Stage) -> None:
    effects = ring(stage, resume(stage, 3), 7, 8, last=8)
    assert told(effects) == [(4, 6, "lost"), 7, 8, "answered"]


def test_a_process_that_does_not_answer_is_not_waited_for_for_ever(stage: Stage) -> None:
    stage.call("ada", "subscribe", topics=["events"])
    stage.events(batch(started(9)))
    stage.join("bob")
    effects = resume(stage, 3, viewer="bob")
    assert told(effects, "bob") == []
    assert told(stage.after(10), "bob") == [(4, 8, "lost"), 9, "answered"]


def test_the_history_is_asked_first_and_the_process_for_the_rest(stage: Stage) -> None:
    with_history(stage)
    effects = resume(stage, 3)
    [question] = asked(effects)
    assert isinstance(question.query, ReadRange)
    assert (question.query.first, question.query.boot) == (4, BOOT)
    effects = read(stage, effects, RangeRead(stored(4, 6), 2**53))
    [command] = commands(effects)
    assert isinstance(command.operation, bus.ReadEvents)
    assert command.operation.after == 4
    assert told(ring(stage, effects, 5, 6, 7, last=7)) == [4, 5, 6, 7, "answered"]


def test_a_history_that_fails_is_no_reason_to_miss_what_the_process_has(stage: Stage) -> None:
    with_history(stage)
    effects = read(stage, resume(stage, 3), FAILED)
    assert told(ring(stage, effects, 4, last=4)) == [4, "answered"]


def test_a_history_that_does_not_answer_is_given_up(stage: Stage) -> None:
    with_history(stage)
    assert told(resume(stage, 3)) == []
    effects = stage.after(13)
    assert told([*effects, *ring(stage, effects, 4, last=4)]) == [4, "answered"]


def test_more_than_is_told_again_is_a_gap(stage: Stage) -> None:
    with_history(stage)
    stage.events(batch(started(90)))
    effects = resume(stage, 3)
    [question] = asked(effects)
    assert isinstance(question.query, ReadRange)
    assert (question.query.last, question.query.most_bytes) == (89, MOST_BYTES)
    assert told(read(stage, effects, RangeRead(stored(4, 5), 5))) == [
        4,
        5,
        (6, 89, "too_many"),
        90,
        "answered",
    ]


def test_a_process_that_began_anew_is_told_from_the_end_of_its_earlier_boots_on(stage: Stage) -> None:
    with_history(stage)
    third = "0" * 31 + "3"
    stage.presence(presence(boot=third, started=2000.0))
    effects = resume(stage, 8)
    [question] = asked(effects)
    assert isinstance(question.query, FindBoots)
    effects = read(stage, effects, BootsFound(9, (StoredBoot(OTHER_BOOT, 2), StoredBoot(third, 1))))
    effects = read(stage, effects, RangeRead(stored(9), 9))
    effects = read(stage, effects, RangeRead(stored(1, 2, boot=OTHER_BOOT), 2))
    effects = read(stage, effects, RangeRead(stored(1, boot=third), 2**53))
    assert told(ring(stage, effects, 2, last=2, boot=third)) == [9, 1, 2, 1, 2, "answered"]


def test_a_process_that_has_ended_is_told_from_the_history_alone(stage: Stage) -> None:
    with_history(stage)
    stage.presence(presence(state="ended"))
    effects = read(stage, resume(stage, 3), RangeRead(stored(4, 5), 2**53))
    assert commands(effects) == []
    assert told(effects) == [4, 5, "answered"]


def test_values_and_output_are_told_again_only_to_whom_they_are_told_at_all(stage: Stage) -> None:
    stage.call("ada", "subscribe", topics=["events"])
    stage.events(batch(started(1), logged(2), printed(3)))
    stage.join("eve", claims("eve", scopes=OBSERVER))
    assert told(resume(stage, 0, viewer="eve"), "eve") == [1, "answered"]
    stage.join("bob")
    assert told(resume(stage, 0, viewer="bob"), "bob") == [1, 2, "answered"]
    cursor = {"process": CHECKOUT, "boot": BOOT, "seq": 0}
    both = stage.call("bob", "subscribe", topics=["output", "events"], cursors=[cursor])
    assert told(both, "bob") == [1, 2, 3, "answered"]


def test_cursors_of_processes_out_of_sight_are_those_of_processes_that_are_not_there(stage: Stage) -> None:
    stage.join("eve", claims("eve", processes=("shop/cart/*",)))
    effects = resume(stage, 3, viewer="eve")
    assert commands(effects) == []
    assert told(effects, "eve") == ["answered"]
    assert told(resume(stage, 3, selector="shop/cart/*")) == ["answered"]


def test_output_needs_the_scope_to_look_into_processes(stage: Stage) -> None:
    stage.join("eve", claims("eve", scopes=OBSERVER))
    refused = stage.call("eve", "subscribe", topics=["output"])
    assert error(refused) == ("permission_denied", "missing_scope")
    assert told(stage.call("eve", "subscribe", topics=["events", "output"]), "eve") == ["answered"]
    effects = stage.events(batch(started(1), printed(2)))
    assert [each["seq"] for each in delivered(effects, "eve", "events")] == [1]


def test_what_is_printed_goes_to_those_who_want_it_in_order_with_the_rest(stage: Stage) -> None:
    for viewer, wanted in (("ada", ["events"]), ("bob", ["events", "output"]), ("col", ["output"])):
        stage.join(viewer)
        stage.call(viewer, "subscribe", topics=wanted)
    effects = stage.events(batch(started(1), printed(2), started(3)))
    found = {
        viewer: [each["seq"] for each in delivered(effects, viewer, "events")]
        for viewer in ("ada", "bob", "col")
    }
    assert found == {"ada": [1, 3], "bob": [1, 2, 3], "col": [2]}


def test_events_are_kept_for_the_history_also_when_they_are_sent_again(stage: Stage) -> None:
    with_history(stage)
    for _ in range(2):
        effects = stage.events(batch(started(1), started(2)))
        [keep] = [each for each in effects if isinstance(each, Keep)]
        assert [header.seq for header in keep.headers] == [1, 2]


def test_a_subscription_is_answered_although_another_is_still_catching_up(stage: Stage) -> None:
    effects = resume(stage, 3)
    assert told(stage.call("ada", "subscribe", id=2, topics=["presence"]))[0] == "answered"
    assert told(ring(stage, effects, 4, last=4)) == [4, "answered"]


# after the bus was away


def test_processes_are_waited_for_after_the_bus_has_come_back(stage: Stage) -> None:
    stage = Stage()
    stage.join("ada")
    assert told(resume(stage, 3)) == []
    effects = stage.presence(presence())
    assert told(ring(stage, effects, 4, last=4)) == [4, "answered"]


def test_one_that_does_not_come_back_is_not_waited_for_for_ever_and_owes_what_it_did_not_tell() -> None:
    stage = Stage()
    for viewer in ("ada", "bob"):
        stage.join(viewer)
    resume(stage, 3)
    resume(stage, 7, viewer="bob")
    effects = stage.after(COMING_BACK + 0.1)
    assert (told(effects), told(effects, "bob")) == (["answered"], ["answered"])
    stage.presence(presence())
    effects = stage.events(batch(started(8)))
    assert (told(effects), told(effects, "bob")) == ([(4, 7, "bus")], [])
    assert told(stage.events(batch(started(9)))) == []


def test_who_asks_again_and_again_is_told_once_and_from_where_it_got_to_last() -> None:
    stage = Stage()
    stage.join("ada")
    for seq in (3, 5):
        resume(stage, seq)
        stage.after(COMING_BACK + 0.1)
    assert told(stage.events(batch(started(8)))) == [(6, 7, "bus")]


def test_what_a_process_owes_is_not_told_to_those_who_left_or_of_another_boot() -> None:
    stage = Stage()
    for viewer in ("ada", "bob"):
        stage.join(viewer)
        resume(stage, 3, viewer=viewer)
    stage.after(COMING_BACK + 0.1)
    stage.tell(ViewerLeft("bob"))
    effects = stage.events(batch(started(8, boot=OTHER_BOOT)))
    assert (told(effects), told(effects, "bob")) == ([], [])
