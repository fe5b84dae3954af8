"""The line between tap and sidecar: framing, encoding, addresses."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_agent import link

MESSAGES: list[link.Message] = [
    link.Hello(
        version=1,
        token="t",
        boot="0" * 32,
        namespace="prod",
        service="checkout",
        instance="",
        pid=7,
        parent_pid=1,
        started=1.5,
        host="web-1",
        python="3.12.1",
        implementation="cpython",
        executable="/usr/bin/python",
        argv=["python", "app.py", "ü\ud800"],
        main=None,
        directory="/srv",
        labels={"version": "1"},
    ),
    link.Welcome(version=1, process="prod/checkout/web-1-7"),
    link.Refusal(reason="bad_token", message="no"),
    link.Call(id=3, operation="stacks", arguments={"deep": [1, {"a": None}]}),
    link.Result(id=3, value={"threads": []}),
    link.Fault(id=3, code="not_found", reason="no_such_file", message="no"),
    link.Numbered(upto=512),
    link.Ending(code=None),
    link.Ending(code=1, message="unhandled ValueError"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_went(message: link.Message) -> None:
    encoded = link.encode(message)
    assert encoded.endswith(b"\n")
    assert encoded.count(b"\n") == 1
    assert encoded.isascii()
    assert link.decode(encoded) == message


def test_fields_of_a_newer_peer_are_ignored() -> None:
    assert link.decode(b'{"type":"welcome","version":1,"process":"a/b/c","mood":"good"}') == link.Welcome(
        version=1, process="a/b/c"
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"type":"nonsense"}',
        b'{"type":[]}',
        b'{"type":"call"}',
        b"\xff",
        b"[" * 9000,
    ],
)
def test_what_is_no_message_is_malformed(line: bytes) -> None:
    with pytest.raises(link.MalformedLine):
        link.decode(line)


@given(st.lists(st.binary(max_size=40).filter(lambda text: b"\n" not in text)), st.lists(st.integers(1, 30)))
def test_lines_do_not_depend_on_how_the_bytes_are_cut(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines) + b"unfinished"
    buffer = link.LineBuffer()
    got: list[bytes] = []
    for cut in [*cuts, len(data)]:
        got += buffer.feed(data[:cut])
        data = data[cut:]
    assert got == lines


def test_a_line_that_does_not_end_is_given_up() -> None:
    buffer = link.LineBuffer(longest=10)
    assert list(buffer.feed(b"0123456789")) == []
    with pytest.raises(link.MalformedLine):
        list(buffer.feed(b"0"))


@pytest.mark.parametrize("text", ["unix:/run/sonde.sock", "tcp:127.0.0.1:4711"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    assert str(link.SidecarAddress.parse(text)) == text


def test_an_address_may_be_of_the_sixth_version() -> None:
    assert link.SidecarAddress.parse("tcp:[::1]:4711").host == "::1"


@pytest.mark.parametrize(
    "text", ["", "unix:relative", "tcp:127.0.0.1", "tcp:127.0.0.1:0", "tcp::1", "http://x:1"]
)
def test_what_is_no_address_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(
        link.InvalidSidecarAddress, match=r"use unix:/path/to/socket or tcp:127\.0\.0\.1:port"
    ):
        link.SidecarAddress.parse(text)


def test_only_json_numbers_are_sent() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        link.encode(link.Result(id=1, value=float("nan")))
    assert json.loads(link.encode(link.Result(id=1)))["type"] == "result"


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"result","id":"1"}',
        b'{"type":"result","id":true}',
        b'{"type":"ending","code":1.5}',
        b'{"type":"welcome","version":1,"process":["x"]}',
        b'{"type":"call","id":1,"operation":"stacks","arguments":[]}',
        b'{"type":"result","id":1,"value":NaN}',
        b'{"type":"result","id":1,"value":"\xed\xa0\x80"}',
    ],
)
def test_a_field_of_a_wrong_type_is_malformed(line: bytes) -> None:
    with pytest.raises(link.MalformedLine):
        link.decode(line)
