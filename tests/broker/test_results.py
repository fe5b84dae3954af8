"""What probes brought: kept within bounds, read again by who may, and told only to who may see values."""

from typing import Any

import msgspec
import pytest

from sonde_broker.queries import ResultsFound
from sonde_broker.relay_io import AskStore, StoreAnswered, StoreChanged
from sonde_broker.results import Result, Results
from sonde_wire import Address, Scope, bus, codec, rpc
from sonde_wire.probes import Captured, CapturedThread, ProbeStatus, Value
from tests.broker.messages import BOOT, CART, CHECKOUT, batch, presence, started
from tests.broker.stage import Stage, answer, delivered, error
from tests.broker.tokens import claims, token

ADDRESS = Address.parse(CHECKOUT)
PROBE = "probeaaaaa"
OBSERVER = (Scope.OBSERVE,)


def fields(process: str, seq: int) -> dict[str, Any]:
    return {"process": process, "boot": BOOT, "seq": seq, "time": 1000.0}


def logged(seq: int, text: str = "x", process: str = CHECKOUT, probe: str = PROBE) -> bus.Event:
    return bus.ProbeLogged(**fields(process, seq), probe=probe, hit=1, message=text, path="/a.py", line=1)


def taken(seq: int, process: str = CHECKOUT, probe: str = PROBE) -> bus.SnapshotTaken:
    captured = Captured(frames=(), thread=CapturedThread(id=1), duration=0.0)
    return bus.SnapshotTaken(**fields(process, seq), probe=probe, hit=1, captured=captured)


def watched(seq: int) -> bus.Event:
    now = Value(type="int", value="42")
    return bus.WatchChanged(
        **fields(CHECKOUT, seq), probe=PROBE, hit=1, expression="n", now=now, path="/a.py", line=1
    )


def changed(seq: int) -> bus.Event:
    return bus.ProbeChanged(**fields(CHECKOUT, seq), status=ProbeStatus(id=PROBE, state="hit"))


# the store


def kept(results: Results, probe: str = PROBE, limit: int = 1000) -> tuple[list[bytes], bool]:
    events, more = results.of_probe(probe, limit, lambda _: True)
    return [bytes(each) for each in events], more


def test_the_newest_of_each_probe_are_kept_the_newest_last() -> None:
    results = Results(most_each=3)
    for number in range(5):
        results.add(Result(PROBE, ADDRESS, b"%d" % number))
    results.add(Result("another", ADDRESS, b"x"))
    assert kept(results) == ([b"2", b"3", b"4"], True)
    assert kept(results, limit=2) == ([b"3", b"4"], True)
    assert kept(results, "another") == ([b"x"], False)
    assert kept(results, "nosuch") == ([], False)


def test_in_all_there_are_so_many_bytes_and_the_oldest_go_first() -> None:
    results = Results(most_bytes=10_000)
    for number in range(10):
        results.add(
            Result(f"probe {number % 2}", ADDRESS, b"%d" % number + b" " * 1500, f"snapshot {number}")
        )
    left = [each for probe in ("probe 0", "probe 1") for each in kept(results, probe)[0]]
    assert sorted(int(each) for each in left) == [6, 7, 8, 9][-len(left) :]
    assert results.snapshot("snapshot 9") is not None
    assert results.snapshot("snapshot 0") is None
    assert kept(results, "probe 0")[1]


def test_who_does_not_see_a_process_gets_none_of_its_results() -> None:
    results = Results()
    for process in (CHECKOUT, CART, CHECKOUT):
        results.add(Result(PROBE, Address.parse(process), process.encode()))
    events, more = results.of_probe(PROBE, 1, lambda process: process.service == "checkout")
    assert ([bytes(each) for each in events], more) == ([CHECKOUT.encode()], True)


# the methods


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    for process in (CHECKOUT, CART):
        stage.presence(presence(process))
    stage.join("ada")
    return stage


def add(stage: Stage, selector: str = "*/*/*") -> str:
    spec = {
        "kind": {"type": "snapshot"},
        "place": {"type": "line", "path": "a.py", "line": 1},
        "target": {"selector": selector},
    }
    return str(answer(stage.call("ada", "probe.add", probe=spec))["probe"]["id"])


