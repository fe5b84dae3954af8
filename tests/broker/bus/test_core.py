"""The rules of the bus, without sockets."""

from typing import Any

import pytest

from sonde_broker.bus.accounts import Account
from sonde_broker.bus.errors import MalformedPacket
from sonde_broker.bus.events import Malformed, Stopping
from sonde_broker.bus.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Properties,
    Puback,
    Publish,
    Pubrel,
    ReasonCode,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Version,
    Will,
)
from sonde_broker.bus.settings import BusSettings, Limits
from tests.broker.bus.simulation import Simulation

both_versions = pytest.mark.parametrize("version", list(Version), ids=["v311", "v5"])
WILL = Will(topic="gone/a", payload=b"dead", qos=1)

AGENT = Account(
    user="agent", password="secret", publish=("up/%c/#", "up/%u"), subscribe=("down/%c/#", "news/+")
)
BROKER = Account(user="broker", password="secret2", publish=("#",), subscribe=("#",))
SECURED = BusSettings(accounts=(AGENT, BROKER), limits=Limits())


class TestConnecting:
    def test_a_welcome_says_what_is_not_offered(self) -> None:
        bus = Simulation(packet=5000)
        _, answer = bus.try_connect("a", properties=Properties(session_expiry=60))
        assert answer == Connack(
            properties=Properties(
                session_expiry=0,
                maximum_qos=1,
                maximum_packet_size=5000,
                topic_alias_maximum=0,
                subscription_ids_available=0,
                shared_available=0,
            )
        )

    def test_a_client_without_a_name_gets_one(self) -> None:
        _, answer = Simulation().try_connect("")
        assert answer is not None
        assert answer.properties.assigned_client_id == "auto-1"

    def test_a_v311_client_without_a_name_cannot_ask_for_a_kept_session(self) -> None:
        bus = Simulation()
        client, answer = bus.try_connect("", Version.V311, clean=False)
        assert answer == Connack(reason=2)
        assert client in bus.closed

    @both_versions
    def test_no_session_is_ever_present(self, version: Version) -> None:
        bus = Simulation()
        bus.lose(bus.connect("a", version, clean=False))
        _, answer = bus.try_connect("a", version, clean=False)
        assert answer is not None
        assert not answer.session_present

    def test_an_unknown_protocol_level_is_told_so_in_v311(self) -> None:
        bus = Simulation()
        client = bus.open(Version.V311)
        bus.event(Malformed(client, MalformedPacket(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, "level 9")))
        assert bus.got(client) == [Connack(reason=1)]
        assert client in bus.closed

    def test_rubbish_as_first_packet_gets_no_answer(self) -> None:
        bus = Simulation()
        client = bus.open()
        bus.event(Malformed(client, MalformedPacket(ReasonCode.MALFORMED_PACKET, "rubbish")))
        assert bus.got(client) == []
        assert client in bus.closed

    def test_a_first_packet_that_is_no_connect_closes(self) -> None:
        bus = Simulation()
        client = bus.open()
        bus.send(client, Pingreq())
        assert client in bus.closed

    def test_a_second_connect_closes(self) -> None:
        bus = Simulation()
        client = bus.connect("a")
        bus.send(client, Connect(version=Version.V5, client_id="a"))
        assert bus.got(client) == [Disconnect(reason=ReasonCode.PROTOCOL_ERROR)]
        assert client in bus.closed

    def test_enhanced_authentication_is_refused(self) -> None:
        _, answer = Simulation().try_connect("a", properties=Properties(authentication_method="SCRAM"))
        assert answer == Connack(reason=ReasonCode.BAD_AUTHENTICATION_METHOD)

    def test_whoever_sends_no_connect_in_time_is_closed(self) -> None:
        bus = Simulation(connect=10)
        client = bus.open()
        bus.wait(9)
        assert client not in bus.closed
        bus.wait(1)
        assert client in bus.closed

    @pytest.mark.parametrize(("version", "reason"), [(Version.V5, 0x97), (Version.V311, 3)])
    def test_one_client_too_many_is_refused(self, version: Version, reason: int) -> None:
        bus = Simulation(clients=2)
        bus.connect("a")
        bus.connect("b")
        client, answer = bus.try_connect("c", version)
        assert answer == Connack(reason=reason)
        assert client in bus.closed

    def test_a_client_comes_back_into_a_full_bus(self) -> None:
        bus = Simulation(clients=1)
        old = bus.connect("a")
        bus.connect("a")
        assert bus.closed == {old: ReasonCode.SESSION_TAKEN_OVER}

    def test_connections_that_say_nothing_are_bounded(self) -> None:
        bus = Simulation(clients=2)
        opened = [bus.open() for _ in range(5)]
        assert list(bus.closed) == opened[4:]

    @both_versions
    def test_a_ping_is_answered(self, version: Version) -> None:
        bus = Simulation()
        client = bus.connect("a", version)
        bus.send(client, Pingreq())
        assert bus.got(client) == [Pingresp()]

    @pytest.mark.parametrize("packet", [Pubrel(packet_id=1), Auth(), Connack(), Pingresp()])
    def test_a_packet_that_no_client_sends_closes(self, packet: Any) -> None:
        bus = Simulation()
        client = bus.connect("a")
        bus.send(client, packet, Pingreq())
        assert bus.got(client) == [Disconnect(reason=ReasonCode.PROTOCOL_ERROR)]

    def test_when_the_bus_stops_clients_are_told_and_no_will_is_sent(self) -> None:
        bus = Simulation()
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#")
        client = bus.connect("a", will=WILL)
        bus.event(Stopping())
        assert bus.got(client) == [Disconnect(reason=ReasonCode.SERVER_SHUTTING_DOWN)]
        assert bus.got(watcher) == [Disconnect(reason=ReasonCode.SERVER_SHUTTING_DOWN)]


