"""Who may do what: a pure function of (claims, method, process), and the only place that decides it.

The scope is judged before the process is looked at, and a process outside the token's selectors is refused with
exactly the words of a process that does not exist, so that nobody learns names by trying.
"""

from sonde_broker.tokens import Claims
from sonde_wire import Address, Code, Reason, Refused, Scope


def sees(claims: Claims, process: Address) -> bool:
    """Whether a process is inside the token's selectors."""
    return any(selector.matches(process) for selector in claims.selectors)


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
