"""permessage-deflate (RFC 7692) without a compressor for each viewer: what a group is told is compressed once, and the same
bytes go to all of it.

That is possible with `server_no_context_takeover`: each message is a deflate stream of its own. It is offered to viewers that
are somewhere else; on one machine it would only cost time.
"""

import ipaddress

from websockets.asyncio.server import ServerConnection
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

from sonde_broker.settings import Compress

LEAST = 512
"""Bytes; shorter messages are sent as they are, which the extension allows."""
_WINDOW_BITS = 15
_PACKER = PerMessageDeflate(
    remote_no_context_takeover=True,
    local_no_context_takeover=True,
    remote_max_window_bits=_WINDOW_BITS,
    local_max_window_bits=_WINDOW_BITS,
    compress_settings={"level": 1},
)
"""It begins a new stream with each message, so all viewers can share it."""
_OFFER = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)


def offer(connection: ServerConnection, compress: Compress) -> None:
    """Before the handshake is answered: whether this viewer may have compression if it asks for it."""
    wanted = compress == "always" or (compress == "remote" and not _is_local(connection))
    connection.protocol.available_extensions = [_OFFER] if wanted else None


def is_agreed(connection: ServerConnection) -> bool:
    """After the handshake. A viewer that wants a smaller window than ours is sent everything as it is."""
    return any(
        isinstance(each, PerMessageDeflate) and each.local_max_window_bits == _WINDOW_BITS
        for each in connection.protocol.extensions
    )


def packed_frame(payload: bytes) -> bytes:
    """A whole text message, compressed where that is worth it."""
    if len(payload) < LEAST:
        return Frame(Opcode.TEXT, payload).serialize(mask=False)
    return Frame(Opcode.TEXT, payload).serialize(mask=False, extensions=[_PACKER])


def _is_local(connection: ServerConnection) -> bool:
    peer = connection.remote_address
    return bool(peer) and ipaddress.ip_address(str(peer[0]).partition("%")[0]).is_loopback
