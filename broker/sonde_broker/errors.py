"""The broker's errors.

BrokerError
 +-- InvalidSettings     the person who starts the broker asked for something impossible or unsafe (exit 2)
 +-- CannotListen        the address is taken or not ours (exit 1)
 +-- BadToken            a token that does not say, beyond doubt, who its bearer is
"""

from sonde_wire import Code, Reason, Refused


class BrokerError(Exception):
    """Root of the broker's errors."""


class InvalidSettings(BrokerError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class CannotListen(BrokerError):
    def __init__(self, address: str, problem: str, option: str = "--listen") -> None:
        super().__init__(address, problem)
        self.address = address
        self.problem = problem
        self.option = option

    def __str__(self) -> str:
        return (
            f"cannot listen on {self.address}: {self.problem}; choose another address with {self.option} HOST:PORT "
            "(port 0 takes any free one)"
        )


class BadToken(BrokerError):
    """`problem` is for the log. Who sent the token learns only whether a new one would help."""

    def __init__(self, problem: str, *, expired: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.expired = expired

    def __str__(self) -> str:
        return f"the token was refused: {self.problem}"

    @property
    def public(self) -> str:
        return "the token has expired: sign in again" if self.expired else "the token is not valid here"

    def refused(self) -> Refused:
        reason = Reason.TOKEN_EXPIRED if self.expired else Reason.BAD_TOKEN
        return Refused(Code.UNAUTHENTICATED, reason, self.public)
