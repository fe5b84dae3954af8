"""Keeps what stands standing, for as long as this program is there to look at it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from sonde_viewer.errors import ViewerError
from sonde_viewer.lease import Lease
from sonde_wire import MalformedMessage

logger = logging.getLogger(__name__)


class Keeper:
    """One task in `tasks` while there is a lease to renew, and none otherwise. It renews each third of the lease's
    length. It runs in the program's own event loop: a program that hangs renews nothing, and what it had stopped
    runs on.
    """

    def __init__(
        self, tasks: asyncio.TaskGroup, name: str, renew: Callable[[float], Awaitable[object]]
    ) -> None:
        """`renew` gets the seconds that it may take."""
        self._tasks = tasks
        self._name = name
        self._renew = renew
        self._task: asyncio.Task[None] | None = None

    def keep(self, lease: Lease | None) -> None:
        """Call it when anything has changed; None: there is nothing, or it is not ours to renew."""
        if lease is None:
            if self._task is not None:
                self._task.cancel()
                self._task = None
        elif self._task is None or self._task.done():
            self._task = self._tasks.create_task(
                self._run(lease.renewal(time.monotonic()), lease.length / 3), name=self._name
            )

    async def _run(self, first: float, each: float) -> None:
        await asyncio.sleep(first)
        while True:
            try:
                await self._renew(each)
            except (ViewerError, MalformedMessage) as error:
                logger.warning("the lease of what stands was not renewed: %s", error)
            await asyncio.sleep(each)
