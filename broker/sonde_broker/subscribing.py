"""From `subscribe` to its answer: the bus is asked to tell, what was missed is told, then the viewer joins. Pure.

    asked --the bus has confirmed--> catching up, one process after its cursor each --all done--> joined, and answered

The answer comes last, so that whoever waits for it misses nothing that happens after. Without a bus there is nothing to
wait for. After the bus has come back, the processes that the cursors are of are waited for, too: what they sent meanwhile may be
in their rings alone. One that comes later than that is owed a look: the first that it tells shows what is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import Raw

from sonde_broker import access, answers
from sonde_broker.catching_up import Asking, AskProcess, Caught, Hole, Sources, catch_up
from sonde_broker.commands import Order, Pending
from sonde_broker.dispatch import Dispatch
from sonde_broker.fleet import MOST_KNOWN, Fleet
from sonde_broker.interest import Interest
from sonde_broker.queries import Answer, Query, StoredEvent
from sonde_broker.recent import Recent
from sonde_broker.relay_io import Effect, EventsSeen, Instant, Send, ViewerId
from sonde_broker.tokens import Claims
from sonde_wire import Address, Failure, MalformedMessage, Scope, Selector, bus, codec, rpc, topics
from sonde_wire.history import Cursor

PATIENCE = 3.0
"""Seconds for the bus to confirm."""
COMING_BACK = 6.0
"""Seconds after the bus has come back for processes to come back to it."""
_RING_TIMEOUT = 4.0
_FRAME_BYTES = 256 * 1024

Outcome = Answer | bus.EventsRead | Failure
AskStore = Callable[[Query, Callable[[Answer | Failure, Instant], list[Effect]], Instant], list[Effect]]


@dataclass(eq=False)
class Subscribing:
    """One call under way."""

    viewer: ViewerId
    request: int | str
    params: rpc.Subscribe
    filters: frozenset[str]
    patience: float
    catching: dict[Address, Asking] | None = None
    """None: the bus has not confirmed yet."""
    caught: dict[Address, Caught] = field(default_factory=dict)


def filters_of(
    wanted: tuple[rpc.Topic, ...], selector: Selector, allowed: tuple[Selector, ...]
) -> frozenset[str]:
    """What of the bus a subscription needs that is not subscribed always."""
    channels = set()
    if "events" in wanted or "output" in wanted:
        channels.add(topics.Channel.EVENTS)
    if "metrics" in wanted:
        channels.add(topics.Channel.METRICS)
    narrowed = {both for each in allowed if (both := selector.narrowed(each)) is not None}
    return frozenset(topics.processes(channel, each) for channel in channels for each in narrowed)


class Subscribers:
    """`join(call, now)` makes the subscription and returns the effects, its answer among them."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        interest: Interest,
        recent: Recent,
        dispatch: Dispatch,
        ask_store: AskStore,
        has_history: Callable[[], bool],
        claims_of: Callable[[ViewerId], Claims],
        join: Callable[[Subscribing, Instant], list[Effect]],
    ) -> None:
        self._fleet = fleet
        self._interest = interest
        self._recent = recent
        self._dispatch = dispatch
        self._ask_store = ask_store
        self._has_history = has_history
        self._claims_of = claims_of
        self._join = join
        self._calls: list[Subscribing] = []
        self._complete_at = float("-inf")
        """When all that come back to the bus are taken to be back."""
        self._owed: dict[Address, dict[ViewerId, tuple[str, int]]] = {}
        """Of silent processes: which viewer has which boot up to which number. The one that was asked for longest ago goes first,
        when there are too many; a cursor can name any process."""

    def deadline(self) -> float | None:
        waiting = [each for each in self._calls if each.catching is None]
        return min(
            (max(each.patience, self._complete_at if each.params.cursors else 0) for each in waiting),
            default=None,
        )

    def bus_changed(self, up: bool, now: Instant) -> None:
        self._complete_at = now.steady + COMING_BACK if up else float("-inf")

    def begin(self, viewer: ViewerId, request: int | str, params: rpc.Subscribe, now: Instant) -> None:
        """`settle` goes on with it."""
        filters = filters_of(
            params.topics, Selector.parse(params.selector), self._claims_of(viewer).selectors
        )
        call = Subscribing(viewer, request, params, filters, now.steady + PATIENCE)
        self._interest.want(call, filters, now.steady)
        self._calls.append(call)

    def under_way(self, viewer: ViewerId) -> int:
        return sum(each.viewer == viewer for each in self._calls)

    def viewer_left(self, viewer: ViewerId, now: Instant) -> None:
        for call in [each for each in self._calls if each.viewer == viewer]:
            self._end(call, now)
        for process, owed in list(self._owed.items()):
            owed.pop(viewer, None)
            if not owed:
                del self._owed[process]

    def settle(self, now: Instant) -> list[Effect]:
        """After everything that happened: whatever can go on does."""
        effects: list[Effect] = []
        for call in list(self._calls):
            if call.catching is not None:
                continue
            heard = self._interest.hears(call.filters) or now.steady >= call.patience
            if not self._dispatch.bus_up or (heard and not self._waits_for_processes(call, now)):
                effects += self._catch_up(call, now)
        return effects

    def _waits_for_processes(self, call: Subscribing, now: Instant) -> bool:
        return now.steady < self._complete_at and not all(
            self._fleet.is_heard(process) for process, _ in self._cursors(call)
        )

    def first_heard(self, new: EventsSeen) -> list[Effect]:
        """Before what is new of a process is delivered: what those miss that had not found it when they came back."""
        batch = new.batch
        return [
            Send(
                viewer,
                answers.notification("gap", Hole(boot, seq + 1, batch.first - 1, "bus").told(new.process)),
            )
            for viewer, (boot, seq) in self._owed.pop(new.process, {}).items()
            if boot == batch.boot and batch.first > seq + 1
        ]

    def _end(self, call: Subscribing, now: Instant) -> None:
        self._calls.remove(call)
        self._interest.want(call, (), now.steady)

    # What was missed ------------------------------------------------------------------------------------------

    def _catch_up(self, call: Subscribing, now: Instant) -> list[Effect]:
        call.catching = {}
        effects: list[Effect] = []
        if {"events", "output"}.intersection(call.params.topics):
            asked = [
                (process, self._sources(process, cursor), cursor) for process, cursor in self._cursors(call)
            ]
            call.catching = {process: catch_up(cursor, sources) for process, sources, cursor in asked}
            for process in list(call.catching):
                effects += self._advance(call, process, None, now)
        return effects or self._finished(call, now)

    def _cursors(self, call: Subscribing) -> list[tuple[Address, Cursor]]:
        """Those that the call may have; the last of a process that is named twice."""
        selector, sees = (
            Selector.parse(call.params.selector),
            access.sight(self._claims_of(call.viewer).selectors),
        )
        named = {Address.parse(each.process): each for each in call.params.cursors}
        return [
            (process, each) for process, each in named.items() if selector.matches(process) and sees(process)
        ]

    def _sources(self, process: Address, cursor: Cursor) -> Sources:
        known = self._fleet.get(process)
        return Sources(
            process=process,
            boot=known.presence.boot if known is not None else None,
            online=known is not None and known.online and self._dispatch.bus_up,
            history=self._has_history(),
            memory=lambda boot: self._recent.span(process, boot),
        )

    def _advance(self, call: Subscribing, process: Address, outcome: Outcome, now: Instant) -> list[Effect]:
        """One step of a process's catching up; at the end of the last one the viewer joins."""
        assert call.catching is not None  # noqa: S101 - begun by `_catch_up`
        try:
            question = call.catching[process].send(outcome)
        except StopIteration as done:
            del call.catching[process]
            call.caught[process] = done.value
            return [] if call.catching else self._finished(call, now)
        if isinstance(question, AskProcess):
            return self._ask_process(call, process, question, now)
        return self._ask_store(question, lambda answer, at: self._go_on(call, process, answer, at), now)

    def _go_on(self, call: Subscribing, process: Address, outcome: Outcome, now: Instant) -> list[Effect]:
        return self._advance(call, process, outcome, now) if call in self._calls else []

    def _ask_process(
        self, call: Subscribing, process: Address, question: AskProcess, now: Instant
    ) -> list[Effect]:
        def answered(outcome: Raw | Failure, at: Instant) -> list[Effect]:
            return self._go_on(call, process, _events_read(outcome), at)

        pending = Pending(call.viewer, call.request, "process.events", process, then=answered)
        order = Order(question.order, _RING_TIMEOUT)
        return self._dispatch.ask(self._claims_of(call.viewer), pending, order, boot=None, now=now.steady)

    def _owe(self, process: Address, viewer: ViewerId, caught: Caught) -> None:
        owed = self._owed.pop(process, {})
        owed[viewer] = (caught.boot, caught.upto)
        self._owed[process] = owed  # the last one of the table
        if len(self._owed) > MOST_KNOWN:
            del self._owed[next(iter(self._owed))]

    # The end --------------------------------------------------------------------------------------------------

    def _finished(self, call: Subscribing, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for process, caught in call.caught.items():
            told = [*caught.told, *self._from_memory(process, caught)]
            effects += [Send(call.viewer, frame) for frame in self._frames(call, process, told)]
            if self._recent.span(process, caught.boot) is None:
                self._owe(process, call.viewer, caught)
        effects += self._join(call, now)
        self._end(call, now)
        return effects

    def _from_memory(self, process: Address, caught: Caught) -> list[StoredEvent | Hole]:
        """What came since."""
        found: list[StoredEvent | Hole] = []
        span = self._recent.span(process, caught.boot)
        if span is not None and span[0] > caught.upto + 1:  # it was let go, or never came, meanwhile
            found.append(Hole(caught.boot, caught.upto + 1, span[0] - 1, "bus"))
        for seen in self._recent.after(process, caught.boot, caught.upto):
            found += [
                StoredEvent(header.seq, header.type, bytes(event))
                for header, event in zip(seen.headers, seen.batch.events, strict=True)
                if header.seq > caught.upto
            ]
        return found

    def _frames(self, call: Subscribing, process: Address, told: list[StoredEvent | Hole]) -> list[bytes]:
        values = Scope.INSPECT in self._claims_of(call.viewer).scopes
        frames: list[bytes] = []
        part: list[bytes] = []

        def close() -> None:
            if part:
                frames.append(answers.spliced("events", part))
                part.clear()

        for each in told:
            if isinstance(each, Hole):
                close()
                frames.append(answers.notification("gap", each.told(process)))
            elif _is_for(each, call.params.topics, values=values):
                part.append(each.body)
                if sum(map(len, part)) >= _FRAME_BYTES:
                    close()
        close()
        return frames


def _is_for(event: StoredEvent, wanted: tuple[rpc.Topic, ...], *, values: bool) -> bool:
    if event.kind in bus.WITH_VALUES and not values:
        return False
    return ("output" if event.kind == "output" else "events") in wanted


def _events_read(outcome: Raw | Failure) -> bus.EventsRead | Failure | None:
    """None: what no correct sidecar answers."""
    if isinstance(outcome, Failure):
        return outcome
    try:
        return codec.decode(outcome, bus.EventsRead)
    except MalformedMessage:
        return None
