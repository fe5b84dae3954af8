"""The keys as their file has them: read again when it changes or somebody asks (SIGHUP), without a restart.

What cannot be read or is not safe leaves the keys as they are, and is said once for each change of the file: a broker that
lost its keys by a slip of the hand would lock everybody out. Kubernetes replaces a mounted file by swapping a symlink, so
the file is looked at by name each time, and never held open.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from sonde_broker.counts import Counts
from sonde_broker.errors import InvalidSettings
from sonde_broker.settings import KeyChoice
from sonde_broker.tokens import Claims, TokenRules, verify

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds."""

_State = tuple[int, int, int, int] | None


class KeyWatch:
    """`rules` has the keys of the start; `verify` uses the newest. `changed` is told the fingerprints of all keys that are
    taken from then on."""

    def __init__(
        self,
        choice: KeyChoice,
        rules: TokenRules,
        counts: Counts,
        changed: Callable[[frozenset[str]], None],
        *,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._choice = choice
        self._rules = rules
        self._counts = counts
        self._changed = changed
        self._look_every = look_every
        self._seen = _state(self._file)
        self._asked = asyncio.Event()

    @property
    def _file(self) -> Path | None:
        return self._choice.secret or self._choice.public_key or self._choice.jwks

    def verify(self, token: str, now: float) -> Claims:
        """Raises `BadToken`."""
        return verify(token, self._rules, now)

    def ask(self) -> None:
        """To read the file now, changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """Until cancelled."""
        if self._file is None:
            return
        while True:
            try:
                async with asyncio.timeout(self._look_every):
                    await self._asked.wait()
            except TimeoutError:
                if (state := _state(self._file)) == self._seen:
                    continue
                self._seen = state
            self._asked.clear()
            self._read_again()

    def _read_again(self) -> None:
        self._seen = _state(self._file)
        try:
            keys = self._choice.read()
        except InvalidSettings as error:
            self._counts.key_reload_failures += 1
            logger.warning("the keys stay as they were, because what changed cannot be taken: %s", error)
            return
        before, after = self._rules.keys.fingerprints, keys.fingerprints
        self._rules = msgspec.structs.replace(self._rules, keys=keys)
        if before == after:
            return
        self._counts.key_reloads += 1
        logger.info("the keys have changed: %d new, %d gone", len(after - before), len(before - after))
        self._changed(after)


def _state(file: Path | None) -> _State:
    """What is different when the file is another one or was written to; None when it is not there."""
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size) if status else None
