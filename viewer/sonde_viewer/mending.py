"""When to come back after a connection broke, and whether to. Pure."""

from collections.abc import Callable

from sonde_viewer.errors import (
    ConnectionDenied,
    ConnectionLost,
    InvalidTarget,
    NoAnswer,
    Refused,
    ViewerError,
)
from sonde_wire import Code, rpc

_LEAST = 0.1
_MOST = 10.0
_LASTED = 10.0
"""Seconds: a connection that lasted so long worked. One that breaks sooner, because its viewer reads too slowly, say,
would come back at once for ever."""
_FOR_NOW = {Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED}
"""Refusals of a broker that is just starting, or has too much to do when all come back at once."""


def can_be_mended(error: ViewerError, *, before: bool) -> bool:
    """`before`: a connection worked already, so that the address is right, and a site that is not there will be back."""
    match error:
        case ConnectionDenied():
            return False
        case ConnectionLost(close_code=code):
            return before and code != rpc.CLOSE_BAD_MESSAGE
        case Refused(code=code):
            return before and code in _FOR_NOW
        case _:
            return before and isinstance(error, InvalidTarget | NoAnswer)


class Backoff:
    """Waits with full jitter, below a ceiling that grows from 0.1 s to 10 s, so that all viewers of a broker do not come
    back at once."""

    def __init__(self, random: Callable[[], float]) -> None:
        """`random`: a number from 0 to 1, another each time."""
        self._random = random
        self._ceiling = _LEAST

    def broke(self, lasted: float) -> float:
        """How long to wait, after a connection that lasted so long; 0 for one that was not made."""
        if lasted >= _LASTED:
            self._ceiling = _LEAST
        wait = self._random() * self._ceiling
        self._ceiling = min(self._ceiling * 2, _MOST)
        return wait
