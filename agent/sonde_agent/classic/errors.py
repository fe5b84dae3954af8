"""What goes wrong with a classic server.

DebugpyServerError
 +-- PortInUse            somebody else has the port
 +-- CannotListen         the address is not one of this machine, or not allowed
 +-- DebuggerUnavailable  debugpy is missing, of an unknown version, or could not be started
 +-- DebuggerTaken        another debugger has this process, Sonde's own among them; it has only room for one
 +-- NotStarted           there is no server to ask
 +-- DuplicateServer      a manager has that name or address already
 +-- LaunchFailed         a program ended, or was silent, before its server was there

ExposedServerWarning is no error: the server is reachable from other machines.
"""


class DebugpyServerError(Exception):
    """Root. The text says what to do next."""


class PortInUse(DebugpyServerError):
    def __init__(self, host: str, port: int) -> None:
        super().__init__(host, port)
        self.host = host
        self.port = port

    def __str__(self) -> str:
        return (
            f"{self.host}:{self.port} is in use: choose another port, or 0 for any free one "
            f"(`ss -ltnp 'sport = :{self.port}'` shows who has it)"
        )


class CannotListen(DebugpyServerError):
    def __init__(self, host: str, port: int, problem: str) -> None:
        super().__init__(host, port, problem)
        self.host = host
        self.port = port
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"cannot listen on {self.host}:{self.port}: {self.problem}; "
            "use 127.0.0.1 and a port from 1024 on, or 0"
        )


class DebuggerUnavailable(DebugpyServerError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"debugpy cannot be used in this process: {self.problem}"


class DebuggerTaken(DebugpyServerError):
    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"{self.problem}; a process has room for one: stop that server, or close Sonde's sessions on "
            "this process, then start again"
        )


class NotStarted(DebugpyServerError):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} is not started: call start(), or use it in a `with` block"


class DuplicateServer(DebugpyServerError):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"there is a server {self.what} already: stop it first, or choose another"


class LaunchFailed(DebugpyServerError):
    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name = name
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.name!r} was not started: {self.problem}"


class ExposedServerWarning(UserWarning):
    """The server listens beyond the loopback."""
