"""Who of this broker wants to be told what by the bus, gathered for `interest`. Pure; part of the core.

Groups of viewers by their subscriptions, the open sessions by their processes, the history by its share of the shards, and,
where there is no history, live probes by their selectors: what they bring is in memory then, or nowhere.
"""

from sonde_broker.history_desk import HistoryDesk
from sonde_broker.interest import Interest
from sonde_broker.probe_desk import ProbeDesk
from sonde_broker.relay_io import Effect, Instant, Unlisten
from sonde_broker.replicas import Replicas
from sonde_broker.sessions import Sessions
from sonde_broker.stream import Stream
from sonde_broker.subscribing import filters_of
from sonde_broker.subscriptions import GroupKey, Subscriptions
from sonde_wire import topics
from sonde_wire.topics import Channel


class Wants:
    def __init__(
        self,
        *,
        interest: Interest,
        stream: Stream,
        subscriptions: Subscriptions,
        sessions: Sessions,
        probes: ProbeDesk,
        history: HistoryDesk,
        replicas: Replicas,
    ) -> None:
        self.shards: frozenset[str] = frozenset()
        """Those whose events we are to store."""
        self._interest = interest
        self._stream = stream
        self._subscriptions = subscriptions
        self._sessions = sessions
        self._probes = probes
        self._history = history
        self._replicas = replicas
        self._groups: frozenset[GroupKey] = frozenset()
        """As of a version of the subscriptions."""
        self._version = 0

    def share(self, now: Instant) -> None:
        """Divides what is to be stored anew among the brokers that write into the same history."""
        self.shards = self._replicas.shards()
        everything = len(self.shards) == len(topics.SHARDS)
        shards = ("+",) if everything else self.shards
        filters = [topics.processes(Channel.EVENTS, shard=each) for each in shards]
        self._interest.want("history", filters, now.steady)

    def gather(self, now: Instant) -> None:
        if self._subscriptions.version != self._version:
            self._version = self._subscriptions.version
            groups = self._subscriptions.keys()
            for gone in self._groups - groups:
                self._interest.want(gone, (), now.steady)
            for new in groups - self._groups:
                self._interest.want(new, _filters_of_group(new), now.steady)
            self._groups = groups
        debugged = self._sessions.processes()
        self._interest.want(
            "sessions", (topics.of_process(each, Channel.EVENTS) for each in debugged), now.steady
        )
        probed = () if self._history.there else self._probes.selectors()
        self._interest.want("probes", (topics.processes(Channel.EVENTS, each) for each in probed), now.steady)

    def settle(self) -> list[Effect]:
        effects: list[Effect] = [*self._interest.settle()]
        if any(isinstance(each, Unlisten) for each in effects):
            self._stream.keep_only(self._interest.asks_for(Channel.EVENTS))
        return effects


def _filters_of_group(key: GroupKey) -> frozenset[str]:
    return frozenset().union(*(filters_of((topic,), selector, key.allowed) for topic, selector in key.wishes))
