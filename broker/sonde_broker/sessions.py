"""The debug sessions that viewers of this broker have. Pure.

A session is here from the moment it is asked for until its close is confirmed, it is reported closed, or its
viewer has gone: while it is here somebody must still close it. The sidecar decides what a session is; this
table only knows whose it is and where.
"""

from msgspec import Struct
from msgspec.structs import replace

from sonde_broker.relay_io import ViewerId
from sonde_wire import Address


class Session(Struct, frozen=True):
    """`subject` is the viewer's, from its token: the process closes a session only for who opened it."""

    id: str
    viewer: ViewerId
    subject: str
    process: Address
    boot: str
    opened: bool = False


class Sessions:
    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def processes(self) -> frozenset[Address]:
        return frozenset(session.process for session in self._sessions.values())

    def add(self, session: Session) -> None:
        self._sessions[session.id] = session

    def get(self, session: str, viewer: ViewerId) -> Session | None:
        """None also for a session of somebody else: the two cannot be told apart."""
        found = self._sessions.get(session)
        return found if found is not None and found.viewer == viewer else None

    def confirm(self, session: str, boot: str) -> None:
        if (found := self._sessions.get(session)) is not None:
            self._sessions[session] = replace(found, boot=boot, opened=True)

    def drop(self, session: str, process: Address) -> None:
        """Only the process where a session is can say that it is over."""
        if (found := self._sessions.get(session)) is not None and found.process == process:
            del self._sessions[session]

    def of_viewer(self, viewer: ViewerId) -> list[Session]:
        return [session for session in self._sessions.values() if session.viewer == viewer]

    def take_viewer(self, viewer: ViewerId) -> list[Session]:
        taken = self.of_viewer(viewer)
        for session in taken:
            del self._sessions[session.id]
        return taken

    def keep_only(self, process: Address, alive: set[str]) -> None:
        """What a process that came back says it still has; a session that is being opened is not counted yet."""
        for session in [each for each in self._sessions.values() if each.process == process and each.opened]:
            if session.id not in alive:
                del self._sessions[session.id]

    def clear(self) -> None:
        self._sessions.clear()
