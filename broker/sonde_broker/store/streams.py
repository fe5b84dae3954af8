"""How far a boot of a process is stored without a hole. Pure.

Batches arrive in any order, again, or not at all. `upto` is the number up to which each event was stored or is lost for good:
what is acknowledged. A batch beyond a hole is stored and moves nothing; when the hole is filled, `upto` moves over both. What
the sidecar does not have any more (`EventBatch.oldest`) and nobody stored is lost, and counted.
"""

from collections.abc import Sequence

from msgspec import Struct

Span = tuple[int, int]
"""First and last of events that are stored, both included."""


class Stream(Struct, frozen=True):
    upto: int = 0
    lost: int = 0
    last: int = 0
    """The highest that was stored; beyond `upto` there is a hole."""


def follows(stream: Stream, first: int) -> bool:
    """Whether a batch joins what is there. If not, what is stored beyond `upto` must be read and `settle` decides."""
    return first <= stream.upto + 1 and stream.last <= stream.upto


def advance(stream: Stream, last: int) -> Stream:
    """With a batch that `follows`."""
    return Stream(max(stream.upto, last), stream.lost, max(stream.last, last))


def settle(stream: Stream, oldest: int, stored: Sequence[Span]) -> Stream:
    """`oldest` is what the sidecar still has; `stored` is all beyond `upto`, in order, the batch too."""
    last = stored[-1][1] if stored else stream.upto
    # A sidecar that has nothing left of a batch says nothing yet of what comes after it.
    gone = max(stream.upto, min(oldest - 1, last))
    kept = sum(min(end, gone) - begin + 1 for begin, end in stored if begin <= gone)
    lost = gone - stream.upto - kept
    upto = gone
    for begin, end in stored:
        if begin > upto + 1:
            break
        upto = max(upto, end)
    return Stream(upto, stream.lost + lost, max(stream.last, last))