class TestPublishing:
    @both_versions
    def test_a_message_reaches_those_who_subscribed(self, version: Version) -> None:
        bus = Simulation()
        one, other, sender = bus.connect("1", version), bus.connect("2", version), bus.connect("s")
        assert bus.subscribe(one, "a/+") == 0
        assert bus.subscribe(other, "b/#") == 0
        bus.publish(sender, "a/x", b"hello")
        assert bus.got(one) == [Publish(topic="a/x", payload=b"hello")]
        assert bus.got(other) == []

    @both_versions
    def test_qos_1_is_acknowledged(self, version: Version) -> None:
        bus = Simulation()
        sender = bus.connect("s", version)
        bus.publish(sender, "a", qos=1)
        assert bus.got(sender) == [Puback(packet_id=7)]

    @pytest.mark.parametrize(("sent", "wanted", "seen"), [(0, 1, 0), (1, 0, 0), (1, 1, 1), (1, 2, 1)])
    def test_the_lower_qos_counts(self, sent: int, wanted: int, seen: int) -> None:
        bus = Simulation()
        reader, sender = bus.connect("r"), bus.connect("s")
        assert bus.subscribe(reader, "a", wanted) == min(wanted, 1)
        bus.publish(sender, "a", qos=sent)
        (message,) = bus.got(reader)
        assert isinstance(message, Publish)
        assert message.qos == seen

    def test_qos_2_ends_a_v5_client_with_the_reason(self) -> None:
        bus = Simulation()
        client = bus.connect("a")
        bus.publish(client, "a", qos=2)
        assert bus.got(client) == [Disconnect(reason=ReasonCode.QOS_NOT_SUPPORTED)]
        assert client in bus.closed

    def test_qos_2_closes_a_v311_client(self) -> None:
        bus = Simulation()
        client = bus.connect("a", Version.V311)
        bus.publish(client, "a", qos=2)
        assert bus.got(client) == []
        assert client in bus.closed

    def test_a_will_with_qos_2_is_refused(self) -> None:
        _, answer = Simulation().try_connect("a", will=Will(topic="t", qos=2))
        assert answer == Connack(reason=ReasonCode.QOS_NOT_SUPPORTED)

    def test_a_topic_alias_ends_the_client(self) -> None:
        bus = Simulation()
        client = bus.connect("a")
        bus.publish(client, "a", properties=Properties(topic_alias=1))
        assert bus.closed[client] == ReasonCode.TOPIC_ALIAS_INVALID

    def test_several_matching_filters_give_one_message_with_the_highest_qos(self) -> None:
        bus = Simulation()
        reader, sender = bus.connect("r"), bus.connect("s")
        bus.subscribe(reader, "a/#", 0)
        bus.subscribe(reader, "a/b", 1)
        bus.publish(sender, "a/b", qos=1)
        (message,) = bus.got(reader)
        assert isinstance(message, Publish)
        assert message.qos == 1

    def test_v5_properties_pass_unaltered(self) -> None:
        given = Properties(
            payload_format=1,
            content_type="application/json",
            response_topic="back",
            correlation_data=b"\0\1",
            user=(("k", "1"), ("k", "2")),
        )
        bus = Simulation()
        reader, old, sender = bus.connect("r"), bus.connect("o", Version.V311), bus.connect("s")
        bus.subscribe(reader, "a")
        bus.subscribe(old, "a")
        bus.publish(sender, "a", b"{}", properties=given)
        assert bus.got(reader) == [Publish(topic="a", payload=b"{}", properties=given)]
        assert bus.got(old) == [Publish(topic="a", payload=b"{}")]

    def test_no_local_keeps_a_client_from_its_own_messages(self) -> None:
        bus = Simulation()
        client, other = bus.connect("a"), bus.connect("b")
        bus.subscribe(client, "a", no_local=True)
        bus.publish(client, "a", b"own")
        bus.publish(other, "a", b"others")
        assert bus.payloads(client) == [b"others"]

    def test_nobody_publishes_to_the_servers_own_topics(self) -> None:
        bus = Simulation()
        reader, sender = bus.connect("r"), bus.connect("s")
        bus.subscribe(reader, "$SYS/#")
        bus.publish(sender, "$SYS/uptime", qos=1)
        assert bus.got(reader) == []
        assert bus.got(sender) == [Puback(packet_id=7, reason=ReasonCode.NOT_AUTHORIZED)]

    def test_a_message_too_large_for_its_reader_is_dropped(self) -> None:
        bus = Simulation()
        reader, sender = bus.connect("r", properties=Properties(maximum_packet_size=50)), bus.connect("s")
        bus.subscribe(reader, "a", 1)
        bus.publish(sender, "a", b"x" * 100, qos=0)
        bus.publish(sender, "a", b"x" * 100, qos=1)
        bus.publish(sender, "a", b"small", qos=1)
        assert bus.payloads(reader) == [b"small"]
        assert bus.core.counters().dropped == 2


