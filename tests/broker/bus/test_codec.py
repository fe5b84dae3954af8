"""The codec: every packet comes back as it was, however the bytes are cut, and rubbish is refused cleanly."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde_broker.bus.decoder import FIRST_PACKET_LIMIT, Decoder
from sonde_broker.bus.encoder import encode
from sonde_broker.bus.errors import MalformedPacket
from sonde_broker.bus.packets import (
    NO_PROPERTIES,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    ReasonCode,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
)

LIMIT = 1 << 20

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
levels = st.text(st.characters(exclude_characters="\0/+#", exclude_categories=["Cs"]), max_size=6)
topics = st.lists(levels, min_size=1, max_size=5).map("/".join).filter(bool)
filters = st.one_of(
    st.sampled_from(["#", "+", "a/+/b", "a/#", "+/+", "/#"]),
    topics,
)
blobs = st.binary(max_size=40)
bytes_ = st.integers(0, 255)
flags = st.integers(0, 1)
twos = st.integers(0, 65_535)
ids = st.integers(1, 65_535)
fours = st.integers(0, 2**32 - 1)
pairs = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)


def properties(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Properties]:
    optional = {name: st.none() | values for name, values in fields.items()}
    made = st.builds(Properties, user=pairs, **optional)
    return made.map(lambda some: NO_PROPERTIES if some == NO_PROPERTIES else some)


messages = {
    "payload_format": flags,
    "message_expiry": fours,
    "content_type": texts,
    "response_topic": topics,
    "correlation_data": blobs,
}
reasons = properties(reason_string=texts)
wills = st.builds(
    Will,
    topic=topics,
    payload=blobs,
    qos=st.integers(0, 2),
    retain=st.booleans(),
    properties=properties(will_delay=fours, **messages),
)
v5_packets: st.SearchStrategy[Packet] = st.one_of(
    st.builds(
        Connack,
        reason=bytes_,
        session_present=st.booleans(),
        properties=properties(
            session_expiry=fours,
            receive_maximum=ids,
            maximum_qos=flags,
            retain_available=flags,
            maximum_packet_size=st.integers(1, 2**32 - 1),
            assigned_client_id=texts,
            topic_alias_maximum=twos,
            reason_string=texts,
            wildcards_available=flags,
            subscription_ids_available=flags,
            shared_available=flags,
            server_keep_alive=twos,
            response_information=texts,
            server_reference=texts,
            authentication_method=texts,
            authentication_data=blobs,
        ),
    ),
    st.builds(
        Publish,
        topic=topics,
        payload=blobs,
        retain=st.booleans(),
        properties=properties(topic_alias=twos, **messages),
    ),
    st.builds(
        Publish,
        topic=topics,
        payload=blobs,
        qos=st.integers(1, 2),
        retain=st.booleans(),
        dup=st.booleans(),
        packet_id=ids,
        properties=properties(**messages),
    ),
    *(
        st.builds(kind, packet_id=ids, reason=bytes_, properties=reasons)
        for kind in (Puback, Pubrec, Pubrel, Pubcomp)
    ),
    st.builds(
        Subscribe,
        packet_id=ids,
        subscriptions=st.lists(
            st.builds(
                Subscription,
                filter=filters,
                qos=st.integers(0, 2),
                no_local=st.booleans(),
                retain_as_published=st.booleans(),
                retain_handling=st.integers(0, 2),
            ),
            min_size=1,
            max_size=4,
        ).map(tuple),
        properties=properties(subscription_ids=st.tuples(st.integers(1, 268_435_455))).map(
            lambda some: some if some.subscription_ids is not None else NO_PROPERTIES
        ),
    ),
    st.builds(Suback, packet_id=ids, reasons=st.lists(bytes_, max_size=4).map(tuple), properties=reasons),
    st.builds(
        Unsubscribe,
        packet_id=ids,
        filters=st.lists(filters, min_size=1, max_size=4).map(tuple),
        properties=properties(),
    ),
    st.builds(Unsuback, packet_id=ids, reasons=st.lists(bytes_, max_size=4).map(tuple), properties=reasons),
    st.just(Pingreq()),
    st.just(Pingresp()),
    st.builds(
        Disconnect,
        reason=bytes_,
        properties=properties(session_expiry=fours, reason_string=texts, server_reference=texts),
    ),
    st.builds(
        Auth,
        reason=bytes_,
        properties=properties(authentication_method=texts, authentication_data=blobs, reason_string=texts),
    ),
)
v311_packets: st.SearchStrategy[Packet] = st.one_of(
    st.builds(Connack, reason=bytes_, session_present=st.booleans()),
    st.builds(Publish, topic=topics, payload=blobs, retain=st.booleans()),
    st.builds(Publish, topic=topics, payload=blobs, qos=st.integers(1, 2), dup=st.booleans(), packet_id=ids),
    *(st.builds(kind, packet_id=ids) for kind in (Puback, Pubrec, Pubrel, Pubcomp, Unsuback)),
    st.builds(
        Subscribe,
        packet_id=ids,
        subscriptions=st.lists(
            st.builds(Subscription, filter=filters, qos=st.integers(0, 2)), min_size=1, max_size=4
        ).map(tuple),
    ),
    st.builds(Suback, packet_id=ids, reasons=st.lists(bytes_, max_size=4).map(tuple)),
    st.builds(Unsubscribe, packet_id=ids, filters=st.lists(filters, min_size=1, max_size=4).map(tuple)),
    st.just(Pingreq()),
    st.just(Pingresp()),
    st.just(Disconnect()),
)
connects = st.one_of(
    st.builds(
        Connect,
        version=st.just(Version.V5),
        client_id=texts,
        clean=st.booleans(),
        keep_alive=twos,
        username=st.none() | texts,
        password=st.none() | blobs,
        will=st.none() | wills,
        properties=properties(
            session_expiry=fours,
            receive_maximum=ids,
            maximum_packet_size=st.integers(1, 2**32 - 1),
            topic_alias_maximum=twos,
            request_problem_information=flags,
            request_response_information=flags,
            authentication_method=texts,
            authentication_data=blobs,
        ),
    ),
    st.builds(
        Connect,
        version=st.just(Version.V311),
        client_id=texts,
        clean=st.booleans(),
        keep_alive=twos,
        username=texts,
        password=st.none() | blobs,
        will=st.none()
        | st.builds(Will, topic=topics, payload=blobs, qos=st.integers(0, 2), retain=st.booleans()),
    ),
)
streams = connects.flatmap(
    lambda connect: st.lists(v5_packets if connect.version is Version.V5 else v311_packets, max_size=6).map(
        lambda rest: (connect, [connect, *rest])
    )
)


def decoded(decoder: Decoder, *pieces: bytes) -> list[Packet]:
    packets: list[Packet] = []
    for piece in pieces:
        decoder.feed(piece)
        while some := decoder.next_packets():
            packets += some
    return packets


@given(v5_packets)
def test_every_v5_packet_comes_back_as_it_was(packet: Packet) -> None:
    assert decoded(Decoder(limit=LIMIT, version=Version.V5), encode(packet, Version.V5)) == [packet]


@given(v311_packets)
def test_every_v311_packet_comes_back_as_it_was(packet: Packet) -> None:
    assert decoded(Decoder(limit=LIMIT, version=Version.V311), encode(packet, Version.V311)) == [packet]


@given(connects)
def test_every_connect_comes_back_as_it_was_and_tells_the_version(connect: Connect) -> None:
    decoder = Decoder(limit=LIMIT)
    assert decoded(decoder, encode(connect, connect.version)) == [connect]
    assert decoder.version is connect.version


@given(streams, st.data())
def test_any_cut_of_the_bytes_gives_the_same_packets(
    stream: tuple[Connect, list[Packet]], data: st.DataObject
) -> None:
    connect, packets = stream
    whole = b"".join(encode(packet, connect.version) for packet in packets)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=20)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert decoded(Decoder(limit=LIMIT), *pieces) == packets


@given(streams)
def test_single_bytes_give_the_same_packets(stream: tuple[Connect, list[Packet]]) -> None:
    connect, packets = stream
    whole = b"".join(encode(packet, connect.version) for packet in packets)
    assert decoded(Decoder(limit=LIMIT), *(bytes((byte,)) for byte in whole)) == packets


@given(st.binary(max_size=400), st.sampled_from([None, Version.V311, Version.V5]))
def test_random_bytes_are_packets_or_malformed(rubbish: bytes, version: Version | None) -> None:
    try:
        decoded(Decoder(limit=LIMIT, version=version), rubbish)
    except MalformedPacket as error:
        assert error.reason >= 0x80


@given(streams, st.data())
def test_a_damaged_stream_is_packets_or_malformed(
    stream: tuple[Connect, list[Packet]], data: st.DataObject
) -> None:
    connect, packets = stream
    whole = bytearray(b"".join(encode(packet, connect.version) for packet in packets))
    for place in data.draw(st.sets(st.integers(0, len(whole) - 1), min_size=1, max_size=5)):
        whole[place] = data.draw(bytes_)
    try:
        decoded(Decoder(limit=LIMIT), bytes(whole))
    except MalformedPacket as error:
        assert error.reason >= 0x80


@given(st.integers(3, 10))
def test_what_comes_before_a_malformed_packet_is_returned_first(count: int) -> None:
    decoder = Decoder(limit=LIMIT, version=Version.V5)
    decoder.feed(encode(Publish(topic="a"), Version.V5) * count + b"\x36\x00")
    assert len(decoder.next_packets()) == count
    with pytest.raises(MalformedPacket, match="QoS 3"):
        decoder.next_packets()


@pytest.mark.parametrize(
    ("version", "data", "reason"),
    [
        pytest.param(None, b"GET / HTTP/1.1\r\n\r\n", 0x82, id="an HTTP request"),
        pytest.param(None, b"\x16\x03\x01\x02\x00", 0x82, id="a TLS handshake"),
        pytest.param(None, b"\xc0\x00", 0x82, id="something before CONNECT"),
        pytest.param(None, b"\x10\x0c\x00\x04MQTT\x06\x02\x00\x00\x00\x00", 0x84, id="protocol level 6"),
        pytest.param(None, b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x00\x00\x00", 0x84, id="MQTT 3.1"),
        pytest.param(
            None, b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00", 0x81, id="the reserved connect flag"
        ),
        pytest.param(
            None, b"\x10\x0c\x00\x04MQTT\x04\x42\x00\x00\x00\x00", 0x81, id="a password without a user"
        ),
        pytest.param(
            None, b"\x10\x0c\x00\x04MQTT\x04\x0a\x00\x00\x00\x00", 0x81, id="will QoS without a will"
        ),
        pytest.param(None, b"\x10\xff\xff\xff\x7f", 0x95, id="a CONNECT of 256 MB"),
        pytest.param(Version.V5, b"\x30\x80\x80\x80\x80\x01", 0x81, id="a length of five bytes"),
        pytest.param(Version.V5, b"\xc0\x80\x00", 0x81, id="a length longer than it needs"),
        pytest.param(Version.V5, b"\x00\x00", 0x81, id="packet type 0"),
        pytest.param(Version.V311, b"\xf0\x00", 0x81, id="AUTH in 3.1.1"),
        pytest.param(Version.V5, b"\x36\x04\x00\x01a\x00", 0x81, id="QoS 3"),
        pytest.param(Version.V5, b"\x38\x04\x00\x01a\x00", 0x81, id="DUP with QoS 0"),
        pytest.param(Version.V5, b"\x32\x06\x00\x01a\x00\x00\x00", 0x82, id="packet identifier 0"),
        pytest.param(Version.V5, b"\x30\x04\x00\x01#\x00", 0x90, id="a wildcard in a topic name"),
        pytest.param(Version.V5, b"\x30\x04\x00\x01\x00\x00", 0x81, id="U+0000 in a topic name"),
        pytest.param(Version.V5, b"\x30\x04\x00\x01\xff\x00", 0x81, id="a topic name that is no UTF-8"),
        pytest.param(Version.V5, b"\x30\x06\x00\x03\xed\xa0\x80\x00", 0x81, id="a surrogate"),
        pytest.param(Version.V5, b"\x30\x03\x00\x00\x00", 0x82, id="neither topic nor alias"),
        pytest.param(Version.V311, b"\x30\x02\x00\x00", 0x90, id="an empty topic name in 3.1.1"),
        pytest.param(Version.V5, b"\x30\x03\x00\x05a", 0x81, id="a topic longer than the packet"),
        pytest.param(Version.V5, b"\x30\x01\x00", 0x81, id="half a topic length"),
        pytest.param(Version.V5, b"\x30\x06\x00\x01a\x02\x01\x07", 0x82, id="a flag property that is 7"),
        pytest.param(Version.V5, b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00", 0x82, id="a property given twice"),
        pytest.param(Version.V5, b"\x30\x06\x00\x01a\x02\x7f\x00", 0x81, id="an unknown property"),
        pytest.param(Version.V5, b"\x30\x07\x00\x01a\x03\x21\x00\x01", 0x81, id="another packet's property"),
        pytest.param(Version.V5, b"\x30\x07\x00\x01a\x08\x00\x00\x01", 0x81, id="properties beyond the end"),
        pytest.param(Version.V5, b"\x80\x07\x00\x01\x00\x00\x01a\x00", 0x81, id="SUBSCRIBE with wrong flags"),
        pytest.param(Version.V5, b"\x82\x03\x00\x01\x00", 0x81, id="SUBSCRIBE to nothing"),
        pytest.param(Version.V5, b"\x82\x09\x00\x01\x00\x00\x03a#b\x00", 0x8F, id="a filter with # inside"),
        pytest.param(Version.V5, b"\x82\x07\x00\x01\x00\x00\x01a\x03", 0x81, id="a subscription with QoS 3"),
        pytest.param(Version.V5, b"\x82\x07\x00\x01\x00\x00\x01a\x30", 0x81, id="retain handling 3"),
        pytest.param(Version.V311, b"\x82\x06\x00\x01\x00\x01a\x04", 0x81, id="v5 options in 3.1.1"),
        pytest.param(Version.V5, b"\xc0\x01\x00", 0x81, id="PINGREQ with a body"),
    ],
)
def test_refuses(version: Version | None, data: bytes, reason: int) -> None:
    with pytest.raises(MalformedPacket) as refused:
        decoded(Decoder(limit=300 << 20, version=version), data)
    assert refused.value.reason == reason


def test_a_size_over_the_limit_is_refused_by_its_header_alone() -> None:
    decoder = Decoder(limit=100, version=Version.V5)
    decoder.feed(b"\x30\x63")
    with pytest.raises(MalformedPacket) as refused:
        decoder.next_packets()
    assert refused.value.reason == ReasonCode.PACKET_TOO_LARGE


def test_a_packet_of_exactly_the_limit_passes() -> None:
    packet = Publish(topic="a", payload=b"x" * 94)
    data = encode(packet, Version.V5)
    assert len(data) == 100
    assert decoded(Decoder(limit=100, version=Version.V5), data) == [packet]
    with pytest.raises(MalformedPacket):
        decoded(Decoder(limit=99, version=Version.V5), data)


def test_a_stranger_may_not_send_a_long_first_packet() -> None:
    connect = Connect(
        version=Version.V5,
        client_id="a",
        properties=Properties(user=(("k", "v" * 60_000),) * 5),
    )
    data = encode(connect, Version.V5)
    assert len(data) > FIRST_PACKET_LIMIT
    with pytest.raises(MalformedPacket) as refused:
        decoded(Decoder(limit=LIMIT), data)
    assert refused.value.reason == ReasonCode.PACKET_TOO_LARGE


def test_what_a_version_lacks_is_left_out() -> None:
    packet = Publish(topic="a", payload=b"x", properties=Properties(content_type="text/plain"))
    bare = msgspec.structs.replace(packet, properties=NO_PROPERTIES)
    assert encode(packet, Version.V311) == encode(bare, Version.V311) == b"\x30\x04\x00\x01ax"
    assert encode(Puback(packet_id=1, reason=0x87), Version.V311) == b"\x40\x02\x00\x01"


def test_a_string_that_fits_no_field_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="65535"):
        encode(Publish(topic="a" * 65_536), Version.V5)
