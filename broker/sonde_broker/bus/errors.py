"""Everything the bus engines raise.

BusError
├── MalformedPacket     a peer broke the MQTT format or protocol; carries the MQTT 5 reason code
├── InvalidTopic        a topic name or filter that MQTT does not allow (also a ValueError)
├── InvalidSettings     settings that cannot be served, or not safely (also a ValueError)
├── EngineMissing       the program that should be the bus is not installed
└── EngineLost          the bus could not start, or ended while it was in use
"""


class BusError(Exception):
    """The root of this package's errors."""


class MalformedPacket(BusError):
    """A packet that breaks the specification.

    `reason` is a code of MQTT 5 §2.4, also when the peer speaks 3.1.1. `detail` is for the log.
    """

    def __init__(self, reason: int, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{detail} (reason 0x{reason:02X})")


class InvalidTopic(BusError, ValueError):
    """A topic name or filter that breaks MQTT 5 §4.7."""

    def __init__(self, topic: str, problem: str) -> None:
        self.topic = topic
        self.problem = problem
        super().__init__(f"{topic[:100]!r} {problem}")


class InvalidSettings(BusError, ValueError):
    """Settings the bus refuses to start with."""


class EngineMissing(BusError):
    """The bus program is not on PATH."""

    def __init__(self, program: str, remedy: str) -> None:
        self.program = program
        self.remedy = remedy
        super().__init__(f"{program} is not installed; {remedy}")


class EngineLost(BusError):
    """The bus program did not start, or ended by itself.

    `code` is its exit status (negative: the signal), None when it never got so far. `log` is the end of
    what it wrote.
    """

    def __init__(self, program: str, code: int | None, log: str) -> None:
        self.program = program
        self.code = code
        self.log = log
        ending = "gave no answer" if code is None else f"ended with status {code}"
        super().__init__(f"{program} {ending}" + (f": {log}" if log else ""))
