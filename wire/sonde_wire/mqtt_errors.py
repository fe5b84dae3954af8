"""What can be wrong with the line to the bus, said so that somebody knows what to do.

BusLost          the line could not be made, or broke
 +-- BusRefused  the server said no: to us, to a message or to a subscription; it will say so again

MQTT 5 gives a reason code to each refusal (MQTT 5.0, section 2.4). MQTT 3.1.1 refuses only logins and subscriptions,
by codes which paho turns into those of MQTT 5.
"""

from sonde_wire.errors import WireError

_LOG = "the server's log says why"
_RIGHT = "the server's access list has to allow it"
_REASONS: dict[int, tuple[str, str]] = {
    0x80: ("no reason was given", "the server's access list or its log says why"),
    0x82: ("protocol error", _LOG),
    0x84: ("MQTT 3.1.1 and 5 are unknown to it", "another MQTT server is needed"),
    0x85: ("client id not valid", "another user may be connected with it"),
    0x86: ("bad user name or password", "look at the user and the password of the bus's URL"),
    0x87: ("not authorized", _RIGHT),
    0x88: ("server unavailable", _LOG),
    0x89: ("server busy", _LOG),
    0x8A: ("banned", _LOG),
    0x8B: ("server shutting down", ""),
    0x8D: ("nothing was heard for too long", ""),
    0x8E: ("another program connected with the same client id", ""),
    0x8F: ("topic filter invalid", _LOG),
    0x90: ("topic name invalid", _LOG),
    0x95: ("packet too large", "the server's limit on the size of a message has to be raised"),
    0x97: ("quota exceeded", "a limit of the server has to be raised"),
    0x9A: ("retained messages not supported", "another MQTT server is needed"),
    0x9B: ("QoS not supported", "another MQTT server is needed"),
    0x9F: ("too many connections in a short time", ""),
    0xA2: ("wildcard subscriptions not supported", "another MQTT server is needed"),
}
NOT_AUTHORIZED = 0x87
QUOTA_EXCEEDED = 0x97
UNSUPPORTED_VERSION = 0x84
LOGIN_REFUSED = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})
"""The answers to a CONNECT that will be the same next time; after the others it is worth while to try another node."""


def reason(code: int) -> str:
    return _REASONS.get(code, (f"reason 0x{code:02X}", _LOG))[0]


class BusLost(WireError):
    """The line to the MQTT server could not be made, or broke. `problem` never contains the password."""

    def __init__(self, server: str, problem: str) -> None:
        super().__init__(server, problem)
        self.server = server
        self.problem = problem

    def __str__(self) -> str:
        return f"the bus at {self.server} cannot be reached: {self.problem}"


class BusRefused(BusLost):
    """`what` the server refuses, as in "to let us in"; `code` is MQTT 5's reason, also with MQTT 3.1.1."""

    def __init__(self, server: str, what: str, code: int, user: str | None = None) -> None:
        super().__init__(server, f"it refuses {what}: {reason(code)}")
        self.what = what
        self.code = code
        self.user = user

    def __str__(self) -> str:
        whom = f" user {self.user!r}" if self.user else ""
        remedy = _REASONS.get(self.code, ("", _LOG))[1]
        return f"the bus at {self.server} refuses{whom} {self.what}: {reason(self.code)}" + (
            f"; {remedy}" if remedy else ""
        )
