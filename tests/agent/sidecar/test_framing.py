import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.sidecar.dap.framing import LONGEST_HEADER, FrameBuffer, frame
from sonde_agent.sidecar.errors import MalformedFrame


@given(st.lists(st.binary(max_size=200), max_size=8), st.lists(st.integers(1, 50)))
def test_bodies_come_out_as_they_went_in_however_the_bytes_are_cut(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(frame(body) for body in bodies)
    buffer, found = FrameBuffer(), list[bytes]()
    for cut in cuts:
        found += buffer.feed(stream[:cut])
        stream = stream[cut:]
    found += buffer.feed(stream)
    assert found == bodies


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_malformed_and_nothing_else(data: bytes) -> None:
    buffer = FrameBuffer(longest_body=100)
    try:
        for body in buffer.feed(data):
            assert len(body) <= 100
    except MalformedFrame:
        return


def test_header_names_do_not_mind_case_and_other_headers_are_let_be() -> None:
    assert list(FrameBuffer().feed(b"Content-Type: x\r\ncontent-LENGTH: 2\r\n\r\n{}")) == [b"{}"]


@pytest.mark.parametrize(
    "bad",
    [
        b"Content-Length: x\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"X: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"Content-Length: 101\r\n\r\n",
        b"x" * (LONGEST_HEADER + 5),
    ],
)
def test_what_is_no_frame_is_refused(bad: bytes) -> None:
    with pytest.raises(MalformedFrame):
        list(FrameBuffer(longest_body=100).feed(bad))
