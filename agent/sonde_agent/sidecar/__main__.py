"""python -m sonde_agent.sidecar: a sidecar as a program of its own."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from sonde_agent import configuration
from sonde_agent.sidecar import ending
from sonde_agent.sidecar.errors import InvalidSettings
from sonde_agent.sidecar.service import Sidecar, serve
from sonde_agent.sidecar.settings import BUS_VARIABLE, CHECKS, SidecarSettings, from_choice, log_settings
from sonde_wire import logs

logger = logging.getLogger("sonde_agent.sidecar")  # __name__ is that of a program here

DESERTED_FOR = 1.0
"""Seconds without any process, after the followed one has ended."""

_EXAMPLES = f"""\
examples:
  sonde sidecar
      on a Unix socket in a new private directory, for the bus that `sonde up` left
  sonde sidecar --listen unix:/run/sonde/sidecar.sock --token-file /run/sonde/token
      for all processes of a pod that share /run/sonde; the bus is in {BUS_VARIABLE}
  sonde sidecar --listen unix:/run/sonde/sidecar.sock --token-file /run/sonde/token --socket-mode 0660
      for containers that run as other users, with one group for /run/sonde
  sonde sidecar --listen tcp:127.0.0.1:5700 --token-file /run/sonde/token
      where they share the network but no directory for a socket
  sonde sidecar --config /etc/sonde.toml --log-format json --log-level warning

It may be started before or after its processes, and again at any time: they come back.

The first line on standard output (or --announce-fd) is JSON: {{"sidecar": "unix:...", "token_file": "..."}},
or {{"error": "..."}}. Give a program these two in SONDE_SIDECAR and SONDE_SIDECAR_TOKEN_FILE.
Every option can also be set by environment or in a file: see docs/configuration.md.
Exit codes: 0 ended as asked, 1 it could not listen, 2 wrong options.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        chosen = configuration.choose("sidecar", _given(options), os.environ, CHECKS)
        settings = from_choice(chosen, options.follow_pid, options.directory)
        logs.set_up(log_settings(chosen))
        for sentence in configuration.unknown_variables(os.environ):
            logger.warning("%s", sentence)
        return asyncio.run(_run(settings, options.announce_fd))
    except (InvalidSettings, configuration.InvalidConfiguration) as error:
        return _fail(options.announce_fd, str(error), 2)
    except logs.NoLogFile as error:
        return _fail(options.announce_fd, str(error), 2)
    except OSError as error:
        named = f": {error.filename}" if error.filename else ""
        return _fail(options.announce_fd, f"cannot listen: {error.strerror or error}{named}", 1)


def _given(options: argparse.Namespace) -> Mapping[str, object]:
    given = dict(vars(options))
    if options.verbose and options.log_level is None:
        given["log_level"] = "debug"
    return given


def _fail(announce_fd: int, problem: str, code: int) -> int:
    _announce(announce_fd, {"error": problem})
    sys.stderr.write(f"sonde sidecar: {problem}\n")
    return code


async def _run(settings: SidecarSettings, announce_fd: int) -> int:
    """Tasks: `asked` (SIGTERM, SIGINT) and `alone` (the followed process and all others have ended); the first to end
    ends both."""
    asked_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    async with serve(settings) as sidecar:
        _announce(announce_fd, {"sidecar": str(sidecar.address), "token_file": str(sidecar.token_file)})
        async with asyncio.TaskGroup() as group:
            waiting: set[asyncio.Task[object]] = {group.create_task(asked_to_end.wait(), name="asked")}
            if settings.follow_pid is not None:
                waiting.add(group.create_task(_alone(sidecar, settings.follow_pid), name="alone"))
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
    return 0


async def _alone(sidecar: Sidecar, pid: int) -> None:
    """Children that the followed process has left are served to their end."""
    await _followed(pid)
    await sidecar.deserted(DESERTED_FOR)


async def _followed(pid: int) -> None:
    try:
        watch = ending.Watch(pid)
    except OSError:  # it is gone already
        return
    with contextlib.closing(watch):
        await watch.ended()


def _announce(fd: int, message: dict[str, str]) -> None:
    line = json.dumps(message).encode() + b"\n"
    with contextlib.suppress(OSError):  # whoever started us has gone: nobody to tell
        os.write(fd, line)
        if fd > 2:
            os.close(fd)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sonde sidecar",
        description="Stands beside processes that carry Sonde's tap, and talks to the bus for them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    configuration.add_options(parser, "sidecar")
    parser.add_argument(
        "--directory", metavar="DIR", help="a private one, made before, to use and to remove at the end"
    )
    parser.add_argument(
        "--follow-pid",
        type=int,
        metavar="PID",
        help="end soon after this process and all that are served have ended",
    )
    parser.add_argument("--announce-fd", type=int, default=1, metavar="FD", help="where to say the address")
    parser.add_argument("--verbose", action="store_true", help="short for --log-level debug")
    return parser


if __name__ == "__main__":
    sys.exit(main())
