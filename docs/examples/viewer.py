"""A viewer of Sonde in Python: lists processes, then prints events as they come.

    python viewer.py [SELECTOR]

It finds the broker by SONDE_URL and SONDE_TOKEN, or the one that `sonde up` started here. It comes back by itself when the line
breaks, and what was missed meanwhile comes then.
"""

import asyncio
import sys

import sonde_viewer
from sonde_viewer.resuming import Interrupted, Missing, Notice


def tell(notice: Notice) -> None:
    match notice:
        case Interrupted():
            print("the line broke; coming back", flush=True)
        case Missing(gap):
            print(f"{gap.process} gap: {gap.first} to {gap.last} are lost here", flush=True)


async def main(selector: str) -> None:
    async with sonde_viewer.connect() as viewer:
        for process in await viewer.processes(selector):
            print(f"{process.process} is {process.state}", flush=True)
    async with sonde_viewer.follow(selector, topics=["events"], tell=tell) as events:
        print("following", flush=True)
        async for event in events:
            print(f"{event.process} #{event.seq} {type(event).__name__}", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "*"))
    except sonde_viewer.ViewerError as error:
        sys.exit(str(error))
