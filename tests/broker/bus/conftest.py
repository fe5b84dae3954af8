"""Which client is tried with which bus, and what NATS's server does not do."""

import pytest

_OLD = "NATS's server knows MQTT 3.1.1 only"
_NO_LIMIT = "NATS does not limit the size of an MQTT packet"
_ANY_BYTES = "to NATS a topic is bytes"
NATS_DOES_NOT = {
    "test_wildcards_match[nats-#-": "NATS shows its own $MQTT topics to whoever may subscribe to #",
    "test_mosquittos_own_clients_talk_through_it[nats-5]": _OLD,
    "test_v5_properties_pass_unaltered[nats]": _OLD,
    "test_messages_cross_between_the_versions[nats]": _OLD,
    "test_the_newer_of_two_with_one_client_id_stays[nats-": "NATS publishes no will of a client that was replaced",
    "test_a_packet_over_the_limit_ends_only_its_sender[nats]": _NO_LIMIT,
    "test_rubbish_after_connect_closes_that_connection_and_harms_nobody[nats-a claim of": _NO_LIMIT,
    "test_rubbish_after_connect_closes_that_connection_and_harms_nobody[nats-no UTF-8": _ANY_BYTES,
    "test_rubbish_after_connect_closes_that_connection_and_harms_nobody[nats-U+0000": _ANY_BYTES,
    "test_rubbish_after_connect_closes_that_connection_and_harms_nobody[nats-a filter": (
        "NATS refuses a wrong filter in the SUBACK"
    ),
}
"""Beginnings of names of tests."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what cannot be: a client inside another process, or MQTT 5 with a server that does not know it."""
    left_out = [item for item in items if _cannot_be(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        for name, reason in NATS_DOES_NOT.items():
            if item.name.startswith(name):
                item.add_marker(pytest.mark.skip(reason=reason))


def _cannot_be(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    peer = call.params.get("peer", "") if call else ""
    return bool(
        call
        and ((peer == "inside" and "embedded" not in call.id) or (peer.endswith("-5") and "nats" in call.id))
    )