class TestSubscribing:
    def test_shared_subscriptions_are_refused(self) -> None:
        bus = Simulation()
        assert bus.subscribe(bus.connect("a"), "$share/g/a") == ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        assert bus.subscribe(bus.connect("b", Version.V311), "$share/g/a") == 0x80

    def test_a_subscription_identifier_ends_the_client(self) -> None:
        bus = Simulation()
        client = bus.connect("a")
        wish = Subscription(filter="a")
        bus.send(
            client,
            Subscribe(packet_id=1, subscriptions=(wish,), properties=Properties(subscription_ids=(5,))),
        )
        assert bus.closed[client] == ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED

    @both_versions
    def test_after_unsubscribe_nothing_comes(self, version: Version) -> None:
        bus = Simulation()
        client, sender = bus.connect("a", version), bus.connect("s")
        bus.subscribe(client, "a")
        bus.send(client, Unsubscribe(packet_id=3, filters=("a", "never")))
        reasons = (0, 0x11) if version is Version.V5 else ()
        assert bus.got(client) == [Unsuback(packet_id=3, reasons=reasons)]
        bus.publish(sender, "a")
        assert bus.got(client) == []

    def test_one_filter_too_many_is_refused(self) -> None:
        bus = Simulation(subscriptions=2)
        client = bus.connect("a")
        assert [bus.subscribe(client, name) for name in ("a", "b", "c", "b")] == [0, 0, 0x97, 0]

    def test_subscribing_again_replaces_the_options(self) -> None:
        bus = Simulation()
        client, sender = bus.connect("a"), bus.connect("s")
        bus.subscribe(client, "a", 0)
        bus.subscribe(client, "a", 1)
        bus.publish(sender, "a", qos=1)
        (message,) = bus.got(client)
        assert isinstance(message, Publish)
        assert message.qos == 1


