"""Tells sidecars what the history has of their events: the first after a quiet time at once, for somebody may be about to end,
then at most each `EVERY`. Pure."""

from sonde_broker.relay_io import Publish
from sonde_wire import Address, bus, codec, topics

EVERY = 0.5
"""Seconds. Sidecars wait longer than that before they send anything again."""


class Acknowledgements:
    def __init__(self) -> None:
        self._due: dict[Address, tuple[str, int]] = {}
        self._told = float("-inf")

    def deadline(self) -> float | None:
        return self._told + EVERY if self._due else None

    def committed(self, streams: tuple[tuple[Address, str, int], ...], now: float) -> list[Publish]:
        for process, boot, upto in streams:
            self._due[process] = (boot, upto)
        return self.time_passed(now)

    def time_passed(self, now: float) -> list[Publish]:
        if not self._due or now < self._told + EVERY:
            return []
        due, self._due, self._told = self._due, {}, now
        return [
            Publish(
                topics.of_process(process, topics.Channel.STORED),
                codec.encode(bus.EventsStored(process=str(process), boot=boot, upto=upto)),
            )
            for process, (boot, upto) in due.items()
        ]

    def clear(self) -> None:
        """The bus is gone: what was sent over it is acknowledged when it is sent again."""
        self._due = {}
