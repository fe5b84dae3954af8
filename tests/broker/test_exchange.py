"""The loop around the core."""

import asyncio
from typing import cast

import pytest

from sonde_broker.exchange import Exchange
from sonde_broker.relay import Relay
from sonde_broker.relay_io import BusUp, Effect, Happening, Instant, TimePassed


class Core:
    """Fails at whatever it is told but that time passed, and wants to be told that at once."""

    def __init__(self) -> None:
        self.ticked = asyncio.Event()

    def handle(self, happening: Happening, now: Instant) -> list[Effect]:
        if not isinstance(happening, TimePassed):
            raise ZeroDivisionError
        self.ticked.set()
        return []

    def deadline(self) -> float | None:
        return None if self.ticked.is_set() else 0.0


async def test_a_happening_that_goes_wrong_does_not_stop_the_clock() -> None:
    core = Core()
    exchange = Exchange(cast("Relay", core), to_viewers=lambda _: None, to_bus=lambda _: None)
    with pytest.raises(ZeroDivisionError):
        exchange.tell(BusUp())
    await core.ticked.wait()
