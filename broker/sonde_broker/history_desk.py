"""Performs what viewers ask of the history, and asks it for others of the core. Pure; part of the core.

The history answers later, or fails, or has no time: each question has an end (`asking`).
"""

from typing import Any

from msgspec import Raw, Struct

from sonde_broker import access, answers
from sonde_broker.asking import Asking, Then
from sonde_broker.calls import Call
from sonde_broker.queries import (
    Answer,
    FindEvents,
    FindResults,
    FindSession,
    FindSessions,
    FindSnapshot,
    Query,
    ResultsFound,
    Sight,
)
from sonde_broker.relay_io import AskStore, Effect, Instant, Send, StoreChanged, ViewerId
from sonde_broker.tokens import Claims
from sonde_wire import Code, Failure, Reason, Refused, Scope, Selector, codec, rpc

_WITHIN = 12.0
_TOO_SLOW = Failure(
    code=Code.DEADLINE_EXCEEDED,
    reason=Reason.HISTORY_FAILED,
    message=f"the history took longer than {_WITHIN:g} s; ask for less: a shorter time, one service, a smaller page",
)


def sight(claims: Claims) -> Sight:
    return Sight(claims.selectors, Scope.INSPECT in claims.scopes)


class HistoryDesk:
    def __init__(self) -> None:
        self._status = rpc.StoreStatus(store="none")
        self._asking: Asking[Answer | Failure] = Asking(_TOO_SLOW, _WITHIN)

    @property
    def status(self) -> rpc.StoreStatus:
        return self._status

    @property
    def there(self) -> bool:
        return self._status.store != "none"

    def changed(self, store: StoreChanged) -> bool:
        """Whether viewers are to be told."""
        before, self._status = self._status, rpc.StoreStatus(store=store.state, problem=store.problem)
        return before != self._status

    def deadline(self) -> float | None:
        return self._asking.deadline()

    def time_passed(self, now: Instant) -> list[Effect]:
        return self._asking.time_passed(now)

    def ask(self, query: Query, then: Then[Answer | Failure], now: Instant) -> list[Effect]:
        return [AskStore(self._asking.ask(then, now), query)]

    def answered(self, number: int, answer: Answer | Failure, now: Instant) -> list[Effect]:
        return self._asking.answered(number, answer, now)

    # What viewers ask -----------------------------------------------------------------------------------------

    def perform(self, viewer: ViewerId, claims: Claims, call: Call, now: Instant) -> list[Effect]:
        """After the method's scope was judged. Raises `Refused`."""
        self.require()
        query: Query
        match call.params:
            case rpc.HistoryEvents():
                access.require_overlap(claims, Selector.parse(call.params.selector))
                query = FindEvents(call.params, sight(claims))
            case rpc.HistorySessions():
                access.require_overlap(claims, Selector.parse(call.params.selector))
                query = FindSessions(call.params, sight(claims))
            case rpc.OfSession(session=session):
                query = FindSession(session, sight(claims))
            case _:
                raise AssertionError(f"no way to perform {call.method}")

        def answer(found: Answer | Failure, _: Instant) -> list[Effect]:
            if found is None and isinstance(query, FindSession):
                return [Send(viewer, answers.failure(call.id, _unknown_session(query.session)))]
            return [_answered(viewer, call, found)]

        return self.ask(query, answer, now)

    def find_results(
        self,
        viewer: ViewerId,
        claims: Claims,
        probe: str,
        limit: int,
        newest: tuple[Raw, ...],
        call: Call,
        now: Instant,
    ) -> list[Effect]:
        """`newest` are those that memory has: they may not be stored yet."""

        def answer(found: Answer | Failure, _: Instant) -> list[Effect]:
            if not isinstance(found, ResultsFound):
                return [_answered(viewer, call, found)]
            there = {_key(each) for each in found.events}
            events = (*found.events, *(each for each in newest if _key(each) not in there))
            more = found.more or len(events) > limit
            return [_answered(viewer, call, rpc.ProbeResults(events=events[-limit:], more=more))]

        return self.ask(FindResults(probe, limit, sight(claims)), answer, now)

    def find_snapshot(
        self, viewer: ViewerId, claims: Claims, snapshot: str, missing: Failure, call: Call, now: Instant
    ) -> list[Effect]:
        """`missing` is told when the history does not have it either."""

        def answer(found: Answer | Failure, _: Instant) -> list[Effect]:
            return [_answered(viewer, call, missing if found is None else found)]

        return self.ask(FindSnapshot(snapshot, sight(claims)), answer, now)

    def require(self) -> None:
        if not self.there:
            raise Refused(
                Code.FAILED_PRECONDITION,
                Reason.NO_HISTORY,
                "this broker keeps no history; start it with --history to have one",
            )


class _Key(Struct, frozen=True):
    process: str
    boot: str
    seq: int


def _key(event: Raw) -> _Key:
    return codec.decode(event, _Key)


def _answered(viewer: ViewerId, call: Call, found: Any) -> Send:
    if isinstance(found, Failure):
        return Send(viewer, answers.failure(call.id, found))
    return Send(viewer, answers.result(call.id, found))


def _unknown_session(session: str) -> Failure:
    return Failure(
        code=Code.NOT_FOUND,
        reason=Reason.UNKNOWN_SESSION,
        message=f"the history has no session {session}; history.sessions shows those that your token lets you see",
    )
