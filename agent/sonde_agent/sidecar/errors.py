"""What goes wrong beside a process.

SidecarError
 +-- InvalidSettings   an option that cannot be meant (the caller's fault)
 +-- MalformedFrame    bytes that are not DAP (the debugger's fault; its line is closed)
 +-- DebuggerLost      pydevd's line could not be made, or broke
 +-- TapLost           the process's line broke
 +-- TapFault          the tap answered that it cannot; carries the Failure for the asker
"""

from sonde_wire import Code, Failure, Reason


class SidecarError(Exception):
    """Root of the sidecar's errors."""


class InvalidSettings(SidecarError, ValueError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class MalformedFrame(SidecarError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class DebuggerLost(SidecarError):
    """`problem` says which step failed, never what was sent."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    @property
    def failure(self) -> Failure:
        return Failure(
            code=Code.UNAVAILABLE,
            reason=Reason.DEBUGGER_UNAVAILABLE,
            message=f"the debugger in the process could not be reached ({self.problem}); try again",
        )


class TapLost(SidecarError):
    @property
    def failure(self) -> Failure:
        return Failure(
            code=Code.UNAVAILABLE,
            reason=Reason.TAP_LOST,
            message="the process does not answer: its line to the sidecar is lost; it comes back by itself if "
            "the process lives",
        )


class TapFault(SidecarError):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
