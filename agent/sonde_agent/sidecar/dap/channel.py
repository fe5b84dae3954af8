"""One DAP conversation as its client: our own sequence numbers, requests matched with responses, deadlines.

Sans-I/O and without a clock: times are arguments, deadlines are data. What asked comes back as its `tag`, so
that the owner needs no table of its own.

    asked --response--> answered
      \\---deadline----> expired; a response that comes later is dropped, unless it is waited for again
"""

import itertools
import re
from typing import Any, Generic, Literal, TypeVar

from msgspec import UNSET, Raw, Struct, UnsetType

from sonde_agent.sidecar import surrogates
from sonde_wire import codec

Tag = TypeVar("Tag")

_ANSWERS = re.compile(rb'"request_seq"\s*:\s*(\d{1,15})\b')


class Incoming(Struct, frozen=True, kw_only=True):
    """A response or event of pydevd's; bodies stay bytes until somebody must look."""

    type: Literal["response", "event", "request"]
    seq: int = 0
    event: str = ""
    request_seq: int = 0
    command: str = ""
    success: bool = True
    message: str | None = None
    body: Raw | UnsetType = UNSET


class Outgoing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    seq: int
    command: str
    type: Literal["request"]
    arguments: dict[str, Any] = {}


class Asked(Struct, Generic[Tag], frozen=True):
    seq: int
    tag: Tag
    command: str
    since: float
    deadline: float


class Channel(Generic[Tag]):
    def __init__(self) -> None:
        self._next = itertools.count(1).__next__
        self._asked: dict[int, Asked[Tag]] = {}

    def ask(
        self, command: str, arguments: dict[str, Any], tag: Tag, deadline: float, now: float = 0.0
    ) -> bytes:
        """The request as it goes to pydevd, without its frame."""
        seq = self._next()
        self._asked[seq] = Asked(seq, tag, command, now, deadline)
        return codec.encode(Outgoing(seq=seq, type="request", command=command, arguments=arguments))

    def answered(self, response: Incoming) -> Asked[Tag] | None:
        """What this response answers; None when nobody waits for it (any more)."""
        return self._asked.pop(response.request_seq, None)

    def expired(self, now: float) -> list[Asked[Tag]]:
        """What was not answered in time; forgotten with this call."""
        late = [seq for seq, asked in self._asked.items() if asked.deadline <= now]
        return [self._asked.pop(seq) for seq in late]

    def wait_again(self, asked: Asked[Tag], tag: Tag, deadline: float) -> None:
        """For the answer to what has expired, under another tag."""
        self._asked[asked.seq] = Asked(asked.seq, tag, asked.command, asked.since, deadline)

    @property
    def waiting(self) -> tuple[Asked[Tag], ...]:
        return tuple(self._asked.values())

    def abandon(self) -> list[Asked[Tag]]:
        """Everything that will not be answered, because the line is gone."""
        left = list(self._asked.values())
        self._asked.clear()
        return left

    @property
    def next_deadline(self) -> float | None:
        return min((asked.deadline for asked in self._asked.values()), default=None)


def body_of(message: Incoming) -> dict[str, Any]:
    """The body, empty when there is none. Raises `sonde_wire.MalformedMessage`."""
    body = {} if isinstance(message.body, UnsetType) else codec.decode_any(message.body)
    return body if isinstance(body, dict) else {}


def read(body: bytes) -> Incoming:
    """Raises `sonde_wire.MalformedMessage`."""
    return codec.decode(surrogates.replaced(body), Incoming)


def read_head(head: bytes) -> Incoming | None:
    """What a message comes to of which only the beginning was kept: the refusal of the request that it answers.
    None for an event, and when it cannot be told."""
    before = head.partition(b'"body"')[0]
    answers = _ANSWERS.search(before)
    if answers is None:
        return None
    return Incoming(
        type="response",
        request_seq=int(answers[1]),
        success=False,
        message="the answer is too large to be sent; ask for less of it",
    )
