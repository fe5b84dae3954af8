"""Whether a CONNECT is let in, and what it is answered (§3.1, §3.2)."""

from sonde_broker.bus.accounts import Credentials, Grants
from sonde_broker.bus.packets import Connack, Connect, Properties, ReasonCode, Version
from sonde_broker.bus.settings import Limits

__all__ = ["judge", "refusal", "welcome"]

_RETURN_CODES = {
    ReasonCode.UNSUPPORTED_PROTOCOL_VERSION: 1,
    ReasonCode.CLIENT_IDENTIFIER_NOT_VALID: 2,
    ReasonCode.QUOTA_EXCEEDED: 3,
    ReasonCode.QOS_NOT_SUPPORTED: 3,
    ReasonCode.BAD_USER_NAME_OR_PASSWORD: 4,
    ReasonCode.NOT_AUTHORIZED: 5,
}
"""What 3.1.1 says instead (3.1.1 §3.2.2.3). It knows no more, so the rest becomes 5."""


def judge(
    connect: Connect, client_id: str, credentials: Credentials, *, holder: str | None, full: bool
) -> Grants | ReasonCode:
    """What the client may do, or why it is not let in.

    `holder` is the user who is connected with this client id already, if any; `full` is whether there is no room
    for one more client.
    """
    if connect.properties.authentication_method is not None:
        return ReasonCode.BAD_AUTHENTICATION_METHOD
    grants = credentials.authenticate(connect.username, connect.password, client_id)
    if grants is None:
        named = connect.username is not None
        return ReasonCode.BAD_USER_NAME_OR_PASSWORD if named else ReasonCode.NOT_AUTHORIZED
    if connect.version is Version.V311 and not connect.client_id and not connect.clean:
        # 3.1.1 §3.1.3.1: a name is needed to keep a session by.
        return ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    if credentials.required and holder not in (None, connect.username):
        return ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
    if full:
        return ReasonCode.QUOTA_EXCEEDED
    if connect.will is not None:
        if connect.will.qos == 2:
            return ReasonCode.QOS_NOT_SUPPORTED
        if not grants.may_publish(connect.will.topic):
            return ReasonCode.NOT_AUTHORIZED
    return grants


def welcome(connect: Connect, client_id: str, limits: Limits) -> Connack:
    """Says what is not offered (§3.2.2.3)."""
    return Connack(
        properties=Properties(
            session_expiry=0 if connect.properties.session_expiry else None,
            maximum_qos=1,
            maximum_packet_size=limits.packet,
            assigned_client_id=None if connect.client_id else client_id,
            topic_alias_maximum=0,
            subscription_ids_available=0,
            shared_available=0,
        )
    )


def refusal(version: Version, reason: ReasonCode) -> Connack:
    return Connack(reason=reason if version is Version.V5 else _RETURN_CODES.get(reason, 5))
