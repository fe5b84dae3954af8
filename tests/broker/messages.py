"""Messages of agents, as the broker's tests need them."""

from typing import Any

import msgspec

from sonde_wire import bus, codec

BOOT = "0" * 31 + "1"
OTHER_BOOT = "0" * 31 + "2"
CHECKOUT = "shop/checkout/pod-1"
CART = "shop/cart/pod-1"


def presence(process: str = CHECKOUT, state: Any = "online", boot: str = BOOT, **more: Any) -> bus.Presence:
    fields: dict[str, Any] = {
        "time": 1000.0,
        "started": 999.0,
        "pid": 7,
        "host": "node",
        "python": "3.12.1",
    } | more
    return bus.Presence(process=process, boot=boot, state=state, **fields)


def started(seq: int, process: str = CHECKOUT, boot: str = BOOT) -> bus.Event:
    return bus.ProcessStarted(process=process, boot=boot, seq=seq, time=1000.0, pid=7)


def session_closed(seq: int, session: str, process: str = CHECKOUT, boot: str = BOOT) -> bus.Event:
    return bus.SessionClosed(
        process=process,
        boot=boot,
        seq=seq,
        time=1000.0,
        session=session,
        viewer="ada",
        reason="debugger_lost",
    )


def batch(*events: bus.Event) -> bus.EventBatch:
    return bus.EventBatch(
        process=events[0].process,
        boot=events[0].boot,
        first=events[0].seq,
        last=events[-1].seq,
        events=tuple(msgspec.Raw(codec.encode(event)) for event in events),
    )


def metrics(process: str = CHECKOUT, threads: int = 1) -> bus.Metrics:
    return bus.Metrics(process=process, boot=BOOT, time=1000.0, threads=threads)