class TestRetained:
    @both_versions
    def test_a_retained_message_comes_to_later_subscribers_with_the_flag(self, version: Version) -> None:
        bus = Simulation()
        sender = bus.connect("s")
        bus.publish(sender, "a/b", b"state", retain=True)
        reader = bus.connect("r", version)
        bus.subscribe(reader, "a/#")
        assert bus.got(reader) == [Publish(topic="a/b", payload=b"state", retain=True)]

    def test_live_it_comes_without_the_flag_unless_asked_for(self) -> None:
        bus = Simulation()
        plain, published, sender = bus.connect("1"), bus.connect("2"), bus.connect("s")
        bus.subscribe(plain, "a")
        bus.subscribe(published, "a", retain_as_published=True)
        bus.publish(sender, "a", retain=True)
        assert bus.got(plain) == [Publish(topic="a", payload=b"x")]
        assert bus.got(published) == [Publish(topic="a", payload=b"x", retain=True)]

    def test_the_newest_replaces_and_an_empty_one_clears(self) -> None:
        bus = Simulation()
        sender = bus.connect("s")
        bus.publish(sender, "a", b"1", retain=True)
        bus.publish(sender, "a", b"22", retain=True)
        assert bus.core.counters().retained == 1
        bus.subscribe(bus.connect("r"), "a")
        bus.publish(sender, "a", b"", retain=True)
        late = bus.connect("r2")
        bus.subscribe(late, "a")
        assert bus.got(late) == []
        assert bus.core.counters().retained == 0
        assert bus.core.counters().retained_bytes == 0

    def test_retain_handling_1_sends_only_to_new_subscriptions_and_2_never(self) -> None:
        bus = Simulation()
        bus.publish(bus.connect("s"), "a", retain=True)
        reader = bus.connect("r")
        bus.subscribe(reader, "a", retain_handling=1)
        assert len(bus.got(reader)) == 1
        bus.subscribe(reader, "a", retain_handling=1)
        assert bus.got(reader) == []
        bus.subscribe(reader, "a", retain_handling=0)
        assert len(bus.got(reader)) == 1
        other = bus.connect("o")
        bus.subscribe(other, "a", retain_handling=2)
        assert bus.got(other) == []

    def test_what_has_expired_is_not_delivered_and_then_forgotten(self) -> None:
        bus = Simulation()
        bus.publish(bus.connect("s"), "a", retain=True, properties=Properties(message_expiry=20))
        bus.now += 5.5
        early = bus.connect("e")
        bus.subscribe(early, "a")
        (message,) = bus.got(early)
        assert isinstance(message, Publish)
        assert message.properties.message_expiry == 15
        bus.now += 14.5
        late = bus.connect("l")
        bus.subscribe(late, "a")
        assert bus.got(late) == []
        bus.wait(10)
        assert bus.core.counters().retained == 0

    def test_their_number_is_bounded(self) -> None:
        bus = Simulation(retained_messages=2)
        sender = bus.connect("s")
        for topic in ("a", "b", "c", "a"):
            bus.publish(sender, topic, retain=True, qos=1)
        reasons = [packet.reason for packet in bus.got(sender) if isinstance(packet, Puback)]
        assert reasons == [0, 0, ReasonCode.QUOTA_EXCEEDED, 0]
        assert bus.core.counters().retained == 2

    def test_their_size_is_bounded(self) -> None:
        bus = Simulation(retained=1000)
        sender = bus.connect("s")
        bus.publish(sender, "a", b"x" * 600, retain=True)
        bus.publish(sender, "b", b"x" * 600, retain=True)
        bus.publish(sender, "a", b"x" * 900, retain=True)
        assert bus.core.counters().retained == 1
        assert 900 < bus.core.counters().retained_bytes < 1000

    def test_more_of_them_than_the_line_takes_come_as_it_empties(self) -> None:
        bus = Simulation(backlog=200_000)
        sender, reader = bus.connect("s"), bus.connect("r")
        for number in range(100):
            bus.publish(sender, f"a/{number}", b"x" * 10_000, retain=True)
        bus.stuck.add(reader)
        bus.subscribe(reader, "a/#")
        assert 5 <= len(bus.payloads(reader)) <= 10
        bus.unstick(reader)
        assert len(bus.payloads(reader)) > 85
        assert bus.core.counters().dropped == 0


