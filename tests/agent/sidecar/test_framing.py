import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent.sidecar.dap import channel
from sonde_agent.sidecar.dap.framing import KEPT_OF_TOO_LONG, LONGEST_HEADER, FrameBuffer, TooLong, frame
from sonde_agent.sidecar.errors import MalformedFrame


@given(st.lists(st.binary(max_size=200), max_size=8), st.lists(st.integers(1, 50)))
def test_bodies_come_out_as_they_went_in_however_the_bytes_are_cut(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(frame(body) for body in bodies)
    buffer, found = FrameBuffer(longest_body=100), list[bytes | TooLong]()
    for cut in cuts:
        found += buffer.feed(stream[:cut])
        stream = stream[cut:]
    found += buffer.feed(stream)
    assert found == [body if len(body) <= 100 else TooLong(body, len(body)) for body in bodies]


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_malformed_and_nothing_else(data: bytes) -> None:
    buffer = FrameBuffer(longest_body=100)
    try:
        for body in buffer.feed(data):
            assert isinstance(body, TooLong) or len(body) <= 100
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
        b"x" * (LONGEST_HEADER + 5),
    ],
)
def test_what_is_no_frame_is_refused(bad: bytes) -> None:
    with pytest.raises(MalformedFrame):
        list(FrameBuffer(longest_body=100).feed(bad))


def test_of_a_body_that_is_too_long_the_beginning_is_kept_and_what_follows_is_found() -> None:
    huge = b"x" * (3 * KEPT_OF_TOO_LONG)
    buffer = FrameBuffer(longest_body=100)
    stream = frame(huge) + frame(b"{}")
    found = [
        body for start in range(0, len(stream), 1000) for body in buffer.feed(stream[start : start + 1000])
    ]
    assert found == [TooLong(huge[:KEPT_OF_TOO_LONG], len(huge)), b"{}"]


def test_an_answer_that_is_too_long_refuses_the_request_that_it_answers() -> None:
    head = b'{"type": "response", "request_seq": 12, "success": true, "command": "evaluate", "body": {"result": "\'xx'
    refused = channel.read_head(head)
    assert refused is not None
    assert (refused.type, refused.request_seq, refused.success) == ("response", 12, False)


@pytest.mark.parametrize(
    "head",
    [
        b'{"type": "event", "event": "output", "body": {"output": "\'request_seq\': 12, xx',
        b'{"type": "event", "event": "output", "body": {"output": {"request_seq": 12, "x": "xx',
        b"xxx",
        b"",
    ],
)
def test_an_event_that_is_too_long_is_dropped(head: bytes) -> None:
    assert channel.read_head(head) is None
