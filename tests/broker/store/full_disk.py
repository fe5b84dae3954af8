"""A history on a disk of its own that fills up, for `test_trouble.py`: run with a private mount namespace.

Fills a small tmpfs beside the history, says what is told, makes room, and says what is told then.
"""

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

from msgspec import json

from tests.broker.store.telling import Teller, desk, numbers


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC, error


async def main(directory: Path) -> None:
    web = Teller()
    async with desk(f"sqlite:///{directory / 'history.db'}") as history:
        before = await history.keep(web, web.some(50))
        filler = directory / "filler"
        fill(filler)
        batches = [web.some(100, size=10_000) for _ in range(3)]
        for events in batches:
            history.store.keep(web.keep(events))
        degraded = await history.changed("degraded")
        readable = len(numbers(await history.find()))
        filler.unlink()
        await history.changed("up")
        while (upto := await history.committed(web)) < web.seq:
            pass
        found = await history.find(limit=1000, order="oldest", kinds=("dap.thread",))
        told = {
            "before": before,
            "problem": degraded.problem,
            "readable": readable,
            "upto": upto,
            "found": len(found.events),
        }
        print(json.encode(told).decode())


if __name__ == "__main__":
    where = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(where)], check=True)
    os.environ.setdefault("HOME", "/")
    asyncio.run(main(where))
