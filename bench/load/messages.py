"""What the load publishes: messages as sidecars make them, built from the wire's own structs."""

import hashlib
import time

from msgspec import Raw

from sonde_wire import Address, bus, codec

MARK = b'"seq":'
"""Once in each event, and in nothing else that is sent here."""
PRESENCE_MARK = b'"state":"online"'
METRICS_MARK = b'"memory_rss":'
SERVICES = 100


class Source:
    """The events of one process, numbered on from call to call."""

    def __init__(self, address: Address, size: int) -> None:
        self._process = str(address)
        self._boot = boot_of(address)
        self._next = 1
        self.resize(size)

    def resize(self, size: int) -> None:
        """Events of about `size` bytes from now on: what pydevd tells of a module, its path as long as it takes."""
        number = 987_654
        short = self._event(number, "")
        whole = self._event(number, "x" * max(0, size - len(short)))
        self._before, self._after = whole.split(str(number).encode())

    def _event(self, number: int, path: str) -> bytes:
        module = {"id": 1, "name": "shop.cart", "path": path}
        told = {"type": "event", "event": "module", "body": {"reason": "new", "module": module}}
        event = bus.DapEvent(
            process=self._process, boot=self._boot, seq=number, time=time.time(), message=codec.raw(told)
        )
        return codec.encode(event)

    def events(self, count: int) -> list[bytes]:
        first, self._next = self._next, self._next + count
        return [b"%b%d%b" % (self._before, number, self._after) for number in range(first, self._next)]

    def batch(self, count: int) -> bytes:
        first = self._next
        events = tuple(Raw(each) for each in self.events(count))
        return codec.encode(
            bus.EventBatch(
                process=self._process, boot=self._boot, first=first, last=self._next - 1, events=events
            )
        )


def boot_of(address: Address) -> str:
    return hashlib.sha256(str(address).encode()).hexdigest()[:32]


def agent_address(number: int) -> Address:
    """Spread evenly over `SERVICES` services."""
    return Address("load", f"service-{number % SERVICES:02}", f"pod-{number:05}")


def presence(address: Address, state: str = "online") -> bytes:
    lost = state == "lost"
    return codec.encode(
        bus.Presence(
            process=str(address),
            boot=boot_of(address),
            state="lost" if lost else "online",
            time=1.0 if lost else time.time(),
            started=1.0,
            pid=4711,
            host=f"{address.service}-{address.instance}",
            python="3.12.7",
            executable="/usr/local/bin/python",
            argv=("/usr/local/bin/python", "-m", "gunicorn", "shop.wsgi:application", "--workers", "4"),
            main="/usr/local/bin/gunicorn",
            directory="/srv/app",
            labels={"version": "2026.11.3", "zone": "eu-1a"},
            agent_version="0.5.0",
        )
    )


def metrics(address: Address) -> bytes:
    return codec.encode(
        bus.Metrics(
            process=str(address),
            boot=boot_of(address),
            time=time.time(),
            cpu_percent=12.5,
            memory_rss=187_654_144,
            threads=9,
            open_fds=42,
            context_switches_voluntary=120_345,
            context_switches_involuntary=2_345,
            children=0,
            gc_collections=812,
            gc_collected=40_123,
            gc_uncollectable=0,
            event_loop_lag=0.0012,
            operations=(_operation("checkout"), _operation("payment")),
        )
    )


def _operation(name: str) -> bus.OperationMetrics:
    took = bus.Duration(average=0.012, least=0.004, most=0.093, p50=0.011, p90=0.019, p99=0.054)
    counts = bus.Counts(ended=5012, errors=3, success_rate=0.9994, error_rate=0.0006, duration=took)
    return bus.OperationMetrics(name=name, active=2, total=counts, last_minute=counts)
