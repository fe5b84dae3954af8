"""From what a person types to one process (a full address, one of its parts, or the beginning of either), or to one
probe or one recorded session (its id, its name, or the beginning of its id)."""

from collections.abc import Iterable

from sonde_viewer.errors import AmbiguousProcess, UnknownProbe, UnknownProcess, UnknownSession
from sonde_wire import bus, rpc
from sonde_wire.history import SessionRecord

_ALIVE_FIRST = {"online": 0, "lost": 1, "ended": 2}


def resolve(text: str, processes: Iterable[bus.Presence]) -> bus.Presence:
    """The one process that `text` names. Exact names win over beginnings, and processes that are online over
    those that are not. Raises `UnknownProcess` or `AmbiguousProcess`."""
    known = sorted(processes, key=lambda each: each.process)
    for fits in (_is_address, _is_part, _begins_part):
        found = [each for each in known if fits(text, each.process)]
        if found:
            return _only(text, found)
    raise UnknownProcess(text, [each.process for each in known])


def probe(text: str, known: Iterable[rpc.ProbeInfo]) -> rpc.ProbeInfo:
    """The one probe that `text` names; those that still live go before those that have ended. Raises
    `UnknownProbe`."""
    there = list(known)
    found = [each for each in there if each.probe.id == text]
    found = found or [each for each in there if each.probe.spec.name == text]
    found = found or [each for each in there if text and each.probe.id.startswith(text)]
    best = [each for each in found if each.state == "live"] or found
    if len(best) != 1:
        raise UnknownProbe(text, sorted(each.probe.id for each in best))
    return best[0]


def session(text: str, known: Iterable[SessionRecord]) -> SessionRecord:
    """The one session that `text` names; of several with that name the newest. Raises `UnknownSession`."""
    there = list(known)
    found = [each for each in there if each.session == text]
    found = found or sorted((each for each in there if text and each.name == text), key=_opened)[-1:]
    found = found or [each for each in there if text and each.session.startswith(text)]
    if len(found) != 1:
        raise UnknownSession(text, sorted(each.session for each in found))
    return found[0]


def _opened(record: SessionRecord) -> float:
    return record.opened


def _only(text: str, found: list[bus.Presence]) -> bus.Presence:
    best = min(_ALIVE_FIRST[each.state] for each in found)
    alive = [each for each in found if _ALIVE_FIRST[each.state] == best]
    if len(alive) > 1:
        raise AmbiguousProcess(text, [each.process for each in alive])
    return alive[0]


def _is_address(text: str, address: str) -> bool:
    return text == address


def _is_part(text: str, address: str) -> bool:
    """`shop`, `shop/1` and `prod/shop` are parts of `prod/shop/1`; a namespace alone is not a process."""
    namespace, service, instance = address.split("/")
    return text in {service, instance, f"{service}/{instance}", f"{namespace}/{service}"}


def _begins_part(text: str, address: str) -> bool:
    _, service, instance = address.split("/")
    parts = (address, service, instance, f"{service}/{instance}")
    return bool(text) and any(part.startswith(text) for part in parts)
