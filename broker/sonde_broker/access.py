"""Who may do what: a pure function of (claims, method, process), and the only place that decides it.

The scope is judged before the process is looked at, and a process outside the token's selectors is refused with
exactly the words of a process that does not exist, so that nobody learns names by trying.
"""

from collections.abc import Callable

from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Reason, Refused, Scope, Selector
from sonde_wire.probes import Probe, concerns, scope_for

_EVERYTHING = Selector()


def sees(claims: Claims, process: Address) -> bool:
    """Whether a process is inside the token's selectors."""
    return any(selector.matches(process) for selector in claims.selectors)


def sight(selectors: tuple[Selector, ...]) -> Callable[[Address], bool]:
    """The same for many processes at once."""
    if _EVERYTHING in selectors:
        return lambda _: True
    return lambda process: any(selector.matches(process) for selector in selectors)


def require_scope(claims: Claims, scope: Scope | None, what: str) -> None:
    """Raises `Refused` (permission_denied). `what` names the method or DAP request; None needs no scope."""
    if scope is not None and scope not in claims.scopes:
        raise Refused(
            Code.PERMISSION_DENIED,
            Reason.MISSING_SCOPE,
            f"{what} needs the scope {scope.value!r}, which your token does not have; "
            f"ask whoever issues your tokens",
        )


def require_process(claims: Claims, process: Address, *, known: bool) -> None:
    """Raises `Refused` (not_found), the same for a process outside the selectors and for one nobody knows."""
    if not known or not sees(claims, process):
        raise Refused(
            Code.NOT_FOUND,
            Reason.UNKNOWN_PROCESS,
            f"there is no process {process}; process.list shows those that your token lets you see",
        )


def require_overlap(claims: Claims, selector: Selector) -> None:
    """Raises `Refused` (permission_denied) when a selector names only processes outside of the token's."""
    if not any(selector.overlaps(each) for each in claims.selectors):
        raise Refused(
            Code.PERMISSION_DENIED,
            Reason.OUTSIDE_SELECTOR,
            f"your token lets you see no process of {selector}; whoami shows the selectors that it has",
        )


def require_removal(claims: Claims, probe: Probe | None, named: str) -> None:
    """Who made a probe may remove it, and `admin`, and whoever could have made it. Raises `Refused`: not_found for one
    that the token could not see."""
    if probe is None:
        raise unknown_probe(named)
    if probe.creator == claims.subject or Scope.ADMIN in claims.scopes:
        return
    if not concerns(probe, claims.selectors):
        raise unknown_probe(named)
    require_scope(claims, scope_for(probe.spec), "to remove this probe, as to make it,")


def unknown_probe(named: str) -> Refused:
    """The same for one outside the selectors and for one that nobody knows."""
    return Refused(
        Code.NOT_FOUND,
        Reason.UNKNOWN_PROBE,
        f"there is no probe {named}; probe.list shows those that your token lets you see",
    )
