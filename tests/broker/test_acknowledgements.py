"""Sidecars are told what the history has, not too often, and always the newest."""

from sonde_broker.acknowledgements import EVERY, Acknowledgements
from sonde_broker.relay_io import Committed, Publish
from sonde_wire import Address, bus, codec, topics
from tests.broker.messages import BOOT, CART, CHECKOUT, OTHER_BOOT
from tests.broker.stage import Stage

ONE, OTHER = Address.parse(CHECKOUT), Address.parse(CART)


def read(published: list[Publish]) -> dict[str, tuple[str, int]]:
    found = {}
    for each in published:
        message = codec.decode(each.payload, bus.EventsStored)
        assert each.topic == topics.of_process(Address.parse(message.process), topics.Channel.STORED)
        assert not each.retain
        found[message.process] = (message.boot, message.upto)
    return found


def test_the_first_is_told_at_once_and_then_the_newest_of_each_process_once_a_while() -> None:
    acknowledgements = Acknowledgements()
    assert read(acknowledgements.committed(((ONE, BOOT, 3),), 10.0)) == {CHECKOUT: (BOOT, 3)}
    assert acknowledgements.deadline() is None
    assert acknowledgements.committed(((ONE, BOOT, 5), (OTHER, BOOT, 9)), 10.1) == []
    assert acknowledgements.committed(((ONE, BOOT, 7),), 10.2) == []
    assert acknowledgements.deadline() == 10.0 + EVERY
    assert acknowledgements.time_passed(10.3) == []
    assert read(acknowledgements.time_passed(10.0 + EVERY)) == {CHECKOUT: (BOOT, 7), CART: (BOOT, 9)}
    assert acknowledgements.time_passed(20.0) == []


def test_one_that_is_to_begin_again_is_told_less_than_before() -> None:
    acknowledgements = Acknowledgements()
    acknowledgements.committed(((OTHER, BOOT, 1),), 10.0)
    acknowledgements.committed(((ONE, BOOT, 7),), 10.1)
    acknowledgements.committed(((ONE, OTHER_BOOT, 0),), 10.2)
    assert read(acknowledgements.time_passed(11.0)) == {CHECKOUT: (OTHER_BOOT, 0)}


def test_nothing_is_told_over_a_line_that_is_gone() -> None:
    acknowledgements = Acknowledgements()
    acknowledgements.committed(((OTHER, BOOT, 1),), 10.0)
    acknowledgements.committed(((ONE, BOOT, 7),), 10.1)
    acknowledgements.clear()
    assert acknowledgements.deadline() is None
    assert acknowledgements.time_passed(20.0) == []


def test_what_is_committed_is_published() -> None:
    stage = Stage()
    published = [each for each in stage.tell(Committed(((ONE, BOOT, 7),))) if isinstance(each, Publish)]
    assert read(published) == {CHECKOUT: (BOOT, 7)}
    assert stage.tell(Committed(((ONE, BOOT, 8),))) == []
    assert read([each for each in stage.after(EVERY) if isinstance(each, Publish)]) == {CHECKOUT: (BOOT, 8)}
