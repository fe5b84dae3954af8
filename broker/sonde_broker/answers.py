"""JSON-RPC answers and notifications, as the bytes of their final JSON."""

from collections.abc import Iterable
from typing import Any

from msgspec import Raw

from sonde_wire import Failure, codec, rpc


def result(request: int | str, value: Any) -> bytes:
    """`value` is a wire message, or `Raw` that is copied as it is."""
    encoded = value if isinstance(value, Raw) else codec.raw(value)
    return codec.encode(rpc.Response(id=request, result=encoded))


def failure(request: int | str | None, why: Failure) -> bytes:
    return codec.encode(rpc.Response(id=request, error=rpc.Error.of(why)))


def notification(method: str, params: Any) -> bytes:
    return codec.encode(rpc.Notification(method=method, params=codec.raw(params)))


def spliced(topic: rpc.Topic, items: Iterable[bytes]) -> bytes:
    """A notification whose items are already JSON: bytes are joined, nothing is encoded again.

    The shape is that of `rpc.PresenceItems`, `rpc.EventItems` and `rpc.MetricItems`; the tests hold it to them.
    """
    name = topic.encode()
    return b'{"method":"%b","params":{"%b":[%b]},"jsonrpc":"2.0"}' % (name, name, b",".join(items))
