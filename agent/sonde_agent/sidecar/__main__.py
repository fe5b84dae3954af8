"""python -m sonde_agent.sidecar: a sidecar as a program of its own."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence

from sonde_agent.sidecar import ending
from sonde_agent.sidecar.errors import InvalidSettings
from sonde_agent.sidecar.service import serve
from sonde_agent.sidecar.settings import BUS_VARIABLE, SidecarSettings

DRAINED_WITHIN = 6.0
"""Seconds that the followed process's end may take to be published."""

_EXAMPLES = f"""\
examples:
  sonde sidecar
      on a Unix socket in a new private directory, for the bus that `sonde up` left
  sonde sidecar --listen unix:/run/sonde/sidecar.sock --token-file /run/sonde/token
      for all processes of a pod that share /run/sonde; the bus is in {BUS_VARIABLE}

The first line on standard output (or --announce-fd) is JSON: {{"sidecar": "unix:...", "token_file": "..."}},
or {{"error": "..."}}. Give a program these two in SONDE_SIDECAR and SONDE_SIDECAR_TOKEN_FILE.
Exit codes: 0 ended as asked, 1 it could not listen, 2 wrong options.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        settings = SidecarSettings(
            bus=options.bus,
            listen=options.listen,
            token_file=options.token_file,
            namespace=options.namespace,
            labels=dict(options.label),
            follow_pid=options.follow_pid,
        )
        return asyncio.run(_run(settings, options.announce_fd))
    except InvalidSettings as error:
        _announce(options.announce_fd, {"error": error.problem})
        return 2
    except OSError as error:
        _announce(options.announce_fd, {"error": f"cannot listen: {error.strerror or error}"})
        return 1


async def _run(settings: SidecarSettings, announce_fd: int) -> int:
    """Tasks: `asked` (SIGTERM, SIGINT) and `followed` (the process's end); the first to end ends both."""
    asked_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    async with serve(settings) as sidecar:
        _announce(announce_fd, {"sidecar": str(sidecar.address), "token_file": str(sidecar.token_file)})
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(asked_to_end.wait(), name="asked")
            waiting: set[asyncio.Task[object]] = {asked}
            if settings.follow_pid is not None:
                waiting.add(group.create_task(_followed(settings.follow_pid), name="followed"))
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        if not asked_to_end.is_set():
            await sidecar.drained(DRAINED_WITHIN)
    return 0


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
    parser.add_argument(
        "--bus", metavar="URL", help=f"mqtt://host:1883; its password fits better in {BUS_VARIABLE}"
    )
    parser.add_argument(
        "--listen", metavar="ADDRESS", help="unix:/path, or tcp:127.0.0.1:0 for any free port"
    )
    parser.add_argument("--token-file", metavar="FILE", help="the taps' token; made when there is none")
    parser.add_argument(
        "--namespace", default="default", help="of processes that do not name theirs (%(default)s)"
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        type=_label,
        metavar="KEY=VALUE",
        help="added to every process",
    )
    parser.add_argument("--follow-pid", type=int, metavar="PID", help="end soon after this process has ended")
    parser.add_argument("--announce-fd", type=int, default=1, metavar="FD", help="where to say the address")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


if __name__ == "__main__":
    sys.exit(main())
