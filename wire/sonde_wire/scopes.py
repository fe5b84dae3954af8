"""What a token can allow, by the real risk of what is done (not by the name of the request).

The scopes are a set, not a ladder: each is asked for by name. `viewer` tokens usually carry the first three.
"""

from enum import StrEnum


class Scope(StrEnum):
    OBSERVE = "observe"
    """Presence, metrics, the events that carry no values, which probes there are."""
    INSPECT = "inspect"
    """Stacks, source, variables, probes in the safe language and what they bring. pydevd shows variables through their `__repr__`, which is the program's code."""
    CONTROL = "control"
    """Debug sessions: plain breakpoints, stepping, pause, continue. Stops the process."""
    EXECUTE = "execute"
    """Whatever runs Python of the viewer's: evaluate, set variable, conditions, hit conditions, log messages, probes in
    Python."""
    ADMIN = "admin"
    """The broker itself: audit, keys, other people's sessions."""
