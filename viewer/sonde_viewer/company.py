"""Who debugs the process, as one session sees it: the driver's seat, who asks for it, what stands and for how
long, and the breakpoints of the others; pure.

    told       by the answer to `session.open`: a late joiner gets everything
    handle     an event
    seated     by the answer to `session.seat`, which may come before or after its event
    leased     by the answer to `session.renew`
    heard      the process answered something that wakes breakpoints

Answers and events come on different ways, so that an answer can be older than an event that is here already. Who
asks notes `seat_changes` or `lease_changes` before; when an event came meanwhile, the answer tells nothing: whatever
it tells has its own event.

One session drives: steps, continues, pauses, changes values. The first that does takes a free seat with it.
"""

from sonde_viewer import lease
from sonde_viewer.lease import Lease
from sonde_wire import bus


class Company:
    def __init__(self) -> None:
        self.me = ""
        self.driver: str | None = None
        self.asking: tuple[str, ...] = ()
        self.lease: Lease | None = None
        self.asleep = False
        """The lease lapsed, and nobody has asked anything of the process since."""
        self.seat_changes = 0
        self.lease_changes = 0
        self._names: dict[str, str] = {}
        self._driver_name: str | None = None
        self._breakpoints: dict[tuple[str, str | None], bus.BreakpointSet] = {}

    @property
    def drives(self) -> bool:
        return self.driver is not None and self.driver == self.me

    @property
    def renews(self) -> bool:
        """Whether the lease of what stands is ours to renew."""
        return self.lease is not None and self.driver in {None, self.me}

    @property
    def driver_name(self) -> str | None:
        return None if self.driver is None else self._driver_name or self.name(self.driver)

    @property
    def others_breakpoints(self) -> tuple[bus.BreakpointSet, ...]:
        return tuple(each for each in self._breakpoints.values() if each.owner != self.me)

    def name(self, session: str) -> str:
        """The viewer's subject; the session itself where that is not known."""
        return self._names.get(session, session)

    def named(self, text: str) -> tuple[str, ...]:
        """The sessions that are called so, or are that one; those that ask for the seat first."""
        known = [*self.asking, *(each for each in self._names if each not in self.asking)]
        return tuple(each for each in known if each != self.me and text in {each, self.name(each)})

    def told(self, state: bus.SessionState, now: float) -> None:
        self.me = state.session
        self._names = {each.session: each.viewer for each in state.sessions}
        self._breakpoints = {(each.owner, each.path): each for each in state.breakpoints}
        self._seat(state.driver, None, state.asking)
        self.lease = lease.told(state.lease, now)
        self.asleep = state.asleep

    def handle(self, event: bus.AnyEvent, now: float) -> None:
        match event:
            case bus.SeatChanged():
                self.seat_changes += 1
                self._seat(event.driver, event.viewer, event.asking)
            case bus.LeaseChanged(state=state):
                self.lease_changes += 1
                self.lease = lease.told(event.lease, now)
                self.asleep = state == "lapsed"
            case bus.BreakpointsChanged(breakpoints=changed):
                self._breakpoints.pop((changed.owner, changed.path), None)
                if changed.breakpoints:
                    self._breakpoints[changed.owner, changed.path] = changed
            case bus.SessionOpened(session=str(session), viewer=viewer):
                self._names[session] = viewer
            case bus.SessionClosed(session=str(session)):
                self._gone(session)
            case bus.DebuggerDetached():
                self.lease_changes += 1
                self.lease = None
            case _:
                return

    def seated(self, state: bus.SeatState, since: int) -> None:
        if since == self.seat_changes:
            self._seat(state.driver, state.viewer, state.asking)
        self.heard()

    def leased(self, state: bus.LeaseState, since: int, now: float) -> None:
        if since == self.lease_changes:
            self.lease = lease.told(state.lease, now)

    def heard(self) -> None:
        self.asleep = False

    def _seat(self, driver: str | None, viewer: str | None, asking: tuple[str, ...]) -> None:
        self.driver, self._driver_name, self.asking = driver, viewer, asking

    def _gone(self, session: str) -> None:
        self._names.pop(session, None)
        self.asking = tuple(each for each in self.asking if each != session)
        self._breakpoints = {
            place: each for place, each in self._breakpoints.items() if each.owner != session
        }
