"""What the tap hides of what it reads by itself: as the program's environment says, and no less than its sidecar."""

from collections.abc import Mapping

from sonde_agent import link
from sonde_agent.redaction import Redaction

_own = Redaction()
_current = _own


def current() -> Redaction:
    return _current


def configure(environment: Mapping[str, str]) -> None:
    """At the start. Raises `ValueError` for a mode that there is not: who misspells it must not show more."""
    global _own, _current
    _own = _current = Redaction(
        (environment.get("SONDE_REDACTION") or "standard").lower(),
        (environment.get("SONDE_REDACT_NAMES") or "").split(","),
        (environment.get("SONDE_SHOW_NAMES") or "").split(","),
    )


def agree(welcome: link.Welcome) -> None:
    """The sidecar that welcomes us may hide more; the next one may hide less again."""
    global _current
    if welcome.redaction:
        _current = _own.joined(Redaction.said(welcome.redaction, welcome.redact_names, welcome.show_names))


def own() -> Redaction:
    """As it was configured, for the sidecar."""
    return _own
