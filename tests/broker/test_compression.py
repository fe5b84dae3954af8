"""One compressor for all: what any client that speaks permessage-deflate reads is what was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from sonde_broker.compression import LEAST, packed_frame


def read(data: bytes, extension: PerMessageDeflate) -> list[Frame]:
    """As the library's clients do."""
    reader = StreamReader()
    reader.feed_data(data)
    frames = []
    while reader.buffer:
        parser = Frame.parse(reader.read_exact, mask=False, extensions=[extension])
        try:
            next(parser)
        except StopIteration as done:
            frames.append(done.value)
    return frames


@given(st.lists(st.binary(max_size=4 * LEAST), min_size=1, max_size=5))
def test_each_message_is_a_stream_of_its_own(payloads: list[bytes]) -> None:
    client = PerMessageDeflate(True, True, 15, 15)
    frames = read(b"".join(packed_frame(each) for each in payloads), client)
    assert [(frame.opcode, bytes(frame.data)) for frame in frames] == [
        (Opcode.TEXT, each) for each in payloads
    ]


@pytest.mark.parametrize(("size", "smaller"), [(LEAST - 1, False), (LEAST, True), (64 * 1024, True)])
def test_what_is_short_is_sent_as_it_is(size: int, smaller: bool) -> None:
    payload = (b'{"seq":1},' * size)[:size]
    assert (len(packed_frame(payload)) < len(payload)) is smaller
