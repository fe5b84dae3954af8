"""`python -m sonde_agent run ...`, `... sidecar ...` and `... attach ...`."""

import argparse
import sys

from sonde_agent import run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="sonde_agent", description="Sonde's agent.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("run", help="run a Python program with Sonde inside", add_help=False)
    commands.add_parser("sidecar", help="run a sidecar for processes of this host or pod", add_help=False)
    commands.add_parser("attach", help="bring Sonde into a process that runs already", add_help=False)
    words = sys.argv[1:] if arguments is None else arguments
    chosen = parser.parse_args(words[:1])
    if chosen.command == "run":
        return run.main(words[1:])
    if chosen.command == "attach":
        from sonde_agent.attach import command

        return command.main(words[1:])
    return _sidecar(words[1:])


def _sidecar(words: list[str]) -> int:
    try:
        from sonde_agent.sidecar.__main__ import main as sidecar
    except ModuleNotFoundError as error:
        return run.missing(error)
    return sidecar(words)


if __name__ == "__main__":
    sys.exit(main())