class TestWills:
    @both_versions
    def test_a_lost_client_leaves_its_will(self, version: Version) -> None:
        bus = Simulation()
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#", 1)
        bus.lose(bus.connect("a", version, will=WILL))
        assert bus.payloads(watcher) == [b"dead"]

    @both_versions
    def test_a_client_that_says_goodbye_does_not(self, version: Version) -> None:
        bus = Simulation()
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#")
        client = bus.connect("a", version, will=WILL)
        bus.send(client, Disconnect())
        bus.lose(client)
        assert bus.got(watcher) == []
        assert client in bus.closed

    def test_disconnect_with_will_sends_it(self) -> None:
        bus = Simulation()
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#")
        bus.send(bus.connect("a", will=WILL), Disconnect(reason=ReasonCode.DISCONNECT_WITH_WILL))
        assert bus.payloads(watcher) == [b"dead"]

    def test_a_taken_over_session_sends_it(self) -> None:
        bus = Simulation()
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#")
        old = bus.connect("a", will=WILL)
        new = bus.connect("a")
        assert bus.payloads(watcher) == [b"dead"]
        assert bus.got(old) == [Disconnect(reason=ReasonCode.SESSION_TAKEN_OVER)]
        assert old in bus.closed
        assert new not in bus.closed

    def test_a_silent_client_loses_its_session_after_one_and_a_half_keep_alives(self) -> None:
        bus = Simulation()
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#")
        client = bus.connect("a", will=WILL, keep_alive=10)
        bus.wait(14)
        bus.send(client, Pingreq())
        bus.wait(15)
        assert client not in bus.closed
        bus.wait(0.1)
        assert bus.closed == {client: ReasonCode.KEEP_ALIVE_TIMEOUT}
        assert bus.payloads(watcher) == [b"dead"]

    def test_a_breach_of_the_protocol_sends_it(self) -> None:
        bus = Simulation()
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#")
        client = bus.connect("a", will=WILL)
        bus.event(Malformed(client, MalformedPacket(ReasonCode.MALFORMED_PACKET, "rubbish")))
        assert bus.got(client) == [Disconnect(reason=ReasonCode.MALFORMED_PACKET)]
        assert bus.payloads(watcher) == [b"dead"]

    def test_it_can_be_retained_and_carries_its_properties(self) -> None:
        bus = Simulation()
        given = Properties(content_type="text/plain", user=(("boot", "1"),))
        will = Will(
            topic="gone/a",
            payload=b"dead",
            retain=True,
            properties=Properties(content_type="text/plain", user=(("boot", "1"),), will_delay=30),
        )
        bus.lose(bus.connect("a", will=will))
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#")
        assert bus.got(watcher) == [Publish(topic="gone/a", payload=b"dead", retain=True, properties=given)]

    def test_wills_that_cause_wills_all_arrive(self) -> None:
        bus = Simulation(queue=10, inflight=1)
        watcher = bus.connect("w")
        bus.subscribe(watcher, "gone/#")
        clients = [
            bus.connect(f"c{n}", will=Will(topic="gone/a", payload=b"%d" % n, qos=1)) for n in range(400)
        ]
        for client in clients:
            bus.subscribe(client, "gone/#", 1)
        for _ in range(2):
            bus.publish(watcher, "gone/x", b"fill", qos=1)
        bus.got(watcher)
        bus.lose(clients[0])
        assert len(bus.payloads(watcher)) == 400


