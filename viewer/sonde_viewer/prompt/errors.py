"""What can go wrong with a line typed at the debugger's prompt.

ViewerError
 +-- InvalidLine     not a command, or not with these arguments
 +-- NothingStands   it needs a stopped thread
 +-- UnknownFile     no source file ends so, or several do
 +-- OtherDrives     it needs the driver's seat
"""

from collections.abc import Sequence

from sonde_viewer.errors import ViewerError


class InvalidLine(ViewerError, ValueError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class NothingStands(ViewerError):
    def __str__(self) -> str:
        return "no thread stands; `pause` stops one, `continue` waits for a breakpoint"


class UnknownFile(ViewerError, LookupError):
    def __init__(self, text: str, candidates: Sequence[str]) -> None:
        super().__init__(text, tuple(candidates))
        self.text = text
        self.candidates = tuple(candidates)

    def __str__(self) -> str:
        if self.candidates:
            return f"{self.text} could be {', '.join(self.candidates[:8])}; name more of its path"
        return f"the process has imported no file that ends in {self.text}; to break there anyway give its whole path"


class OtherDrives(ViewerError):
    def __init__(self, driver: str) -> None:
        super().__init__(driver)
        self.driver = driver

    def __str__(self) -> str:
        return f"{self.driver} drives; `ask` asks for the seat"
