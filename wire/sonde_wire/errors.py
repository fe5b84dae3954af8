"""The errors of the wire, and the closed list of codes that cross it.

WireError
 +-- InvalidAddress      a name that cannot be a process's (the caller's fault)
 +-- MalformedMessage    bytes that are not the message they should be (the peer's fault)
 +-- Refused             an answer with a code from the closed list (see `Failure`)

Codes are those of gRPC (https://grpc.io/docs/guides/status-codes/), so that nobody has to learn new ones; the
``reason`` beside a code is for programs and is stable, the ``message`` is for people and says what to do.
"""

from enum import StrEnum

from msgspec import Struct


class Code(StrEnum):
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION_DENIED = "permission_denied"
    NOT_FOUND = "not_found"
    INVALID_ARGUMENT = "invalid_argument"
    FAILED_PRECONDITION = "failed_precondition"
    ALREADY_EXISTS = "already_exists"
    OUT_OF_RANGE = "out_of_range"
    RESOURCE_EXHAUSTED = "resource_exhausted"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    ABORTED = "aborted"
    UNAVAILABLE = "unavailable"
    UNIMPLEMENTED = "unimplemented"
    UNKNOWN = "unknown"
    INTERNAL = "internal"


_GRPC_NUMBER = {
    Code.UNKNOWN: 2,
    Code.INVALID_ARGUMENT: 3,
    Code.DEADLINE_EXCEEDED: 4,
    Code.NOT_FOUND: 5,
    Code.ALREADY_EXISTS: 6,
    Code.PERMISSION_DENIED: 7,
    Code.RESOURCE_EXHAUSTED: 8,
    Code.FAILED_PRECONDITION: 9,
    Code.ABORTED: 10,
    Code.OUT_OF_RANGE: 11,
    Code.UNIMPLEMENTED: 12,
    Code.INTERNAL: 13,
    Code.UNAVAILABLE: 14,
    Code.UNAUTHENTICATED: 16,
}


class Reason(StrEnum):
    """Why, for programs. A code says what kind of refusal it is; the reason says which one."""

    BAD_TOKEN = "bad_token"  # noqa: S105 - the name of a reason, not a secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    MISSING_SCOPE = "missing_scope"
    OUTSIDE_SELECTOR = "outside_selector"
    UNKNOWN_PROCESS = "unknown_process"
    UNKNOWN_SESSION = "unknown_session"
    UNKNOWN_METHOD = "unknown_method"
    UNKNOWN_SUBSCRIPTION = "unknown_subscription"
    UNKNOWN_PROBE = "unknown_probe"
    UNKNOWN_SNAPSHOT = "unknown_snapshot"
    INVALID_EXPRESSION = "invalid_expression"
    MALFORMED_MESSAGE = "malformed_message"
    INVALID_PARAMS = "invalid_params"
    NO_SUCH_FILE = "no_such_file"
    DAP_NOT_ALLOWED = "dap_not_allowed"
    NOT_STOPPED = "not_stopped"
    NOT_DRIVER = "not_driver"
    INTERRUPTED = "interrupted"
    PROCESS_ENDED = "process_ended"
    STALE_BOOT = "stale_boot"
    TAP_LOST = "tap_lost"
    DEBUGGER_LOST = "debugger_lost"
    DEBUGGER_UNAVAILABLE = "debugger_unavailable"
    BUS_LOST = "bus_lost"
    NO_HISTORY = "no_history"
    HISTORY_FAILED = "history_failed"
    INVALID_CURSOR = "invalid_cursor"
    TOO_MANY = "too_many"
    NO_ANSWER = "no_answer"
    BUG = "bug"


class Failure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why something was not done: a code, a reason for programs, a sentence for people that says what to do.

    Never carries a traceback, a token or the text of an exception.
    """

    code: Code
    reason: Reason
    message: str

    @property
    def rpc_code(self) -> int:
        """The number that JSON-RPC 2.0 (section 5.1) wants: its own where it has one, -32000 - n otherwise."""
        if self.reason is Reason.MALFORMED_MESSAGE:
            return -32700
        if self.reason is Reason.UNKNOWN_METHOD:
            return -32601
        if self.reason is Reason.INVALID_PARAMS:
            return -32602
        return -32000 - _GRPC_NUMBER[self.code]


class WireError(Exception):
    """Root of the wire's errors."""


class InvalidAddress(WireError, ValueError):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return (
            f"{shown!r} is not a process name: use namespace/service/instance with lower-case letters, digits, "
            "'.', '_' and '-' (at most 63 in each level)"
        )


class MalformedMessage(WireError):
    """`what` names the message that was expected, `problem` where it went wrong (never the payload itself)."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(what, problem)
        self.what = what
        self.problem = problem

    def __str__(self) -> str:
        return f"not a valid {self.what}: {self.problem}"


class Refused(WireError):
    """Raised where something cannot be done; becomes the answer that its asker gets."""

    def __init__(self, code: Code, reason: Reason, message: str) -> None:
        super().__init__(code, reason, message)
        self.failure = Failure(code=code, reason=reason, message=message)

    @classmethod
    def from_failure(cls, failure: Failure) -> "Refused":
        return cls(failure.code, failure.reason, failure.message)

    def __str__(self) -> str:
        return self.failure.message