class TestAccess:
    @pytest.mark.parametrize(
        ("version", "nameless", "wrong"), [(Version.V5, 0x87, 0x86), (Version.V311, 5, 4)]
    )
    def test_strangers_stay_out(self, version: Version, nameless: int, wrong: int) -> None:
        bus = Simulation(SECURED)
        for fields, reason in (
            ({}, nameless),
            ({"username": "agent", "password": b"wrong"}, wrong),
            ({"username": "nobody", "password": b"secret"}, wrong),
            ({"username": "nobody", "password": b""}, wrong),
            ({"username": "agent"}, wrong),
        ):
            client, answer = bus.try_connect("a", version, **fields)
            assert answer == Connack(reason=reason)
            assert client in bus.closed
        assert bus.core.counters().denied == 5
        assert bus.denied[1].user == "agent"

    def test_publications_outside_the_patterns_reach_nobody(self) -> None:
        bus = Simulation(SECURED)
        reader = bus.connect("b", user="broker", password=b"secret2")
        bus.subscribe(reader, "#")
        agent = bus.connect("a1", user="agent", password=b"secret")
        for topic in ("up/a1/x", "up/agent", "up/a2/x", "down/a1/x", "up/a1/x/", "Up/a1/x", "/up/a1/x"):
            bus.publish(agent, topic, topic.encode())
        assert bus.payloads(reader) == [b"up/a1/x", b"up/agent", b"up/a1/x/"]
        assert [denied.topic for denied in bus.denied] == ["up/a2/x", "down/a1/x", "Up/a1/x", "/up/a1/x"]

    def test_a_refused_publication_is_told_to_v5_and_acknowledged_to_v311(self) -> None:
        bus = Simulation(SECURED)
        for version, reason in ((Version.V5, ReasonCode.NOT_AUTHORIZED), (Version.V311, 0)):
            agent = bus.connect(f"a{version}", version, user="agent", password=b"secret")
            bus.publish(agent, "other", qos=1, retain=True)
            assert bus.got(agent) == [Puback(packet_id=7, reason=reason)]
        assert bus.core.counters().retained == 0

    @pytest.mark.parametrize("wanted", ["#", "+/a1/x", "down/#", "down/+/x", "down/a2/x", "news/#", "$SYS/#"])
    def test_subscriptions_wider_than_the_patterns_are_refused(self, wanted: str) -> None:
        bus = Simulation(SECURED)
        agent = bus.connect("a1", user="agent", password=b"secret")
        assert bus.subscribe(agent, wanted) == ReasonCode.NOT_AUTHORIZED
        old = bus.connect("a1", Version.V311, user="agent", password=b"secret")
        assert bus.subscribe(old, wanted) == 0x80
        bus.publish(bus.connect("b", user="broker", password=b"secret2"), "down/a2/x", retain=True)
        assert bus.got(old) == []

    def test_subscriptions_within_the_patterns_are_granted(self) -> None:
        bus = Simulation(SECURED)
        agent = bus.connect("a1", user="agent", password=b"secret")
        assert [bus.subscribe(agent, name) for name in ("down/a1/#", "down/a1/+/x", "news/+", "news/a")] == [
            0
        ] * 4

    @pytest.mark.parametrize("client_id", ["+", "#", "a/b", "$x"])
    def test_a_client_id_that_acts_as_a_wildcard_grants_nothing(self, client_id: str) -> None:
        bus = Simulation(SECURED)
        agent = bus.connect(client_id, user="agent", password=b"secret")
        assert bus.subscribe(agent, f"down/{client_id}/#" if client_id != "#" else "down/#") == 0x87

    def test_a_will_for_a_foreign_topic_is_refused(self) -> None:
        bus = Simulation(SECURED)
        _, answer = bus.try_connect("a1", username="agent", password=b"secret", will=Will(topic="up/a2/gone"))
        assert answer == Connack(reason=ReasonCode.NOT_AUTHORIZED)
        bus.connect("a1", user="agent", password=b"secret", will=Will(topic="up/a1/gone"))

    def test_another_user_cannot_take_over_a_client_id(self) -> None:
        bus = Simulation(SECURED)
        broker = bus.connect("b", user="broker", password=b"secret2")
        _, answer = bus.try_connect("b", username="agent", password=b"secret")
        assert answer == Connack(reason=ReasonCode.CLIENT_IDENTIFIER_NOT_VALID)
        assert broker not in bus.closed

    def test_a_client_that_tries_on_and_on_does_not_flood_the_log(self) -> None:
        bus = Simulation(SECURED)
        agent = bus.connect("a1", user="agent", password=b"secret")
        for _ in range(100):
            bus.publish(agent, "other")
        assert len(bus.denied) == 20
        assert bus.core.counters().denied == 100