def test_results_are_read_as_they_were_told_and_snapshots_by_their_id(stage: Stage) -> None:
    probe = add(stage)
    snapshot = taken(3, probe=probe)
    stage.events(batch(started(1), logged(2, "sold", probe=probe), snapshot))
    stage.events(batch(logged(1, "for cart", CART, probe)))
    found = codec.decode(
        codec.encode(answer(stage.call("ada", "probe.results", probe=probe))), rpc.ProbeResults
    )
    assert not found.more
    assert [codec.decode(each, bus.AnyEvent) for each in found.events] == [  # type: ignore[arg-type] # a union
        logged(2, "sold", probe=probe),
        snapshot,
        logged(1, "for cart", CART, probe),
    ]
    effects = stage.call("ada", "snapshot.read", snapshot=bus.snapshot_id(snapshot))
    assert msgspec.convert(answer(effects), bus.SnapshotTaken) == snapshot


def test_results_of_processes_outside_of_the_token_are_not_there(stage: Stage) -> None:
    probe, theirs = add(stage), add(stage, "shop/cart/*")
    snapshot = taken(1, CART, probe)
    stage.events(batch(snapshot))
    stage.events(batch(logged(1, probe=probe)))
    stage.join("eve", claims("eve", processes=("shop/checkout/*",)))
    assert len(answer(stage.call("eve", "probe.results", probe=probe))["events"]) == 1
    unknown = stage.call("eve", "snapshot.read", snapshot=bus.snapshot_id(snapshot))
    assert error(unknown) == ("not_found", "unknown_snapshot")
    assert error(stage.call("eve", "probe.results", probe=theirs)) == ("not_found", "unknown_probe")
    never = stage.call("ada", "snapshot.read", snapshot=f"{BOOT[:12]}-99")
    assert error(never) == ("not_found", "unknown_snapshot")


def test_what_is_not_stored_yet_is_read_beside_what_is(stage: Stage) -> None:
    stage.tell(StoreChanged("up", "store"))
    probe = add(stage)
    stage.events(batch(*(logged(seq, probe=probe) for seq in (1, 2, 3))))
    effects = stage.call("ada", "probe.results", probe=probe, limit=2)
    [asked] = [each for each in effects if isinstance(each, AskStore)]
    stored = tuple(codec.raw(logged(seq, probe=probe)) for seq in (1, 2))
    found = answer(stage.tell(StoreAnswered(asked.number, ResultsFound(stored, False))))
    assert [each["seq"] for each in found["events"]] == [2, 3]
    assert found["more"]


def test_results_are_read_also_after_the_probe_has_ended(stage: Stage) -> None:
    probe = add(stage)
    stage.events(batch(logged(1, probe=probe)))
    stage.call("ada", "probe.remove", probe=probe)
    assert len(answer(stage.call("ada", "probe.results", probe=probe))["events"]) == 1


# values


@pytest.mark.parametrize(
    "event", [logged(2), taken(2), watched(2), changed(2)], ids=lambda each: type(each).__name__
)
def test_events_with_values_reach_only_who_may_look_into_processes_and_leave_no_gap(
    stage: Stage, event: bus.Event
) -> None:
    stage.join("eve", claims("eve", scopes=OBSERVER))
    for viewer in ("ada", "eve"):
        stage.call(viewer, "subscribe", topics=["events"])
    effects = stage.events(batch(started(1), event, started(3)))
    assert [each["seq"] for each in delivered(effects, "ada", "events")] == [1, 2, 3]
    assert [each["seq"] for each in delivered(effects, "eve", "events")] == [1, 3]
    stage.after(1)
    alone = msgspec.structs.replace(event, seq=4)
    effects = stage.events(batch(alone))
    assert delivered(effects, "eve", "events") == []
    stage.after(1)
    effects = stage.events(batch(started(5)))
    assert [each["seq"] for each in delivered(effects, "eve", "events")] == [5]
    assert not any(frame.topic == "gap" for each in effects for frame in getattr(each, "frames", ()))


def test_who_loses_the_right_to_look_is_told_no_values_from_then_on(stage: Stage) -> None:
    stage.call("ada", "subscribe", topics=["events"])
    answer(stage.call("ada", "token.renew", token=token("ada", now=1000, scopes=OBSERVER)))
    assert delivered(stage.events(batch(logged(1))), "ada", "events") == []
    assert [each["seq"] for each in delivered(stage.events(batch(started(2))), "ada", "events")] == [2]
