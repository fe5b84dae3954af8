"""A broker that writes until somebody ends it: prints what it has acknowledged. `python -m tests.broker.store.writing_process URL`"""

import asyncio
import sys

from sonde_broker.relay_io import Committed
from sonde_broker.store import inbox
from tests.broker.store.telling import Teller, desk


async def main(url: str) -> None:
    web = Teller()
    async with desk(url) as history:
        while True:
            history.store.keep(web.keep(web.some(20, size=200)))
            while isinstance(told := await history.next(), Committed) is False:
                pass
            for _, _, upto in told.streams:  # type: ignore[union-attr]
                print(upto, flush=True)


inbox.WINDOW = 0.005
asyncio.run(main(sys.argv[1]))