class TestSlowReaders:
    def test_no_more_than_the_receive_maximum_is_in_flight(self) -> None:
        bus = Simulation()
        reader, sender = bus.connect("r", properties=Properties(receive_maximum=2)), bus.connect("s")
        bus.subscribe(reader, "a", 1)
        for number in range(5):
            bus.publish(sender, "a", b"%d" % number, qos=1)
        first = bus.got(reader)
        assert [packet.payload for packet in first if isinstance(packet, Publish)] == [b"0", b"1"]
        for packet in first:
            assert isinstance(packet, Publish)
            bus.send(reader, Puback(packet_id=packet.packet_id))
        assert bus.payloads(reader) == [b"2", b"3"]

    def test_packet_ids_in_flight_are_not_used_again(self) -> None:
        bus = Simulation(inflight=2)
        reader, sender = bus.connect("r", Version.V311), bus.connect("s")
        bus.subscribe(reader, "a", 1)
        bus.publish(sender, "a", qos=1)
        (held,) = bus.got(reader)
        assert isinstance(held, Publish)
        for _ in range(65_540):
            bus.publish(sender, "a", qos=1)
            (message,) = bus.got(reader)
            assert isinstance(message, Publish)
            assert message.packet_id != held.packet_id
            bus.send(reader, Puback(packet_id=message.packet_id))
            bus.got(sender)

    def test_an_acknowledgement_of_nothing_is_ignored(self) -> None:
        bus = Simulation()
        client = bus.connect("a")
        bus.send(client, Puback(packet_id=77))
        assert bus.closed == {}

    def test_qos_1_that_piles_up_ends_the_reader_and_nobody_else(self) -> None:
        bus = Simulation(inflight=1, queue=1000)
        reader, other, sender = bus.connect("r"), bus.connect("o"), bus.connect("s")
        bus.subscribe(reader, "a", 1)
        bus.subscribe(other, "a", 0)
        for _ in range(5):
            bus.publish(sender, "a", b"x" * 400, qos=1)
        assert bus.closed == {reader: ReasonCode.QUOTA_EXCEEDED}
        assert bus.got(reader)[-1] == Disconnect(reason=ReasonCode.QUOTA_EXCEEDED)
        assert len(bus.payloads(other)) == 5

    def test_qos_0_is_dropped_beyond_the_backlog_then_the_reader_goes(self) -> None:
        bus = Simulation(backlog=1000, slow=10)
        reader, sender = bus.connect("r"), bus.connect("s")
        bus.subscribe(reader, "a")
        bus.stuck.add(reader)
        for _ in range(20):
            bus.publish(sender, "a", b"x" * 200)
        assert len(bus.payloads(reader)) == 5
        assert bus.core.counters().dropped == 15
        bus.wait(10)
        assert bus.closed == {}
        bus.wait(0.1)
        assert bus.closed == {reader: ReasonCode.QUOTA_EXCEEDED}

    def test_a_reader_that_catches_up_is_forgiven(self) -> None:
        bus = Simulation(backlog=1000, slow=10)
        reader, sender = bus.connect("r"), bus.connect("s")
        bus.subscribe(reader, "a")
        bus.stuck.add(reader)
        for _ in range(20):
            bus.publish(sender, "a", b"x" * 200)
        bus.unstick(reader)
        bus.wait(20)
        bus.got(reader)
        bus.publish(sender, "a", b"again")
        assert bus.payloads(reader) == [b"again"]
        assert bus.closed == {}

    def test_answers_that_nobody_reads_are_bounded_too(self) -> None:
        bus = Simulation(backlog=1000)
        client = bus.connect("a")
        bus.stuck.add(client)
        for _ in range(2000):
            bus.send(client, Pingreq())
        assert bus.closed == {client: ReasonCode.QUOTA_EXCEEDED}
        assert len(bus.got(client)) < 1100

    def test_what_expires_in_the_queue_is_dropped(self) -> None:
        bus = Simulation(inflight=1)
        reader, sender = bus.connect("r"), bus.connect("s")
        bus.subscribe(reader, "a", 1)
        bus.publish(sender, "a", b"1", qos=1)
        bus.publish(sender, "a", b"2", qos=1, properties=Properties(message_expiry=5))
        bus.publish(sender, "a", b"3", qos=1)
        (first,) = bus.got(reader)
        assert isinstance(first, Publish)
        bus.now += 6
        bus.send(reader, Puback(packet_id=first.packet_id))
        assert bus.payloads(reader) == [b"3"]


def test_the_counters_count() -> None:
    bus = Simulation()
    reader, sender = bus.connect("r"), bus.connect("s")
    bus.subscribe(reader, "#")
    bus.publish(sender, "a", b"12345", retain=True)
    bus.lose(reader)
    counters = bus.core.counters()
    assert (counters.clients, counters.received, counters.sent, counters.retained) == (1, 1, 1, 1)


def test_events_of_forgotten_connections_do_nothing() -> None:
    bus = Simulation()
    client = bus.connect("a")
    bus.lose(client)
    bus.send(client, Pingreq())
    bus.lose(client)
    bus.event(Malformed(client, MalformedPacket(ReasonCode.MALFORMED_PACKET, "rubbish")))
    assert bus.got(client) == []
    assert bus.closed == {}
