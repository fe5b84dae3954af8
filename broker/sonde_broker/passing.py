"""Viewers that ask one thing and go: each request of the JSON view is one, for as long as it takes.

To the core such a viewer is like any other: it joins with its claims, calls once, is answered and leaves. Order of calls:
`ask` for each request; `takes` for each effect that goes to a viewer, before anybody else performs it.
"""

import asyncio
import secrets
from collections.abc import Callable
from http import HTTPStatus

from sonde_broker import answers, http_view
from sonde_broker.limits import TokenBucket
from sonde_broker.relay_io import (
    CloseViewer,
    Deliver,
    Happening,
    Send,
    ViewerCalled,
    ViewerId,
    ViewerJoined,
    ViewerLeft,
)
from sonde_broker.tokens import Claims
from sonde_wire import Code, Failure, Reason

PATIENCE = 10.0
"""Seconds for an answer."""
RATE, BURST = 20.0, 40.0
"""Requests of one person each second, and at once."""
MOST_WAITING = 64
_MOST_PEOPLE = 1024
_PREFIX = "http-"


class PassingViewers:
    def __init__(self, tell: Callable[[Happening], None]) -> None:
        self._tell = tell
        self._waiting: dict[ViewerId, asyncio.Future[bytes]] = {}
        self._buckets: dict[str, TokenBucket] = {}
        """By subject, the one that asked longest ago first."""

    async def ask(self, claims: Claims, asked: http_view.Asked) -> tuple[HTTPStatus, bytes]:
        """Status and JSON body. Does not raise for what is refused."""
        loop = asyncio.get_running_loop()
        if not self._may_ask(claims.subject, loop.time()):
            return http_view.failure(_TOO_FAST)
        if len(self._waiting) >= MOST_WAITING:
            return http_view.failure(_TOO_MANY)
        name = f"{_PREFIX}{secrets.token_hex(8)}"
        answered: asyncio.Future[bytes] = loop.create_future()
        self._waiting[name] = answered
        self._tell(ViewerJoined(name, claims, passing=True))
        try:
            self._tell(ViewerCalled(name, asked.call))
            async with asyncio.timeout(PATIENCE):
                return http_view.answer(asked, await answered)
        except TimeoutError:
            return http_view.failure(_TOO_LATE)
        finally:
            del self._waiting[name]
            self._tell(ViewerLeft(name))

    def takes(self, effect: Deliver | Send | CloseViewer) -> bool:
        """Whether it is for one of ours; then it is performed."""
        if isinstance(effect, Deliver) or not effect.viewer.startswith(_PREFIX):
            return False  # they subscribe to nothing
        answered = self._waiting.get(effect.viewer)
        if answered is None or answered.done():
            return True
        if isinstance(effect, CloseViewer):
            answered.set_result(answers.failure(None, _CLOSED))
        elif http_view.is_answer(effect.payload):
            answered.set_result(effect.payload)
        return True

    def _may_ask(self, subject: str, now: float) -> bool:
        bucket = self._buckets.pop(subject, None) or TokenBucket(RATE, BURST)
        self._buckets[subject] = bucket  # the last one of the table
        if len(self._buckets) > _MOST_PEOPLE:
            del self._buckets[next(iter(self._buckets))]
        return bucket.take(now)


_TOO_FAST = Failure(
    code=Code.RESOURCE_EXHAUSTED,
    reason=Reason.TOO_MANY,
    message=f"more than {RATE:g} requests each second with tokens of one subject; ask less often",
)
_TOO_MANY = Failure(
    code=Code.UNAVAILABLE, reason=Reason.TOO_MANY, message="too many requests are under way; try again"
)
_TOO_LATE = Failure(
    code=Code.DEADLINE_EXCEEDED,
    reason=Reason.NO_ANSWER,
    message=f"there was no answer within {PATIENCE:g} s; ask for less, such as a shorter time or a lower limit",
)
_CLOSED = Failure(
    code=Code.UNAUTHENTICATED, reason=Reason.TOKEN_EXPIRED, message="the token has expired: sign in again"
)
