"""What the verbs about the past share: times, and files that are written whole or not at all."""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from sonde_viewer import moments


def time_of(text: str) -> float:
    """For argparse: seconds since the epoch."""
    found = moments.moment(text, datetime.now(UTC).astimezone())
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time such as 10m or 2d (ago), 14:30, or 2026-01-31T14:30"
        )
    return found


def add_since(parser: "argparse._ActionsContainer", what: str) -> None:
    parser.add_argument(
        "--since", type=time_of, metavar="TIME", help=f"{what}: 10m, 2d (ago), 14:30, or 2026-01-31T14:30"
    )


def add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="-", help="where to; `-` is standard output"
    )


@contextlib.contextmanager
def written(name: str) -> Iterator[BinaryIO]:
    """A file that takes its name once it is whole, readable by its owner only, or standard output. Raises `OSError`."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(name)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
