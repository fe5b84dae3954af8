"""The tap's errors. Only InvalidIdentity ever reaches the program, and only out of `sonde_agent.start`.

TapError
 +-- InvalidIdentity   a name or label that cannot be one (the caller's or the environment's fault)
 +-- NoSidecar         there is none and none can be started; trying again would not help
 +-- CallRefused       a call of the sidecar that is answered with a Fault
"""


class TapError(Exception):
    """Root."""


class InvalidIdentity(TapError, ValueError):
    """`what` says which part, such as `service`."""

    def __init__(self, what: str, text: str, rule: str) -> None:
        super().__init__(what, text, rule)
        self.what = what
        self.text = text
        self.rule = rule

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return f"{shown!r} cannot be the {self.what}: {self.rule}"


class NoSidecar(TapError):
    """`reason` is a sentence for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class CallRefused(TapError):
    """`code` and `reason` are from the wire's closed list; `message` is for people."""

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(code, reason, message)
        self.code = code
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return self.message
